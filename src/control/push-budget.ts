// How much of what streams were told may wait in memory for its clients to take it. When thousands come back at once, or
// one change is large for everybody, streams have their turn one after the other; what is small costs nothing and never
// waits for long, because a client that takes nothing counts for a moment only.
export interface PushBudgetOptions {
  /** 64 MiB by default. */
  readonly bytesMax?: number;
  /** A message that its client has not taken after this time counts no more; 1 s by default. */
  readonly holdMsMax?: number;
}

/** Messages below this are not counted. */
const SMALL_BYTES = 32 * 1024;
const MIB = 1024 * 1024;

export class PushBudget {
  readonly #bytesMax: number;
  readonly #holdMsMax: number;
  /** In the order in which they came. */
  readonly #waiting = new Set<() => void>();
  #bytes = 0;

  constructor({ bytesMax = 64 * MIB, holdMsMax = 1_000 }: PushBudgetOptions = {}) {
    this.#bytesMax = bytesMax;
    this.#holdMsMax = holdMsMax;
  }

  get isSpent(): boolean {
    return this.#bytes >= this.#bytesMax;
  }

  /** Streams that wait for their turn. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /** Counts a message until the function that it returns is called; to call it again does nothing. */
  take(bytes: number): () => void {
    if (bytes < SMALL_BYTES) return () => {};
    this.#bytes += bytes;
    let isHeld = true;
    const release = (): void => {
      if (!isHeld) return;
      isHeld = false;
      clearTimeout(timer);
      this.#bytes -= bytes;
      this.#wake();
    };
    const timer = setTimeout(release, this.#holdMsMax).unref();
    return release;
  }

  /** Calls `resume` once, when there is room. The same function waits once. */
  wait(resume: () => void): void {
    this.#waiting.add(resume);
  }

  forget(resume: () => void): void {
    this.#waiting.delete(resume);
  }

  #wake(): void {
    for (const resume of this.#waiting) {
      if (this.isSpent) return;
      this.#waiting.delete(resume);
      resume();
    }
  }
}
