// @hot
// What one process may have of a limit that several processes share, as somebody else has divided it (the control service:
// sidecar/limit-reports.ts), and how much was asked of it, so that who divides can follow the demand. All threads of
// the process read the same cells.

/** This process's part of a limit that the control service divides; its threads see the same. */
export interface LimitShare {
  /** In [0, 1]; 1 until somebody says otherwise. */
  readonly fraction: number;
  /** How often it was set. */
  readonly version: number;
  /** Requests that came for the limit since the start, admitted or not; wraps at 2³². */
  readonly demand: number;
  set(fraction: number): void;
  ask(): void;
  /** The part that was in force, for the first who puts this one in force; -1 for the others. Before any it is 0. */
  claim(version: number, fraction: number): number;
}

export class LocalShare implements LimitShare {
  fraction = 1;
  version = 0;
  demand = 0;
  #claimed = 0;
  #inForce = 0;

  set(fraction: number): void {
    this.fraction = fraction;
    this.version++;
  }

  ask(): void {
    this.demand = (this.demand + 1) >>> 0;
  }

  claim(version: number, fraction: number): number {
    if (this.#claimed === version) return -1;
    this.#claimed = version;
    const before = this.#inForce;
    this.#inForce = fraction;
    return before;
  }
}

/** Fractions are kept as millionths that are missing from 1, so that fresh memory is all of the limit. */
export class SharedShare implements LimitShare {
  readonly #cells: Int32Array<SharedArrayBuffer>;
  readonly #missing: number;
  readonly #demand: number;
  readonly #inForce: number;

  /** Two cells stand at the first two places: what is missing and the version, the demand and the version in force. */
  constructor(
    cells: Int32Array<SharedArrayBuffer>,
    { missing, demand, inForce }: { readonly missing: number; readonly demand: number; readonly inForce: number },
  ) {
    this.#cells = cells;
    this.#missing = missing;
    this.#demand = demand;
    this.#inForce = inForce;
  }

  get fraction(): number {
    return 1 - Atomics.load(this.#cells, this.#missing) / MILLION;
  }

  get version(): number {
    return Atomics.load(this.#cells, this.#missing + 1);
  }

  get demand(): number {
    return Atomics.load(this.#cells, this.#demand) >>> 0;
  }

  set(fraction: number): void {
    Atomics.store(this.#cells, this.#missing, Math.ceil((1 - fraction) * MILLION));
    Atomics.add(this.#cells, this.#missing + 1, 1);
  }

  ask(): void {
    Atomics.add(this.#cells, this.#demand, 1);
  }

  claim(version: number, fraction: number): number {
    if (Atomics.exchange(this.#cells, this.#demand + 1, version) === version) return -1;
    return Atomics.exchange(this.#cells, this.#inForce, Math.floor(fraction * MILLION)) / MILLION;
  }
}

const MILLION = 1e6;
