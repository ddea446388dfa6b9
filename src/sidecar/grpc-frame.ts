// The length-prefixed messages of gRPC over HTTP/2 (PROTOCOL-HTTP2.md): one byte of flags, four bytes of
// length, the message. The reader takes bytes as they come, joins small pieces (base/byte-chunks.ts), and refuses
// a message that is compressed (we offer no encoding) or larger than its limit before it is buffered.

import { addPiece } from '../base/byte-chunks.ts';

const HEADER_BYTES = 5;

export type FrameFault = 'compressed' | 'too-large';

/** Puts the five bytes before `message`. */
export function frame(message: Uint8Array): Buffer {
  const framed = Buffer.allocUnsafe(HEADER_BYTES + message.length);
  framed.writeUInt8(0, 0);
  framed.writeUInt32BE(message.length, 1);
  framed.set(message, HEADER_BYTES);
  return framed;
}

export class FrameReader {
  readonly #bytesMax: number;
  readonly #onMessage: (message: Uint8Array) => void;
  #chunks: Buffer[] = [];
  #buffered = 0;
  /** Of the message being gathered; -1 while its header is. */
  #length = -1;

  constructor(bytesMax: number, onMessage: (message: Uint8Array) => void) {
    this.#bytesMax = bytesMax;
    this.#onMessage = onMessage;
  }

  /** True between messages: the stream may end here. */
  get isAtBoundary(): boolean {
    return this.#length === -1 && this.#buffered === 0;
  }

  /** Bytes that are held. */
  get buffered(): number {
    return this.#buffered;
  }

  /** Returns what is wrong with the bytes, after which the reader must not be used; null when nothing is. */
  push(chunk: Buffer): FrameFault | null {
    addPiece(this.#chunks, chunk);
    this.#buffered += chunk.length;
    for (;;) {
      if (this.#length === -1) {
        if (this.#buffered < HEADER_BYTES) return null;
        const header = this.#take(HEADER_BYTES);
        if (header.readUInt8(0) !== 0) return 'compressed';
        this.#length = header.readUInt32BE(1);
        if (this.#length > this.#bytesMax) return 'too-large';
      }
      if (this.#buffered < this.#length) return null;
      const message = this.#take(this.#length);
      this.#length = -1;
      this.#onMessage(message);
    }
  }

  #take(length: number): Buffer {
    const [first] = this.#chunks;
    const whole = first !== undefined && first.length >= length ? first : Buffer.concat(this.#chunks);
    const rest = whole.subarray(length);
    const others = whole === first ? this.#chunks.slice(1) : [];
    this.#chunks = rest.length > 0 ? [rest, ...others] : others;
    this.#buffered -= length;
    return whole.subarray(0, length);
  }
}
