// @hot
// Keeps a copy of the request body that was already sent, up to a bound, until the first byte of
// the response: what one more attempt on a fresh connection needs. The copy lies in a block that is
// used again, since most bodies are answered soon.
import type { UpstreamConnection } from './h1-client.ts';
import { READ_BYTES, giveBuffer, takeBuffer } from './read-buffer.ts';

const BYTES_MAX = READ_BYTES;

export class ReplayBuffer {
  /** True when the body outgrew the bound: the request cannot be sent again. */
  isOverflown = false;
  #block: Buffer | null = null;
  #bytes = 0;
  /** A connection may still be writing out of the block. */
  #isLent = false;

  keep(bytes: Buffer, start: number, end: number): void {
    if (this.isOverflown) return;
    if (this.#bytes + (end - start) > BYTES_MAX) {
      this.isOverflown = true;
      this.#release();
      return;
    }
    this.#block ??= takeBuffer();
    this.#bytes += bytes.copy(this.#block, this.#bytes, start, end);
  }

  replayTo(connection: UpstreamConnection): void {
    if (this.#block === null) return;
    this.#isLent = true;
    connection.writeBody(this.#block, 0, this.#bytes);
  }

  clear(): void {
    this.isOverflown = false;
    if (this.#block !== null) this.#release();
  }

  #release(): void {
    if (this.#block !== null && !this.#isLent) giveBuffer(this.#block);
    this.#block = null;
    this.#isLent = false;
    this.#bytes = 0;
  }
}
