// @hot
// Keeps a copy of the request body that was already sent, up to a bound, until the first byte of
// the response: what one more attempt on a fresh connection needs.
import type { UpstreamConnection } from './h1-client.ts';

const BYTES_MAX = 64 * 1024;

export class ReplayBuffer {
  /** True when the body outgrew the bound: the request cannot be sent again. */
  isOverflown = false;
  readonly #pieces: Buffer[] = [];
  #bytes = 0;

  keep(bytes: Buffer, start: number, end: number): void {
    if (this.isOverflown) return;
    this.#bytes += end - start;
    if (this.#bytes > BYTES_MAX) {
      this.isOverflown = true;
      this.#pieces.length = 0;
      return;
    }
    this.#pieces.push(Buffer.from(bytes.subarray(start, end)));
  }

  replayTo(connection: UpstreamConnection): void {
    for (let i = 0; i < this.#pieces.length; i++) {
      const piece = this.#pieces[i] as Buffer;
      connection.writeBody(piece, 0, piece.length);
    }
  }

  clear(): void {
    if (this.#bytes === 0) return;
    this.isOverflown = false;
    this.#pieces.length = 0;
    this.#bytes = 0;
  }
}
