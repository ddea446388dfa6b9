// How many connections each worker serves, in memory that all of them see, and who should take the next one.
// The kernel spreads connections over workers by a hash: with 32 connections one of two workers gets less than 40 % of
// them in every fifth run. So a worker that has more than another passes a new connection on; while
// there are few, none may have more than one above the least, and with many a small lead is not worth a transfer.
// Short connections come and go without meeting each other: among workers that have equally many, one that has
// had an eighth more of all is spared.

/** A worker that serves nobody (yet): above every real count. */
const ABSENT = 1 << 30;
/** All connections count less than this share of them as a lead. */
const LEAD_SHARE = 8;
/** From so many connections on a lead of one is left alone, and a sixteenth more. */
const FEW = 16;

export class ConnectionShares {
  readonly memory: SharedArrayBuffer;
  readonly #counts: Int32Array<SharedArrayBuffer>;
  /** How many each has been given; they wrap, only differences count. */
  readonly #totals: Int32Array<SharedArrayBuffer>;

  constructor(workers: number, memory?: SharedArrayBuffer) {
    this.memory = memory ?? new SharedArrayBuffer(2 * workers * Int32Array.BYTES_PER_ELEMENT);
    this.#counts = new Int32Array(this.memory, 0, workers);
    this.#totals = new Int32Array(this.memory, workers * Int32Array.BYTES_PER_ELEMENT, workers);
    if (memory === undefined) this.#counts.fill(ABSENT);
  }

  /** The worker has none of the connections that were counted for it, and takes no new ones. */
  leave(worker: number): void {
    Atomics.store(this.#counts, worker, ABSENT);
  }

  /** The worker takes connections from now on; what it accepted before counts. */
  enter(worker: number): void {
    // What it missed is not made up for.
    for (let i = 0; i < this.#totals.length; i++) {
      const lead = this.#lead(i, worker);
      if (lead > 0 && Atomics.load(this.#counts, i) < ABSENT) Atomics.add(this.#totals, worker, lead);
    }
    Atomics.sub(this.#counts, worker, ABSENT);
  }

  /** A new connection was given to the worker. */
  gave(worker: number): void {
    Atomics.add(this.#totals, worker, 1);
  }

  add(worker: number, amount: number): void {
    Atomics.add(this.#counts, worker, amount);
  }

  /** Who should serve a connection that `worker` has accepted and not counted; mostly itself. */
  choose(worker: number): number {
    const counts = this.#counts;
    const own = Atomics.load(counts, worker);
    let least = own;
    let chosen = worker;
    for (let i = 0; i < counts.length; i++) {
      const count = Atomics.load(counts, i);
      if (count >= least) continue;
      least = count;
      chosen = i;
    }
    const lead = own < FEW ? 1 : 2 + (own >> 4);
    if (own - least >= lead) return chosen;
    return this.#spare(worker, own);
  }

  /** One who has no more connections than the worker's `own` and has had clearly fewer; else the worker itself. */
  #spare(worker: number, own: number): number {
    let most = 1;
    let chosen = worker;
    for (let i = 0; i < this.#counts.length; i++) {
      const lead = this.#lead(worker, i);
      if (lead <= most || Atomics.load(this.#counts, i) > own) continue;
      most = lead;
      chosen = i;
    }
    const sum = (Atomics.load(this.#totals, worker) + Atomics.load(this.#totals, chosen)) >>> 0;
    return most * LEAD_SHARE > sum ? chosen : worker;
  }

  #lead(worker: number, other: number): number {
    return (Atomics.load(this.#totals, worker) - Atomics.load(this.#totals, other)) | 0;
  }
}
