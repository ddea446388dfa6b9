// Lets only so many lookups run at once; the others wait in order. getaddrinfo holds one of Node's
// four pool threads for as long as a name server is silent, and files (access logs, certificates)
// need a thread too: without a gate, a dead name server would stop them.

export class LookupGate {
  readonly #runningMax: number;
  #running = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(runningMax: number) {
    this.#runningMax = runningMax;
  }

  /** Runs `lookup` when a place is free; settles as it does. */
  async run<Result>(lookup: () => Promise<Result>): Promise<Result> {
    if (this.#running >= this.#runningMax) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    else this.#running++;
    try {
      return await lookup();
    } finally {
      // The place is handed on without being given up, so that no newcomer can slip in between.
      const next = this.#waiting.shift();
      if (next === undefined) this.#running--;
      else next();
    }
  }
}
