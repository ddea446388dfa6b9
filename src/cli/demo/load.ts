// Steady traffic that goes on while something else happens, and what became of every request. Two ways:
// at a rate (a request is sent when its time has come, whether or not the last one is back), or by a number of
// visitors who each send the next request as soon as the last is answered.
import { describe, isGood, type Outcome, Visitor, type Visit } from './visitor.ts';

export interface LoadOptions {
  readonly port: number;
  readonly visit: Visit;
  /** Requests under way at once. */
  readonly visitors: number;
  /** Requests per second; as many as the visitors manage when absent. */
  readonly rate?: number;
  /** Ends by itself after so many requests; goes on until `stop` when absent. */
  readonly requests?: number;
  /** Called after each request, with the monotonic milliseconds at which it began. */
  readonly onOutcome?: (outcome: Outcome, startMs: number) => void;
}

export interface LoadResult {
  readonly requests: number;
  readonly failed: number;
  /** The first failures, in few words. */
  readonly failures: readonly string[];
  /** Good answers by the version that gave them. */
  readonly versions: ReadonlyMap<string, number>;
  readonly seconds: number;
}

const FAILURES_KEPT = 5;

export class Load {
  readonly #options: LoadOptions;
  readonly #visitor: Visitor;
  readonly #versions = new Map<string, number>();
  readonly #failures: string[] = [];
  readonly #startMs = performance.now();
  readonly #finished: Promise<void>;
  #sent = 0;
  #failed = 0;
  #isStopped = false;

  constructor(options: LoadOptions) {
    this.#options = options;
    this.#visitor = new Visitor(options.port, options.visitors);
    const workers = Array.from({ length: options.visitors }, () => this.#work());
    this.#finished = Promise.all(workers).then(() => this.#visitor.close());
  }

  /** Requests sent so far. */
  get sent(): number {
    return this.#sent;
  }

  get failed(): number {
    return this.#failed;
  }

  /** Waits until the asked number of requests is done. */
  async finish(): Promise<LoadResult> {
    await this.#finished;
    return {
      requests: this.#sent,
      failed: this.#failed,
      failures: this.#failures,
      versions: this.#versions,
      seconds: (performance.now() - this.#startMs) / 1000,
    };
  }

  /** Sends no more, waits for what is under way. */
  stop(): Promise<LoadResult> {
    this.#isStopped = true;
    return this.finish();
  }

  async #work(): Promise<void> {
    const { visit, requests = Infinity, onOutcome } = this.#options;
    while (!this.#isStopped && this.#sent < requests) {
      const number = this.#sent++;
      await this.#waitForTurn(number);
      const startMs = performance.now();
      const outcome = await this.#visitor.visit(visit);
      this.#count(outcome);
      onOutcome?.(outcome, startMs);
    }
  }

  #count(outcome: Outcome): void {
    if (isGood(outcome)) {
      this.#versions.set(outcome.version, (this.#versions.get(outcome.version) ?? 0) + 1);
      return;
    }
    this.#failed++;
    if (this.#failures.length < FAILURES_KEPT) this.#failures.push(describe(outcome));
  }

  /** At a rate, request number n is due n / rate seconds after the start. */
  async #waitForTurn(number: number): Promise<void> {
    const { rate } = this.#options;
    if (rate === undefined) return;
    const dueMs = this.#startMs + (number * 1000) / rate;
    const waitMs = dueMs - performance.now();
    if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
  }
}
