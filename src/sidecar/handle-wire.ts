// @hot
// A Wire directly over a stream handle of Node: TCP, Unix socket, or the TLS handle of a TLSSocket. A write
// is tried at once; only what the kernel does not take costs a request object, and is held until it is
// gone. Bytes from a read buffer that go on to another wire are safe by construction: shared ones are
// copied, and a reader whose own buffer is held by a write takes another.
//
//   open ──fail/destroy/reset──► closing ──the handle's close callback──► onWireClose
import { Socket } from 'node:net';
import { getSystemErrorName } from 'node:util';
import { beginTurn, endTurn } from '../base/clock.ts';
import { onSocketFault } from './socket-fault.ts';
import { resetSocket } from './reset-socket.ts';
import { READ_BYTES, SHARED, giveBuffer, isShared, takeBuffer, viewOf } from './read-buffer.ts';
import {
  internals,
  isTcpHandle,
  queuedBelow,
  type AddressOut,
  type EndWaiter,
  type HandleReader,
  type Internals,
  type ShutdownRequest,
  type StreamHandle,
  type WriteRequest,
  type WriteWaiter,
} from './stream-handle.ts';
import type { ConnectionFacts } from './arrival/connection-facts.ts';
import { BUFFERED_BYTES_MAX, NO_USER, type Wire, type WireUser } from './wire.ts';

const UV_EOF = -4095;
/** Pieces that together fit are copied into one block: cheaper than a vectored write. */
const BLOCK_BYTES = READ_BYTES + 16 * 1024;
/** A reader with a buffer of its own goes back to the shared one after a read that leaves most of it empty. */
const SMALL_BYTES = READ_BYTES / 8;

let block: Buffer = Buffer.allocUnsafeSlow(BLOCK_BYTES);
let spareRequest: WriteRequest | null = null;
/** Counts writes that hold somebody else's bytes. */
let references = 0;

export class HandleWire implements Wire, HandleReader, WriteWaiter, EndWaiter {
  user: WireUser = NO_USER;
  facts: ConnectionFacts | null = null;
  bufferedBytes = 0;
  isClosed = false;
  isPaused = true;
  isBroken = false;
  readonly #internals: Internals;
  readonly #handle: StreamHandle;
  /** The socket that the handle belongs to, where there is one (TLS): it is destroyed instead of the handle. */
  readonly #owner: Socket | null;
  #buffer: Buffer = SHARED;
  /** What the owner had read already. */
  #first: Buffer | null;
  #isBegun = false;
  #hasOwnerEnded = false;
  #isEnding = false;
  #hasSentEnd = false;
  #hasEnded = false;
  #needsDrain = false;
  #cause = '';
  #remote: AddressOut | null = null;
  #local: AddressOut | null = null;

  /** `owner` gives its handle away; `first` is what it had read before. */
  constructor(known: Internals, handle: StreamHandle, owner: Socket | null = null, first: Buffer | null = null) {
    this.#internals = known;
    this.#handle = handle;
    this.#owner = owner;
    this.#first = first;
    handle.wire = this;
    handle.onread = onRead;
    if (owner !== null) this.#follow(owner);
  }

  get fd(): number {
    return this.#handle.fd;
  }

  get unsentBytes(): number {
    if (this.bufferedBytes === 0 || this.isClosed) return 0;
    return this.#owner === null ? this.#handle.writeQueueSize : this.bufferedBytes + queuedBelow(this.#owner);
  }

  get remoteAddress(): string {
    return this.#peer().address ?? '';
  }

  get remotePort(): number {
    return this.#peer().port ?? 0;
  }

  get localAddress(): string {
    return this.#self().address ?? '';
  }

  get localPort(): number {
    return this.#self().port ?? 0;
  }

  writeText(text: string): boolean {
    if (this.isClosed || this.isBroken || this.#isEnding) return false;
    const request = this.#request();
    return this.#wrote(this.#handle.writeLatin1String(request, text), request, text.length, null);
  }

  writeBytes(bytes: Buffer): boolean {
    if (isShared(bytes)) return this.#writeCopy('', bytes, '');
    if (this.isClosed || this.isBroken || this.#isEnding) return false;
    const request = this.#request();
    return this.#wrote(this.#handle.writeBuffer(request, bytes), request, bytes.length, bytes);
  }

  writePieces(head: string, bytes: Buffer, tail: string): boolean {
    const size = head.length + bytes.length + tail.length;
    if (isShared(bytes) || size <= BLOCK_BYTES / 2) return this.#writeCopy(head, bytes, tail);
    if (this.isClosed || this.isBroken || this.#isEnding) return false;
    const request = this.#request();
    const chunks = [head, 'latin1', bytes, 'buffer', tail, 'latin1'];
    if (tail === '') chunks.length = 4;
    return this.#wrote(this.#handle.writev(request, chunks, false), request, size, chunks);
  }

  pause(): void {
    if (this.isPaused) return;
    this.isPaused = true;
    if (this.isBroken) this.#fail(this.#cause);
    else if (!this.isClosed && !this.#hasEnded) this.#handle.readStop();
  }

  resume(): void {
    if (!this.isPaused) return;
    this.isPaused = false;
    if (this.isClosed) return;
    if (!this.#isBegun) this.#beginReading();
    else if (this.#first !== null) this.#readAgain();
    if (this.isClosed || this.isPaused || this.#hasEnded) return;
    const status = this.#handle.readStart();
    if (status < 0) this.#fail(getSystemErrorName(status));
  }

  unread(bytes: Buffer): void {
    this.#first = bytes;
  }

  end(): void {
    if (this.isClosed || this.#isEnding) return;
    this.#isEnding = true;
    const request = new this.#internals.ShutdownRequest();
    request.oncomplete = onShutdown;
    request.wire = this;
    // A peer that has gone already needs no FIN.
    if (this.#handle.shutdown(request) !== 0) this.destroy();
  }

  destroy(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    if (this.#owner === null) this.#handle.close(onClosed);
    else this.#owner.destroy();
  }

  reset(): void {
    if (this.isClosed) return;
    if (this.#owner !== null) {
      this.isClosed = true;
      resetSocket(this.#owner);
    } else if (isTcpHandle(this.#handle) && this.#handle.reset(onClosed) === 0) {
      this.isClosed = true;
    } else {
      this.destroy();
    }
  }

  toSocket(): Socket {
    this.pause();
    this.isClosed = true;
    this.user = NO_USER;
    this.#handle.wire = null;
    const options = { handle: this.#handle, allowHalfOpen: true, manualStart: true };
    const socket: Socket = this.#owner ?? Reflect.construct(Socket, [options]);
    if (this.#first !== null) socket.unshift(this.#first);
    return socket;
  }

  /** The handle read `count` bytes, or met the end or an error. Returns the buffer for the next read if it is another. */
  received(count: number): Buffer | undefined {
    if (this.isClosed) return undefined;
    if (count > 0) return this.#deliver(count);
    if (this.isBroken) {
      this.#fail(this.#cause);
    } else if (count === UV_EOF) {
      this.#hasEnded = true;
      this.user.onWireEnd();
      if (this.#hasSentEnd) this.destroy();
    } else if (count < 0) {
      this.#fail(getSystemErrorName(count));
    }
    return undefined;
  }

  /** The kernel took, or will never take, `size` bytes that had to wait. */
  written(size: number, status: number): void {
    this.bufferedBytes -= size;
    if (this.isClosed) return;
    if (status < 0) {
      this.#break(getSystemErrorName(status));
    } else if (this.bufferedBytes === 0 && this.#needsDrain) {
      this.#needsDrain = false;
      this.user.onWireDrain();
    }
  }

  /** FIN is out, or cannot be sent: with that of the peer the connection is over. */
  endSent(): void {
    this.#hasSentEnd = true;
    if (this.#hasEnded) this.destroy();
  }

  /** The handle is gone: nothing more can come. */
  closed(): void {
    const { user } = this;
    this.isClosed = true;
    this.#handle.wire = null;
    this.user = NO_USER;
    user.onWireClose(this.#cause);
  }

  #deliver(count: number): Buffer | undefined {
    const before = references;
    const buffer = this.#buffer;
    this.user.onWireBytes(viewOf(buffer, count));
    if (buffer === SHARED) {
      if (count < READ_BYTES) return undefined;
      this.#buffer = takeBuffer();
    } else if (references !== before) {
      this.#buffer = takeBuffer();
    } else if (count <= SMALL_BYTES) {
      giveBuffer(buffer);
      this.#buffer = SHARED;
    } else {
      return undefined;
    }
    return this.#buffer;
  }

  /** Per connection: only now, since a handle that has got our buffer can be given away to nobody but TLS. */
  #beginReading(): void {
    this.#isBegun = true;
    this.#handle.useUserBuffer(SHARED);
    this.#readAgain();
    if (this.#hasOwnerEnded && !this.isClosed) this.received(UV_EOF);
  }

  /** What was read or put back before. */
  #readAgain(): void {
    const first = this.#first;
    this.#first = null;
    if (first !== null) this.user.onWireBytes(first);
  }

  #request(): WriteRequest {
    if (spareRequest === null) {
      spareRequest = new this.#internals.WriteRequest();
      spareRequest.oncomplete = onWritten;
    }
    spareRequest.wire = this;
    return spareRequest;
  }

  /** Copies the pieces into one block, since they may change or are too small to be worth more. */
  #writeCopy(head: string, bytes: Buffer, tail: string): boolean {
    if (this.isClosed || this.isBroken || this.#isEnding) return false;
    const size = head.length + bytes.length + tail.length;
    // What has to wait behind other bytes anyway gets a block of its own size.
    const isSpare = this.bufferedBytes === 0 && size <= BLOCK_BYTES;
    const target = isSpare ? block : Buffer.allocUnsafeSlow(size);
    let at = head === '' ? 0 : target.write(head, 0, 'latin1');
    target.set(bytes, at);
    at += bytes.length;
    if (tail !== '') at += target.write(tail, at, 'latin1');
    const request = this.#request();
    const piece = target.subarray(0, at);
    const isOpen = this.#wrote(this.#handle.writeBuffer(request, piece), request, at, piece);
    if (isSpare && request !== spareRequest) block = Buffer.allocUnsafeSlow(BLOCK_BYTES);
    return isOpen;
  }

  /** The end of every write: done, failed, or to be waited for with what must live until then. */
  #wrote(status: number, request: WriteRequest, size: number, held: unknown): boolean {
    if (status !== 0) {
      this.#break(getSystemErrorName(status));
      return false;
    }
    const { state, isAsyncAt } = this.#internals;
    if (state[isAsyncAt] === 0) return true;
    spareRequest = null;
    request.size = size;
    request.held = held;
    if (held !== null) references++;
    this.bufferedBytes += size;
    if (this.bufferedBytes <= BUFFERED_BYTES_MAX) return true;
    this.#needsDrain = true;
    return false;
  }

  /**
   * A write has failed, so the peer has gone. What it said before it went, an early answer that refuses an upload
   * say, is in the kernel still: the next read tells the rest, and then of the end. Who does not read hears at once.
   */
  #break(cause: string): void {
    if (this.isClosed || this.isBroken) return;
    if (this.isPaused || this.#hasEnded || this.#owner !== null) {
      this.#fail(cause);
      return;
    }
    this.#cause = cause;
    this.isBroken = true;
  }

  #fail(cause: string): void {
    if (this.isClosed) return;
    this.#cause = cause;
    this.destroy();
  }

  /** Per connection: a socket that closes by itself (a TLS alert, say) takes the wire with it. */
  #follow(owner: Socket): void {
    this.#handle.readStop();
    // It may have met the end before we came.
    owner.once('end', () => {
      this.#hasOwnerEnded = true;
      if (this.#isBegun && !this.#hasEnded) this.received(UV_EOF);
    });
    onSocketFault(owner, (error) => {
      this.#cause ||= error.code ?? error.message;
      this.isClosed = true;
      if (this.#handle.wire === this) owner.destroy();
    });
    owner.once('close', () => this.closed());
  }

  #peer(): AddressOut {
    return (this.#remote ??= this.#ask('getpeername'));
  }

  #self(): AddressOut {
    return (this.#local ??= this.#ask('getsockname'));
  }

  /** Per connection, when somebody wants to know. */
  #ask(which: 'getpeername' | 'getsockname'): AddressOut {
    const out: AddressOut = {};
    const handle = this.#handle;
    if (this.#owner !== null) return which === 'getpeername' ? peerOf(this.#owner) : selfOf(this.#owner);
    if (this.isClosed || !isTcpHandle(handle)) return out;
    // A failure leaves `out` empty, which is the answer.
    handle[which](out);
    return out;
  }
}

/** A wire over a socket that is connected (and, for TLS, secure); null where Node's handles are not known. */
export function wireOverHandle(handle: StreamHandle): HandleWire | null {
  return internals === null ? null : new HandleWire(internals, handle);
}

function peerOf(owner: Socket): AddressOut {
  return { address: owner.remoteAddress ?? '', port: owner.remotePort ?? 0 };
}

function selfOf(owner: Socket): AddressOut {
  return { address: owner.localAddress ?? '', port: owner.localPort ?? 0 };
}

function onRead(this: StreamHandle): Buffer | undefined {
  const { wire } = this;
  if (wire === null || internals === null) return undefined;
  beginTurn();
  try {
    return wire.received(internals.state[internals.countAt] as number);
  } finally {
    endTurn();
  }
}

function onClosed(this: StreamHandle): void {
  this.wire?.closed();
}

function onWritten(this: WriteRequest, status: number): void {
  const { wire } = this;
  this.wire = null;
  this.held = null;
  wire?.written(this.size, status);
}

function onShutdown(this: ShutdownRequest): void {
  this.wire?.endSent();
}
