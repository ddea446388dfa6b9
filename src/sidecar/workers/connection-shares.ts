// How many connections each worker serves, in memory that all of them see, and who should take the next one.
// The kernel spreads connections over workers by a hash: with 32 connections one of two workers gets less than 40 % of
// them in every fifth run. So a worker that has more than another passes a new connection on; while
// there are few, none may have more than one above the least, and with many a small lead is not worth a transfer.

/** A worker that serves nobody (yet): above every real count. */
const ABSENT = 1 << 30;
/** From so many connections on a lead of one is left alone, and a sixteenth more. */
const FEW = 16;

export class ConnectionShares {
  readonly memory: SharedArrayBuffer;
  readonly #counts: Int32Array<SharedArrayBuffer>;

  constructor(workers: number, memory?: SharedArrayBuffer) {
    this.memory = memory ?? new SharedArrayBuffer(workers * Int32Array.BYTES_PER_ELEMENT);
    this.#counts = new Int32Array(this.memory);
    if (memory === undefined) this.#counts.fill(ABSENT);
  }

  /** The worker has none of the connections that were counted for it, and takes no new ones. */
  leave(worker: number): void {
    Atomics.store(this.#counts, worker, ABSENT);
  }

  /** The worker takes connections from now on; what it accepted before counts. */
  enter(worker: number): void {
    Atomics.sub(this.#counts, worker, ABSENT);
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
    return own - least >= lead ? chosen : worker;
  }
}
