// @hot
// Requests and successes of the last so many seconds, in buckets of one second, as Envoy's admission control keeps them.
// Noting one is two additions; old buckets leave when the second changes.
import type { Clock } from '../base/clock.ts';

const BUCKET_MS = 1000;

export class SamplingWindow {
  readonly #clock: Clock;
  readonly #buckets: number;
  readonly #requests: Float64Array;
  readonly #successes: Float64Array;
  requests = 0;
  successes = 0;
  /** The second that the newest bucket is for; -1 before the first request. */
  #second = -1;
  /** The second of the oldest bucket that has counted. */
  #firstSecond = -1;

  /** `windowMs` is at least one second. */
  constructor(clock: Clock, windowMs: number) {
    this.#clock = clock;
    this.#buckets = Math.max(1, Math.ceil(windowMs / BUCKET_MS));
    this.#requests = new Float64Array(this.#buckets);
    this.#successes = new Float64Array(this.#buckets);
  }

  note(isSuccess: boolean): void {
    this.advance();
    const at = this.#second % this.#buckets;
    this.#requests[at] = (this.#requests[at] as number) + 1;
    this.requests++;
    if (!isSuccess) return;
    this.#successes[at] = (this.#successes[at] as number) + 1;
    this.successes++;
  }

  /** Forgets what is too old; call it before the sums are read. */
  advance(): void {
    const second = Math.floor(this.#clock.now() / BUCKET_MS);
    if (second === this.#second) return;
    if (this.#second === -1 || this.requests === 0) this.#firstSecond = second;
    const steps = this.#second === -1 ? 0 : Math.min(second - this.#second, this.#buckets);
    for (let step = 1; step <= steps; step++) {
      const at = (this.#second + step) % this.#buckets;
      this.requests -= this.#requests[at] as number;
      this.successes -= this.#successes[at] as number;
      this.#requests[at] = 0;
      this.#successes[at] = 0;
    }
    this.#second = second;
    this.#firstSecond = Math.max(this.#firstSecond, second - this.#buckets + 1);
    if (this.requests === 0) this.#firstSecond = second;
  }

  /** Over the time since the oldest request that counts, at least a second. */
  get requestsPerSecond(): number {
    return this.requests === 0 ? 0 : this.requests / Math.max(1, this.#second - this.#firstSecond);
  }
}
