// @hot
// The metrics registry: every number lives in one Float64Array, and whoever counts resolves its slot
// once (at config time, or when a label set is first seen) and adds to it from then on. Series are
// bounded: past `seriesMax` label sets in one family, new ones share one overflow series and a
// counter says how often that happened. Nothing here is ever removed while the process lives, so a
// slot number stays good.
//
//   counter, gauge   │ value │
//   histogram        │ bucket 0 │ … │ bucket n-1 │ +Inf │ sum │      buckets are not cumulative here
export type FamilyKind = 'counter' | 'gauge' | 'histogram';

/** Istio's and Envoy's bounds for durations in milliseconds. */
export const DURATION_BOUNDS_MS: readonly number[] = Object.freeze([
  0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000, 300_000, 600_000, 1_800_000,
  3_600_000,
]);
/** Decades from one byte to one gigabyte. */
export const BYTE_BOUNDS: readonly number[] = Object.freeze([
  1, 10, 100, 1000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000, 1_000_000_000,
]);
/** The value of every label of an overflow series. */
export const OVERFLOW_LABEL = 'overflow';

const SLOTS_MIN = 1024;
const NO_BOUNDS: readonly number[] = Object.freeze([]);

export interface Series {
  readonly labels: readonly string[];
  /** Index of the first number in `Registry.values`. */
  readonly slot: number;
}

export interface FamilyInit {
  readonly name: string;
  readonly help: string;
  readonly kind: FamilyKind;
  readonly labelNames: readonly string[];
  /** Upper bounds, ascending, without +Inf; empty unless a histogram. */
  readonly bounds?: readonly number[];
}

/** Numbers that are made at scrape time from something that counts by itself. */
export interface ScrapeSink {
  /** Opens a family; the samples that follow belong to it. */
  family(name: string, kind: 'counter' | 'gauge', help: string): void;
  sample(labelNames: readonly string[], labels: readonly string[], value: number): void;
}
export type ScrapeSource = (sink: ScrapeSink) => void;

export class Family {
  readonly name: string;
  readonly help: string;
  readonly kind: FamilyKind;
  readonly labelNames: readonly string[];
  readonly bounds: readonly number[];
  readonly series = new Map<string, Series>();
  readonly #registry: Registry;
  #overflow: Series | null = null;

  constructor(registry: Registry, init: FamilyInit) {
    this.#registry = registry;
    this.name = init.name;
    this.help = init.help;
    this.kind = init.kind;
    this.labelNames = init.labelNames;
    this.bounds = init.bounds ?? NO_BOUNDS;
  }

  /** How many numbers one series takes. */
  get width(): number {
    return this.kind === 'histogram' ? this.bounds.length + 2 : 1;
  }

  /**
   * The first slot of the series with these label values, in the order of `labelNames`; made on first
   * use, or the overflow series when the family is full. Not for every request: it builds a key.
   */
  slot(labels: readonly string[]): number {
    // The separator cannot stand in UTF-8 text, so two label sets never share a key.
    const key = labels.join('\uffff');
    const known = this.series.get(key);
    if (known !== undefined) return known.slot;
    if (this.series.size >= this.#registry.seriesMax) return this.#overflowSlot();
    const slot = this.#registry.reserve(this.width);
    this.series.set(key, { labels: labels.slice(), slot });
    return slot;
  }

  #overflowSlot(): number {
    this.#registry.countOverflow(this);
    let overflow = this.#overflow;
    if (overflow === null) {
      const labels = new Array<string>(this.labelNames.length).fill(OVERFLOW_LABEL);
      overflow = { labels, slot: this.#registry.reserve(this.width) };
      this.#overflow = overflow;
      this.series.set(OVERFLOW_LABEL, overflow);
    }
    return overflow.slot;
  }
}

export interface RegistryOptions {
  /** Label sets per family before new ones fall into the overflow series; 5000 by default. */
  readonly seriesMax?: number;
}

export class Registry {
  readonly seriesMax: number;
  /** Replaced when it grows: read it anew at each use. */
  values = new Float64Array(SLOTS_MIN);
  readonly families = new Map<string, Family>();
  readonly sources: ScrapeSource[] = [];
  readonly #overflows: Family;
  #used = 0;

  constructor({ seriesMax = 5000 }: RegistryOptions = {}) {
    this.seriesMax = seriesMax;
    this.#overflows = this.family({
      name: 'outrigger_metrics_overflow_total',
      help: 'Label sets that did not fit a full metric family and were counted in its overflow series.',
      kind: 'counter',
      labelNames: ['family'],
    });
  }

  /** The family of this name; made on first use. The first definition stays in force. */
  family(init: FamilyInit): Family {
    const known = this.families.get(init.name);
    if (known !== undefined) return known;
    const family = new Family(this, init);
    this.families.set(init.name, family);
    return family;
  }

  /** A counter without labels: its slot. */
  counter(name: string, help: string): number {
    return this.family({ name, help, kind: 'counter', labelNames: [] }).slot([]);
  }

  /** A gauge without labels: its slot. */
  gauge(name: string, help: string): number {
    return this.family({ name, help, kind: 'gauge', labelNames: [] }).slot([]);
  }

  /** Has `source` called at every scrape, after the families above. */
  addSource(source: ScrapeSource): void {
    this.sources.push(source);
  }

  add(slot: number, amount: number): void {
    (this.values[slot] as number) += amount;
  }

  set(slot: number, value: number): void {
    this.values[slot] = value;
  }

  get(slot: number): number {
    return this.values[slot] ?? 0;
  }

  /** Counts `value` in the histogram at `slot`. A value equal to a bound is in that bound's bucket. */
  observe(slot: number, bounds: readonly number[], value: number): void {
    const { values } = this;
    const { length } = bounds;
    let i = 0;
    while (i < length && value > (bounds[i] as number)) i++;
    (values[slot + i] as number)++;
    (values[slot + length + 1] as number) += value;
  }

  /** Takes `width` fresh numbers, all 0. */
  reserve(width: number): number {
    const slot = this.#used;
    this.#used += width;
    if (this.#used > this.values.length) {
      const grown = new Float64Array(Math.max(this.values.length * 2, this.#used));
      grown.set(this.values);
      this.values = grown;
    }
    return slot;
  }

  countOverflow(family: Family): void {
    if (family !== this.#overflows) this.add(this.#overflows.slot([family.name]), 1);
  }
}
