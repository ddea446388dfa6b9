// What one HTTP filter counts, under names of its own: one addition each. observe/proxy-stats.ts keeps the
// tallies by manager and filter and adds them up when somebody asks, so that a newer version of a listener goes
// on counting where the older one was.

export interface FilterStat {
  /** `aborts_injected`, as Envoy calls it. */
  readonly name: string;
  readonly kind: 'counter' | 'gauge';
}

export class FilterTally {
  readonly stats: readonly FilterStat[];
  readonly #values: Float64Array;

  constructor(stats: readonly FilterStat[]) {
    this.stats = stats;
    this.#values = new Float64Array(stats.length);
  }

  /** `index` of `stats`. */
  add(index: number, amount: number): void {
    this.#values[index] = this.of(index) + amount;
  }

  set(index: number, value: number): void {
    this.#values[index] = value;
  }

  of(index: number): number {
    return this.#values[index] ?? 0;
  }

  /** Plans are printed without it. */
  toJSON(): undefined {
    return undefined;
  }
}
