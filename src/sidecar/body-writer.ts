// @hot
// Writes one message to a wire: the head, then the body by length or chunked. Small pieces are
// gathered behind the head in one string, so that a short message is one system call; a large piece
// goes behind whatever was gathered, in one write.
import { BUFFERED_BYTES_MAX, type Wire } from './wire.ts';

/** Body pieces up to this size are copied into the gathered string. */
const GATHER_BYTES_MAX = 4096;
/** Gathered text beyond this is written before more is added. */
const PENDING_BYTES_MAX = 16 * 1024;

export class BodyWriter {
  readonly #wire: Wire;
  #pending = '';
  #isChunked = false;

  constructor(wire: Wire) {
    this.#wire = wire;
  }

  /** True when everything was handed to the wire. */
  get isEmpty(): boolean {
    return this.#pending === '';
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

  /** False when the kernel cannot keep up: wait for onWireDrain. */
  write(bytes: Buffer, start: number, end: number): boolean {
    const size = end - start;
    if (size === 0) return this.#isOpen();
    if (size <= GATHER_BYTES_MAX) {
      const text = bytes.toString('latin1', start, end);
      this.#pending += this.#isChunked ? size.toString(16) + '\r\n' + text + '\r\n' : text;
      return this.#pending.length > PENDING_BYTES_MAX ? this.flush() : this.#isOpen();
    }
    return this.#writeLarge(bytes, start, end);
  }

  #writeLarge(bytes: Buffer, start: number, end: number): boolean {
    const piece = start === 0 && end === bytes.length ? bytes : bytes.subarray(start, end);
    const isChunked = this.#isChunked;
    if (isChunked) this.#pending += (end - start).toString(16) + '\r\n';
    const head = this.#pending;
    if (head === '' && !isChunked) return this.#wire.writeBytes(piece);
    this.#pending = '';
    return this.#wire.writePieces(head, piece, isChunked ? '\r\n' : '');
  }

  /** Ends the body; `trailers` are lines with CRLF, and only a chunked body has a place for them. */
  end(trailers: string): void {
    if (this.#isChunked) this.#pending += trailers === '' ? '0\r\n\r\n' : '0\r\n' + trailers + '\r\n';
    this.#isChunked = false;
  }

  /** Hands what is pending to the wire; false when the kernel cannot keep up. */
  flush(): boolean {
    const pending = this.#pending;
    if (pending === '') return this.#isOpen();
    this.#pending = '';
    return this.#wire.writeText(pending);
  }

  /** Forgets what was not handed to the wire yet. */
  drop(): void {
    this.#pending = '';
    this.#isChunked = false;
  }

  #isOpen(): boolean {
    return this.#wire.bufferedBytes <= BUFFERED_BYTES_MAX;
  }
}
