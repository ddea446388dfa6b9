// One accepted connection on a TLS chain until its handshake is over. Where the chain agrees on protocols, the
// ClientHello is read first: OpenSSL can only refuse a client all of whose protocols are unknown, and Envoy
// serves it without ALPN. An inspector that has read the hello already spares that. What is no hello goes to
// OpenSSL as it is, and fails there; who says nothing is bounded by the same time as the handshake.
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { WheelTimer, type TimerWheel } from '../base/timer-wheel.ts';
import type { DownstreamTls, DownstreamUser } from '../tls/downstream-tls.ts';
import type { TlsPeer } from '../tls/tls-peer.ts';
import { ReadAhead } from './arrival/read-ahead.ts';
import { TlsHello } from './arrival/tls-hello.ts';
import { NO_USER, type Wire, type WireUser } from './wire.ts';

export class ServerHandshake implements WireUser, DownstreamUser {
  readonly #transport: DownstreamTls;
  readonly #wire: Wire;
  readonly #wheel: TimerWheel;
  readonly #user: DownstreamUser;
  readonly #timer = new WheelTimer(() => this.#leave('handshake timeout'));
  #hello: TlsHello | null = null;
  #held: ReadAhead | null = null;
  #socket: Socket | null = null;
  #isOver = false;

  constructor(transport: DownstreamTls, wire: Wire, wheel: TimerWheel, user: DownstreamUser) {
    this.#transport = transport;
    this.#wire = wire;
    this.#wheel = wheel;
    this.#user = user;
  }

  start(): void {
    const { settings, handshakeTimeoutMs } = this.#transport.init;
    const { facts } = this.#wire;
    if (settings.protocols.length === 0) this.#secure(null);
    else if (facts !== null && facts.transportProtocol === 'tls') this.#secure(facts.applicationProtocols);
    else {
      this.#hello = new TlsHello();
      this.#held = new ReadAhead();
      if (handshakeTimeoutMs > 0) this.#wheel.arm(this.#timer, handshakeTimeoutMs);
      this.#wire.user = this;
      this.#wire.resume();
    }
  }

  /** Closes the connection; its user is told. */
  destroy(): void {
    if (this.#socket === null) this.#leave('closed');
    else this.#socket.destroy();
  }

  onWireBytes(bytes: Buffer): void {
    const hello = this.#hello;
    const held = this.#held;
    if (this.#isOver || hello === null || held === null) return;
    held.append(bytes);
    if (hello.feed(bytes) === 'incomplete') return;
    this.#wheel.disarm(this.#timer);
    const wire = this.#wire;
    wire.pause();
    wire.user = NO_USER;
    wire.unread(held.from(0));
    this.#hello = null;
    this.#held = null;
    this.#secure(hello.state === 'complete' ? hello.protocols : null);
  }

  onWireEnd(): void {
    this.#lost();
  }

  onWireDrain(): void {}

  onWireClose(): void {
    this.#lost();
  }

  onSecure(socket: TLSSocket, peer: TlsPeer): void {
    this.#user.onSecure(socket, peer);
  }

  onInsecure(cause: string): void {
    this.#user.onInsecure(cause);
  }

  #secure(offered: readonly string[] | null): void {
    this.#socket = this.#wire.toSocket();
    this.#transport.secure(this.#socket, offered, this.#wheel, this);
  }

  #lost(): void {
    if (!this.#isOver) this.#transport.init.tally.connectionErrors++;
    this.#leave('closed in the handshake');
  }

  #leave(cause: string): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#wheel.disarm(this.#timer);
    this.#wire.user = NO_USER;
    this.#wire.destroy();
    this.#user.onInsecure(cause);
  }
}
