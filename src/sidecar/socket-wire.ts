// The same Wire over a net.Socket or TLSSocket by its public interface: slower, and right on any Node. It
// serves where Node's handles have another shape than the one we know, and with OUTRIGGER_WIRE=socket.
import type { Socket } from 'node:net';
import { resetSocket } from './reset-socket.ts';
import type { ConnectionFacts } from './arrival/connection-facts.ts';
import { onSocketFault, SOCKET_FAULTS } from './socket-fault.ts';
import { queuedBelow } from './stream-handle.ts';
import { BUFFERED_BYTES_MAX, NO_USER, type Wire, type WireUser } from './wire.ts';

export class SocketWire implements Wire {
  user: WireUser = NO_USER;
  facts: ConnectionFacts | null = null;
  isPaused = true;
  readonly #socket: Socket;
  #isEnding = false;
  #isGiven = false;
  #needsDrain = false;
  #cause = '';

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.pause();
    socket.on('data', (bytes: Buffer) => this.user.onWireBytes(bytes));
    socket.on('end', () => {
      if (!this.isClosed) this.user.onWireEnd();
    });
    socket.on('drain', () => this.#drained());
    onSocketFault(socket, (error) => {
      this.#cause ||= error.code ?? error.message;
      socket.destroy();
    });
    socket.once('close', () => {
      const { user } = this;
      this.user = NO_USER;
      user.onWireClose(this.#cause);
    });
  }

  get bufferedBytes(): number {
    return this.#socket.writableLength;
  }

  get unsentBytes(): number {
    return this.#socket.writableLength + queuedBelow(this.#socket);
  }

  get isClosed(): boolean {
    return this.#isGiven || this.#socket.destroyed;
  }

  /** A socket whose write has failed reads no more. */
  get isBroken(): boolean {
    return this.isClosed;
  }

  get fd(): number {
    const handle: unknown = Reflect.get(this.#socket, '_handle');
    const fd: unknown = typeof handle === 'object' && handle !== null ? Reflect.get(handle, 'fd') : -1;
    return typeof fd === 'number' ? fd : -1;
  }

  get remoteAddress(): string {
    return this.#socket.remoteAddress ?? '';
  }

  get remotePort(): number {
    return this.#socket.remotePort ?? 0;
  }

  get localAddress(): string {
    return this.#socket.localAddress ?? '';
  }

  get localPort(): number {
    return this.#socket.localPort ?? 0;
  }

  writeText(text: string): boolean {
    if (this.isClosed || this.#isEnding) return false;
    return this.#wrote(this.#socket.write(text, 'latin1'));
  }

  writeBytes(bytes: Buffer): boolean {
    if (this.isClosed || this.#isEnding) return false;
    return this.#wrote(this.#socket.write(bytes));
  }

  writePieces(head: string, bytes: Buffer, tail: string): boolean {
    if (this.isClosed || this.#isEnding) return false;
    const socket = this.#socket;
    socket.cork();
    if (head !== '') socket.write(head, 'latin1');
    let isTaken = socket.write(bytes);
    if (tail !== '') isTaken = socket.write(tail, 'latin1');
    socket.uncork();
    return this.#wrote(isTaken);
  }

  pause(): void {
    this.isPaused = true;
    this.#socket.pause();
  }

  resume(): void {
    this.isPaused = false;
    this.#socket.resume();
  }

  unread(bytes: Buffer): void {
    this.#socket.unshift(bytes);
  }

  end(): void {
    if (this.isClosed || this.#isEnding) return;
    this.#isEnding = true;
    this.#socket.end();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  reset(): void {
    resetSocket(this.#socket);
  }

  toSocket(): Socket {
    const socket = this.#socket;
    this.#isGiven = true;
    this.user = NO_USER;
    socket.pause();
    for (const event of ['data', 'end', 'drain', ...SOCKET_FAULTS, 'close']) socket.removeAllListeners(event);
    return socket;
  }

  #wrote(isTaken: boolean): boolean {
    // Said only when the socket is asked to wait, so that the two kinds of wire agree.
    const isOpen = isTaken || this.#socket.writableLength <= BUFFERED_BYTES_MAX;
    if (!isOpen) this.#needsDrain = true;
    return isOpen;
  }

  #drained(): void {
    if (!this.#needsDrain || this.isClosed) return;
    this.#needsDrain = false;
    this.user.onWireDrain();
  }
}
