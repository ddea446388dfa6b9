// Tells a client that begins with HTTP/2 on a listener that speaks HTTP/1.1 so in its own language: SETTINGS,
// then GOAWAY with HTTP_1_1_REQUIRED, then the end. This is the place that HTTP/2 will be served from
// (node:http2 over the same connection, with the same Exchange and Plans).
// Source: RFC 9113 sections 3.4, 6.5, 6.8 and 7.
import { WheelTimer } from '../base/timer-wheel.ts';
import type { Engine } from './engine.ts';
import type { Wire, WireUser } from './wire.ts';

const HTTP_1_1_REQUIRED = 0x0d;
const SETTINGS = Buffer.of(0, 0, 0, 4, 0, 0, 0, 0, 0);
const GO_AWAY = Buffer.of(0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, HTTP_1_1_REQUIRED);
/** SETTINGS and GOAWAY. */
export const HTTP2_REFUSAL: Buffer = Buffer.concat([SETTINGS, GO_AWAY]);
/** How long the client may take to read it before the connection is closed. */
const LINGER_MS = 1000;

/** `closed` is called once, when the connection is gone. */
export function refuseHttp2(engine: Engine, wire: Wire, closed: () => void): void {
  const timer = new WheelTimer(() => wire.destroy());
  const user: WireUser = {
    // What it sends meanwhile is dropped: a reset would take the answer from it.
    onWireBytes() {},
    onWireEnd: () => wire.destroy(),
    onWireDrain() {},
    onWireClose: () => {
      engine.wheel.disarm(timer);
      closed();
    },
  };
  wire.user = user;
  engine.wheel.arm(timer, LINGER_MS);
  wire.writeBytes(HTTP2_REFUSAL);
  wire.end();
  wire.resume();
}
