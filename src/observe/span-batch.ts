// A batch of encoded spans: bytes in one growing buffer outside of the heap, and where each span ends,
// so that the oldest can be dropped when there is no room for all. It is used again: memory outside of
// the heap that is let go of makes the garbage collector look through all of the heap.
const INITIAL_BYTES = 64 * 1024;

export class SpanBatch {
  #bytes = Buffer.allocUnsafeSlow(INITIAL_BYTES);
  readonly #ends: number[] = [];
  #dropped = 0;

  /** Spans that are in it. */
  get count(): number {
    return this.#ends.length - this.#dropped;
  }

  /** Takes one encoded span: a Latin-1 string of bytes. */
  add(encoded: string): void {
    const start = this.#ends.at(-1) ?? 0;
    const end = start + encoded.length;
    if (end > this.#bytes.length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(end, this.#bytes.length * 2));
      this.#bytes.copy(grown, 0, 0, start);
      this.#bytes = grown;
    }
    this.#bytes.write(encoded, start, 'latin1');
    this.#ends.push(end);
  }

  /** Forgets the first `count` of those that are left. */
  dropOldest(count: number): void {
    this.#dropped = Math.min(this.#ends.length, this.#dropped + count);
  }

  /** Empty again; the buffer stays. */
  clear(): void {
    this.#ends.length = 0;
    this.#dropped = 0;
  }

  /** The spans one after the other; valid until the next add. */
  bytes(): Buffer {
    const start = this.#dropped === 0 ? 0 : (this.#ends[this.#dropped - 1] ?? 0);
    return this.#bytes.subarray(start, this.#ends.at(-1) ?? 0);
  }
}
