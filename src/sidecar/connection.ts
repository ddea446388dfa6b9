// A downstream connection as steps, logs and formatters see it. Addresses are asked of the kernel on
// first use only: most requests never look.
import type { Socket } from 'node:net';
import type { Connection } from '../plan/exchange.ts';

let lastId = 0;

export class SocketConnection implements Connection {
  readonly id: number = ++lastId;
  readonly isTls = false;
  readonly isRestored = false;
  readonly serverName = '';
  readonly peerPrincipal = '';
  readonly isInbound: boolean;
  readonly #socket: Socket;
  #remoteAddress: string | null = null;
  #localAddress: string | null = null;

  constructor(socket: Socket, isInbound: boolean) {
    this.#socket = socket;
    this.isInbound = isInbound;
  }

  get remoteAddress(): string {
    this.#remoteAddress ??= plain(this.#socket.remoteAddress);
    return this.#remoteAddress;
  }

  get remotePort(): number {
    return this.#socket.remotePort ?? 0;
  }

  get localAddress(): string {
    this.#localAddress ??= plain(this.#socket.localAddress);
    return this.#localAddress;
  }

  get localPort(): number {
    return this.#socket.localPort ?? 0;
  }
}

/** IPv4 addresses on a dual-stack socket lose their IPv6 clothing. */
function plain(address: string | undefined): string {
  if (address === undefined) return '';
  return address.startsWith('::ffff:') ? address.slice(7) : address;
}
