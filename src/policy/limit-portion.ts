// @hot
// An instance's part of a limit that the control service divides (base/limit-share.ts). A request costs as many of the
// limit's tokens as there would be instances with the same part. When the part changes, the bucket keeps what the
// instance had: a larger part begins to fill from there, so that moving parts about admits nothing in addition.
import type { FillRate, RateBucket } from '../base/rate-bucket.ts';
import type { LimitShare } from '../base/limit-share.ts';

/** More than any bucket has: an instance without a part admits nothing. */
const NEVER = 1e18;

export class LimitPortion {
  readonly #share: LimitShare;
  #version = -1;
  /** Tokens that a request costs now. */
  cost = NEVER;
  /** The limit's, but with room for one request of this instance's. */
  rate: FillRate = { tokensMax: 0, tokensPerMs: 1 };

  constructor(share: LimitShare) {
    this.#share = share;
  }

  /** A request comes: it counts as demand, and a part that was changed is put in force. */
  ask(nowMs: number, bucket: RateBucket, rate: FillRate): void {
    const share = this.#share;
    share.ask();
    const { version } = share;
    if (version === this.#version) return;
    // Until somebody says what its part is, it has none.
    const fraction = version === 0 ? 0 : share.fraction;
    this.cost = fraction <= 0 ? NEVER : 1 / fraction;
    this.#makeRoom(rate);
    // What was in force may not be what this one knew: others who have the same bucket may have been asked in between.
    const before = share.claim(version, fraction);
    if (before >= 0) {
      const had = bucket.tokens(nowMs, rate) * before;
      bucket.fill(nowMs, this.rate, fraction <= 0 ? 0 : Math.min(this.rate.tokensMax, had / fraction));
    }
    this.#version = version;
  }

  // config time: when a part changes.
  #makeRoom({ tokensMax, tokensPerMs }: FillRate): void {
    this.rate = { tokensMax: this.cost === NEVER ? tokensMax : Math.max(tokensMax, this.cost), tokensPerMs };
  }

  /** Plans are printed without it. */
  toJSON(): undefined {
    return undefined;
  }
}
