// @hot
// How often something happened in the last interval, for all threads that share the memory. The interval is cut
// into ten slots, each with the number of the period that it counts: a slot of an older period begins anew. So what
// is counted is the last nine to ten tenths of the interval. Two threads that begin a slot at once may lose an event.

export interface RateWindow {
  /** Something happens. `nowMs` is of systemClock.now(), which counts from the start of the process in all threads. */
  add(nowMs: number): void;
  count(nowMs: number): number;
}

const SLOTS = 10;
/** One more than are looked at, so that the slot which begins is never one that still counts. */
export const WINDOW_CELLS = SLOTS + 1;

export class SlottedWindow implements RateWindow {
  readonly #cells: Int32Array;
  /** Where each slot's count stands in `cells`; its period stands right behind. */
  readonly #slots: readonly number[];
  readonly #slotMs: number;

  /** `slots` has WINDOW_CELLS places of two cells each; config time. */
  constructor(cells: Int32Array, slots: readonly number[], intervalMs: number) {
    this.#cells = cells;
    this.#slots = slots;
    this.#slotMs = intervalMs / SLOTS;
  }

  add(nowMs: number): void {
    const cells = this.#cells;
    // Never 0, which is the period of fresh memory.
    const period = (Math.floor(nowMs / this.#slotMs) + 1) | 0;
    const at = this.#slots[period % WINDOW_CELLS] as number;
    const known = Atomics.load(cells, at + 1);
    if (known !== period && Atomics.compareExchange(cells, at + 1, known, period) === known)
      Atomics.store(cells, at, 0);
    Atomics.add(cells, at, 1);
  }

  count(nowMs: number): number {
    const cells = this.#cells;
    const period = (Math.floor(nowMs / this.#slotMs) + 1) | 0;
    let sum = 0;
    for (let i = 0; i < WINDOW_CELLS; i++) {
      const at = this.#slots[i] as number;
      const age = period - Atomics.load(cells, at + 1);
      if (age >= 0 && age < SLOTS) sum += Atomics.load(cells, at);
    }
    return sum;
  }
}

/** A window of one thread; config time. */
export function localWindow(intervalMs: number): RateWindow {
  const slots: number[] = [];
  for (let i = 0; i < WINDOW_CELLS; i++) slots.push(i * 2);
  return new SlottedWindow(new Int32Array(WINDOW_CELLS * 2), slots, intervalMs);
}
