// Bytes that a connection brought before somebody was chosen to take them: copied into one buffer that
// grows by doubling, and read from the front. Bounded by what the listener filters look at; who calls
// append() stops to read when they have decided.

const FIRST_BYTES = 1024;

export class ReadAhead {
  #buffer: Buffer = Buffer.alloc(0);
  #start = 0;
  #end = 0;

  get length(): number {
    return this.#end - this.#start;
  }

  append(bytes: Buffer): void {
    const needed = this.#end + bytes.length;
    if (needed > this.#buffer.length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(needed, this.#buffer.length * 2, FIRST_BYTES));
      this.#buffer.copy(grown, 0, 0, this.#end);
      this.#buffer = grown;
    }
    bytes.copy(this.#buffer, this.#end);
    this.#end = needed;
  }

  /** What is left, from `offset` on; valid for good, since nothing is written over. */
  from(offset: number): Buffer {
    return this.#buffer.subarray(this.#start + offset, this.#end);
  }

  /** Takes bytes off the front. */
  drop(count: number): void {
    this.#start += count;
  }
}
