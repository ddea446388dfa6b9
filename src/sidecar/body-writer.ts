// @hot
// Writes one message to a socket: the head, then the body by length or chunked. Small pieces are
// gathered behind the head in one string, so that a short message is one system call; a large piece
// goes by reference behind whatever was gathered, in one vectored write.
import type { Socket } from 'node:net';

/** Body pieces up to this size are copied into the gathered string. */
const GATHER_BYTES_MAX = 4096;
/** Gathered text beyond this is written before more is added. */
const PENDING_BYTES_MAX = 16 * 1024;

export class BodyWriter {
  readonly #socket: Socket;
  #pending = '';
  #isChunked = false;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  /** Begins a message with its head (which may follow text that is still pending). */
  begin(headText: string, isChunked: boolean): void {
    this.#pending += headText;
    this.#isChunked = isChunked;
  }

  /** Raw text that is not part of a body: an interim response. */
  writeText(text: string): void {
    this.#pending += text;
  }

  /** False when the socket's buffer is full: wait for 'drain'. */
  write(bytes: Buffer, start: number, end: number): boolean {
    const size = end - start;
    if (size === 0) return !this.#socket.writableNeedDrain;
    if (size <= GATHER_BYTES_MAX) {
      const text = bytes.toString('latin1', start, end);
      this.#pending += this.#isChunked ? size.toString(16) + '\r\n' + text + '\r\n' : text;
      return this.#pending.length > PENDING_BYTES_MAX ? this.flush() : !this.#socket.writableNeedDrain;
    }
    return this.#writeLarge(bytes, start, end);
  }

  #writeLarge(bytes: Buffer, start: number, end: number): boolean {
    const socket = this.#socket;
    if (this.#isChunked) this.#pending += (end - start).toString(16) + '\r\n';
    const piece = start === 0 && end === bytes.length ? bytes : bytes.subarray(start, end);
    if (this.#pending === '' && !this.#isChunked) return socket.write(piece);
    socket.cork();
    if (this.#pending !== '') socket.write(this.#pending, 'latin1');
    this.#pending = '';
    socket.write(piece);
    if (this.#isChunked) socket.write('\r\n', 'latin1');
    socket.uncork();
    return !socket.writableNeedDrain;
  }

  /** Ends the body. */
  end(): void {
    if (this.#isChunked) this.#pending += '0\r\n\r\n';
    this.#isChunked = false;
  }

  /** Hands what is pending to the socket; false when its buffer is full. */
  flush(): boolean {
    const pending = this.#pending;
    if (pending === '') return !this.#socket.writableNeedDrain;
    this.#pending = '';
    return this.#socket.write(pending, 'latin1');
  }

  /** Forgets what was not handed to the socket yet. */
  drop(): void {
    this.#pending = '';
    this.#isChunked = false;
  }
}
