// A downstream connection as steps, logs and formatters see it. Addresses are asked of the kernel on
// first use only: most requests never look.
import type { Connection } from '../plan/exchange.ts';
import type { TlsFacts } from '../plan/tls-facts.ts';
import { plainAddress } from './arrival/connection-facts.ts';
import type { Wire } from './wire.ts';

let lastId = 0;

/** What the handshake of a secure connection found out; set before anybody uses the wire. */
export const tlsFacts = new WeakMap<Wire, TlsFacts>();

export class SocketConnection implements Connection {
  readonly id: number = ++lastId;
  readonly tls: TlsFacts | null;
  readonly isInbound: boolean;
  readonly #wire: Wire;
  #remoteAddress: string | null = null;
  #localAddress: string | null = null;

  constructor(wire: Wire, isInbound: boolean) {
    this.#wire = wire;
    this.isInbound = isInbound;
    this.tls = tlsFacts.get(wire) ?? null;
  }

  get isClosed(): boolean {
    return this.#wire.isClosed;
  }

  get isTls(): boolean {
    return this.tls !== null;
  }

  /** The name of the handshake, or what an inspector read. */
  get serverName(): string {
    return this.tls?.serverName ?? this.#wire.facts?.serverName ?? '';
  }

  get peerPrincipal(): string {
    return this.tls === null ? '' : this.tls.principal;
  }

  get isRestored(): boolean {
    return this.#wire.facts?.isRestored ?? false;
  }

  get remoteAddress(): string {
    this.#remoteAddress ??= this.#wire.facts?.remoteAddress ?? plainAddress(this.#wire.remoteAddress);
    return this.#remoteAddress;
  }

  get remotePort(): number {
    return this.#wire.facts?.remotePort ?? this.#wire.remotePort;
  }

  get directAddress(): string {
    return this.#wire.facts?.directAddress ?? this.remoteAddress;
  }

  get localAddress(): string {
    this.#localAddress ??= this.#wire.facts?.localAddress ?? plainAddress(this.#wire.localAddress);
    return this.#localAddress;
  }

  get localPort(): number {
    return this.#wire.facts?.localPort ?? this.#wire.localPort;
  }
}
