// Opens a connection as a Wire. Exactly one of the two callbacks is called, later, unless the dial is
// cancelled first. IP addresses are dialled on a bare handle; Unix paths through net.connect.
import { connect, isIP, type Socket } from 'node:net';
import { getSystemErrorName } from 'node:util';
import { HandleWire } from './handle-wire.ts';
import { internals, type Internals, type TcpHandle } from './stream-handle.ts';
import { kernelPath } from './unix-path.ts';
import type { Wire } from './wire.ts';
import { wireOf } from './wire-socket.ts';

export interface DialUser {
  /** Connected: the wire is paused and without a user. */
  onDialled(wire: Wire): void;
  /** `cause` is an error code: ECONNREFUSED and the like. */
  onDialFailed(cause: string): void;
}

export interface Dial {
  /** Neither callback is called any more; nothing when one was. */
  cancel(): void;
}

export interface DialTarget {
  /** An IP address, or with port 0 the path of a Unix socket. */
  readonly address: string;
  readonly port: number;
  /** The IP address to connect from; empty: the kernel's choice. */
  readonly sourceAddress: string;
}

export function dial(target: DialTarget, user: DialUser): Dial {
  const isIp = target.port !== 0 && isIP(target.address) !== 0;
  if (internals === null || !isIp) return new SocketDial(target, user);
  return new HandleDial(internals, target, user);
}

class HandleDial implements Dial {
  readonly #internals: Internals;
  readonly #handle: TcpHandle;
  #user: DialUser | null;

  constructor(known: Internals, target: DialTarget, user: DialUser) {
    this.#internals = known;
    this.#user = user;
    this.#handle = new known.TcpHandle(known.tcpSocket);
    const status = this.#begin(target);
    // The caller must know the dial before it hears of it.
    if (status < 0) process.nextTick(() => this.#completed(status));
  }

  /** 0, or the error that it met at once. */
  #begin({ address, port, sourceAddress }: DialTarget): number {
    const handle = this.#handle;
    const isIpv6 = isIP(address) === 6;
    handle.setNoDelay(true);
    if (sourceAddress !== '') {
      const bound = isIpv6 ? handle.bind6(sourceAddress, 0, 0) : handle.bind(sourceAddress, 0, 0);
      if (bound < 0) return bound;
    }
    const request = new this.#internals.ConnectRequest();
    request.oncomplete = (status) => this.#completed(status);
    return isIpv6 ? handle.connect6(request, address, port) : handle.connect(request, address, port);
  }

  cancel(): void {
    if (this.#user === null) return;
    this.#user = null;
    this.#handle.close();
  }

  #completed(status: number): void {
    const user = this.#user;
    if (user === null) return;
    this.#user = null;
    if (status < 0) {
      this.#handle.close();
      user.onDialFailed(getSystemErrorName(status));
    } else {
      user.onDialled(new HandleWire(this.#internals, this.#handle));
    }
  }
}

class SocketDial implements Dial {
  readonly #socket: Socket;
  #user: DialUser | null;

  constructor({ address, port, sourceAddress }: DialTarget, user: DialUser) {
    this.#user = user;
    const localAddress = sourceAddress === '' ? undefined : sourceAddress;
    const where = port === 0 ? { path: kernelPath(address) } : { host: address, port, localAddress, noDelay: true };
    const socket = connect({ ...where, allowHalfOpen: true });
    this.#socket = socket;
    socket.on('error', (error: NodeJS.ErrnoException) => {
      const failed = this.#user;
      this.#user = null;
      failed?.onDialFailed(error.code ?? error.message);
    });
    socket.once('connect', () => {
      const connected = this.#user;
      this.#user = null;
      connected?.onDialled(wireOf(socket));
    });
  }

  cancel(): void {
    if (this.#user === null) return;
    this.#user = null;
    this.#socket.destroy();
  }
}
