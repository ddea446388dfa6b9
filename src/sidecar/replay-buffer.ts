// @hot
// Keeps a copy of the request body that was already sent, up to a bound, until the response is taken: what the next
// attempt needs. The first block is used again, since most bodies are small and answered soon; what a
// retry policy lets grow beyond it lies in blocks of its own.
import type { UpstreamConnection } from './h1-client.ts';
import { READ_BYTES, giveBuffer, takeBuffer } from './read-buffer.ts';

/** Without a retry policy: one block. */
export const UNASKED_BYTES = READ_BYTES;

export class ReplayBuffer {
  /** True when the body outgrew the bound: the request cannot be sent again. */
  isOverflown = false;
  bytesMax = UNASKED_BYTES;
  #block: Buffer | null = null;
  /** In the first block. */
  #bytes = 0;
  #more: Buffer[] | null = null;
  #moreBytes = 0;
  /** A connection may still be writing out of the block. */
  #isLent = false;

  keep(bytes: Buffer, start: number, end: number): void {
    if (this.isOverflown) return;
    const total = this.#bytes + this.#moreBytes + (end - start);
    if (total > this.bytesMax) {
      this.isOverflown = true;
      this.#release();
      return;
    }
    if (this.#more === null && total <= READ_BYTES) {
      this.#block ??= takeBuffer();
      this.#bytes += bytes.copy(this.#block, this.#bytes, start, end);
      return;
    }
    const piece = Buffer.from(bytes.subarray(start, end));
    this.#moreBytes += piece.length;
    if (this.#more === null) this.#more = [piece];
    else this.#more.push(piece);
  }

  replayTo(connection: UpstreamConnection): void {
    if (this.#block !== null) {
      this.#isLent = true;
      connection.writeBody(this.#block, 0, this.#bytes);
    }
    const more = this.#more;
    if (more === null) return;
    for (let i = 0; i < more.length; i++) {
      const piece = more[i];
      if (piece !== undefined) connection.writeBody(piece, 0, piece.length);
    }
  }

  /** Bytes that are kept. */
  get size(): number {
    return this.#bytes + this.#moreBytes;
  }

  /** The first bytes, at most `bytesMax`, as one. */
  copy(bytesMax: number): Buffer {
    const first = this.#block === null ? [] : [this.#block.subarray(0, this.#bytes)];
    const all = this.#more === null ? first : first.concat(this.#more);
    return Buffer.concat(all, Math.min(this.size, bytesMax));
  }

  clear(): void {
    this.isOverflown = false;
    if (this.#block !== null || this.#more !== null) this.#release();
  }

  #release(): void {
    if (this.#block !== null && !this.#isLent) giveBuffer(this.#block);
    this.#block = null;
    this.#isLent = false;
    this.#bytes = 0;
    this.#more = null;
    this.#moreBytes = 0;
  }
}
