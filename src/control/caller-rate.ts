// How often one caller may ask: a bucket for each, refilled steadily. So many callers are kept; the one that has been
// quiet for longest is forgotten first, and its bucket was full again by then.
import type { Clock } from '../base/clock.ts';

export interface CallerRateOptions {
  readonly clock: Clock;
  /** At once, at most. */
  readonly burst: number;
  readonly perSecond: number;
}

interface Bucket {
  tokens: number;
  atMs: number;
}

const CALLERS_MAX = 16_384;
const SECOND_MS = 1000;

export class CallerRate {
  readonly #options: CallerRateOptions;
  readonly #buckets = new Map<string, Bucket>();

  constructor(options: CallerRateOptions) {
    this.#options = options;
  }

  /** True, and counted, when the caller may ask now. */
  admits(caller: string): boolean {
    const { clock, burst, perSecond } = this.#options;
    const nowMs = clock.now();
    const bucket = this.#buckets.get(caller) ?? { tokens: burst, atMs: nowMs };
    this.#buckets.delete(caller);
    const [oldest] = this.#buckets.keys();
    if (oldest !== undefined && this.#buckets.size >= CALLERS_MAX) this.#buckets.delete(oldest);
    this.#buckets.set(caller, bucket);
    bucket.tokens = Math.min(burst, bucket.tokens + ((nowMs - bucket.atMs) * perSecond) / SECOND_MS);
    bucket.atMs = nowMs;
    if (bucket.tokens < 1) return false;
    bucket.tokens -= 1;
    return true;
  }
}
