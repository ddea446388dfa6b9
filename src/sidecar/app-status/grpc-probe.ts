// A probe by gRPC's health checking protocol (grpc.health.v1.Health/Check), in plaintext as a kubelet makes it. Both
// messages have one field, so they are written and read by hand.
import { Buffer } from 'node:buffer';
import { connect, constants } from 'node:http2';
import { connect as connectTcp, isIPv6 } from 'node:net';
import type { AppAnswer, AppPlace } from './app-call.ts';
import type { AppProbe } from './app-probe.ts';

const ANSWER_BYTES_MAX = 1024;
/** `SERVING` in HealthCheckResponse.status, field 1. */
const SERVING = Buffer.from([0, 0, 0, 0, 2, 0x08, 0x01]);

/** 200 when the service serves. */
export async function askGrpc(probe: AppProbe & { kind: 'grpc' }, place: AppPlace): Promise<AppAnswer> {
  const { port, service, timeoutMs } = probe;
  const { address, from } = place;
  return await new Promise((resolve) => {
    const session = connect(`http://${isIPv6(address) ? `[${address}]` : address}:${port}`, {
      createConnection: () => connectTcp({ host: address, port, ...(from === null ? {} : { localAddress: from }) }),
    });
    const end = (status: number, failure: string): void => {
      clearTimeout(timer);
      resolve({ status, body: '', failure });
      session.destroy();
    };
    const timer = setTimeout(() => end(0, `no answer within ${timeoutMs} ms`), timeoutMs);
    session.on('error', (cause: Error) => end(0, cause.message));
    const stream = session.request({
      [constants.HTTP2_HEADER_METHOD]: 'POST',
      [constants.HTTP2_HEADER_PATH]: '/grpc.health.v1.Health/Check',
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    const pieces: Buffer[] = [];
    let bytes = 0;
    let status = '';
    const note = (headers: Readonly<Record<string, unknown>>): void => {
      const { 'grpc-status': said } = headers;
      if (typeof said === 'string') status = said;
    };
    stream.on('response', note);
    stream.on('trailers', note);
    stream.on('data', (piece: Buffer) => {
      bytes += piece.length;
      if (bytes > ANSWER_BYTES_MAX) end(0, 'the answer is too long');
      else pieces.push(piece);
    });
    stream.on('error', (cause: Error) => end(0, cause.message));
    stream.on('end', () => {
      if (status !== '0') end(0, `gRPC status ${status === '' ? 'missing' : status}`);
      else if (Buffer.concat(pieces).equals(SERVING)) end(200, '');
      else end(0, 'the service does not serve');
    });
    stream.end(question(service));
  });
}

/** HealthCheckRequest, field 1: the service, behind the five bytes of a gRPC message. */
function question(service: string): Buffer {
  const name = Buffer.from(service);
  const length: number[] = [];
  for (let rest = name.length; ; rest >>>= 7) {
    length.push(rest > 127 ? (rest & 127) | 128 : rest);
    if (rest <= 127) break;
  }
  const message = name.length === 0 ? Buffer.alloc(0) : Buffer.concat([Buffer.from([0x0a, ...length]), name]);
  const frame = Buffer.alloc(5);
  frame.writeUInt32BE(message.length, 1);
  return Buffer.concat([frame, message]);
}
