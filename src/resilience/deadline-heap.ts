// @hot
// A binary heap of endpoint indexes, earliest deadline first; equal deadlines go by index, so that
// the order is fixed. Only typed arrays: moving an entry makes no garbage. The caller changes the
// deadline of the first entry and calls `sink`.

export class DeadlineHeap {
  readonly deadlines: Float64Array;
  readonly #order: Int32Array;

  /** Takes the deadlines as given; the array stays the caller's to change for `first` only. */
  constructor(deadlines: Float64Array) {
    this.deadlines = deadlines;
    this.#order = new Int32Array(deadlines.length);
    for (let index = 0; index < deadlines.length; index++) this.#order[index] = index;
    for (let at = (deadlines.length >> 1) - 1; at >= 0; at--) this.#sinkFrom(at);
  }

  /** The index with the earliest deadline. The heap must not be empty. */
  get first(): number {
    return this.#order[0] as number;
  }

  /** Puts the first entry where its new deadline belongs. */
  sink(): void {
    this.#sinkFrom(0);
  }

  #sinkFrom(start: number): void {
    const order = this.#order;
    const size = order.length;
    const moved = order[start] as number;
    let at = start;
    for (let child = 2 * at + 1; child < size; child = 2 * at + 1) {
      if (child + 1 < size && this.#isBefore(order[child + 1] as number, order[child] as number)) child++;
      if (!this.#isBefore(order[child] as number, moved)) break;
      order[at] = order[child] as number;
      at = child;
    }
    order[at] = moved;
  }

  #isBefore(left: number, right: number): boolean {
    const difference = (this.deadlines[left] as number) - (this.deadlines[right] as number);
    return difference < 0 || (difference === 0 && left < right);
  }
}
