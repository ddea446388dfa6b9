// @hot
// Token buckets that fill continuously. All that is kept of one is the time at which it was empty, or would have been:
// its tokens are what has flowed since, never more than its brim. So nothing runs between requests, and a bucket
// that nobody has used yet is full. A bucket knows neither rate nor brim: they are given with each use, so that
// configuration may change them under it. One that threads share is a 64-bit cell, changed by compare and exchange:
// together they never take more than has flowed.
// Source: what Envoy 1.40 does (AtomicTokenBucketImpl).

export interface FillRate {
  /** The brim. */
  readonly tokensMax: number;
  /** Above 0. */
  readonly tokensPerMs: number;
}

export interface RateBucket {
  /** Takes `cost` tokens; false when they are not there, and then nothing was taken. `nowMs` as for a TokenBucket. */
  take(nowMs: number, rate: FillRate, cost: number): boolean;
  /** Those that are there, with the fraction of the next one. */
  tokens(nowMs: number, rate: FillRate): number;
  /** Says how many are there. */
  fill(nowMs: number, rate: FillRate, tokens: number): void;
}

/** What a sum of fractions may be short of a whole token by. */
const SLACK = 1e-9;

export class LocalRateBucket implements RateBucket {
  /** Before every time: full. */
  #emptyMs = Number.NEGATIVE_INFINITY;

  take(nowMs: number, rate: FillRate, cost: number): boolean {
    const tokens = this.tokens(nowMs, rate);
    if (tokens + SLACK < cost) return false;
    this.#emptyMs = nowMs - (tokens - cost) / rate.tokensPerMs;
    return true;
  }

  tokens(nowMs: number, { tokensMax, tokensPerMs }: FillRate): number {
    return Math.max(0, Math.min(tokensMax, (nowMs - this.#emptyMs) * tokensPerMs));
  }

  fill(nowMs: number, rate: FillRate, tokens: number): void {
    this.#emptyMs = nowMs - tokens / rate.tokensPerMs;
  }
}

const NS = 1e6;
const UNUSED = 0n;

/** In nanoseconds on the clock of the process; 0, which is fresh memory, is a bucket that nobody has used. */
export class SharedRateBucket implements RateBucket {
  readonly #cells: BigInt64Array<SharedArrayBuffer>;
  readonly #at: number;

  constructor(cells: BigInt64Array<SharedArrayBuffer>, at: number) {
    this.#cells = cells;
    this.#at = at;
  }

  take(nowMs: number, rate: FillRate, cost: number): boolean {
    const cells = this.#cells;
    for (;;) {
      const found = Atomics.load(cells, this.#at);
      const tokens = tokensSince(found, nowMs, rate);
      if (tokens + SLACK < cost) return false;
      const next = emptyAt(nowMs, rate, tokens - cost);
      if (Atomics.compareExchange(cells, this.#at, found, next) === found) return true;
    }
  }

  tokens(nowMs: number, rate: FillRate): number {
    return tokensSince(Atomics.load(this.#cells, this.#at), nowMs, rate);
  }

  fill(nowMs: number, rate: FillRate, tokens: number): void {
    Atomics.store(this.#cells, this.#at, emptyAt(nowMs, rate, tokens));
  }
}

function tokensSince(empty: bigint, nowMs: number, { tokensMax, tokensPerMs }: FillRate): number {
  if (empty === UNUSED) return tokensMax;
  return Math.max(0, Math.min(tokensMax, (nowMs - Number(empty) / NS) * tokensPerMs));
}

/** Rounded to the later nanosecond: never a token too many. */
function emptyAt(nowMs: number, { tokensPerMs }: FillRate, tokens: number): bigint {
  const at = BigInt(Math.ceil((nowMs - tokens / tokensPerMs) * NS));
  return at === UNUSED ? 1n : at;
}
