// How far a certificate has come in its life, by two clocks: the wall clock may jump and be wrong, the monotonic one
// stands still while a machine sleeps. What either of them says has passed, has passed; so a jump ahead costs one
// renewal, a jump back delays none, and the certificate that comes of it starts anew by today's clocks.
import type { Clock } from '../base/clock.ts';

export interface Validity {
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

/** Uniform from 35 % to 65 % of what is left when a certificate arrives. */
const RENEWAL_SHARE = 0.5;
const RENEWAL_JITTER = 0.15;

/** Dates of certificates are whole seconds, and an answer takes its time. */
const ROUNDING_MS = 2000;

export interface LifetimeOptions {
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  /** What was asked for: the life of a certificate whose dates make no sense by our clock. */
  readonly askedMs: number;
}

export class Lifetime {
  /** Of the certificate. */
  readonly notAfterMs: number;
  /** From its arrival on. */
  readonly totalMs: number;
  readonly renewAfterMs: number;
  /** How far our clock is out of the certificate's dates; 0: it lies within them. */
  readonly skewMs: number;
  readonly #clock: Clock;
  readonly #monotonicMs: number;
  readonly #wallMs: number;

  /** Of a certificate that arrives now. */
  constructor({ notBeforeMs, notAfterMs }: Validity, { clock, random, askedMs }: LifetimeOptions) {
    this.#clock = clock;
    this.#monotonicMs = clock.now();
    const wallMs = clock.wall();
    this.#wallMs = wallMs;
    this.notAfterMs = notAfterMs;
    const isEarly = wallMs < notBeforeMs - ROUNDING_MS;
    this.skewMs = isEarly ? wallMs - notBeforeMs : Math.max(0, wallMs - notAfterMs);
    // It was signed a moment ago: a clock beyond its dates is wrong, and only their difference can be used.
    this.totalMs = this.skewMs === 0 ? notAfterMs - wallMs : Math.min(askedMs, notAfterMs - notBeforeMs);
    this.renewAfterMs = this.totalMs * (RENEWAL_SHARE + (2 * random() - 1) * RENEWAL_JITTER);
  }

  get elapsedMs(): number {
    return Math.max(this.#clock.now() - this.#monotonicMs, this.#clock.wall() - this.#wallMs);
  }

  /** Negative once it has expired. */
  get leftMs(): number {
    return this.totalMs - this.elapsedMs;
  }

  get isExpired(): boolean {
    return this.leftMs <= 0;
  }

  /** By the monotonic clock, which cannot jump. */
  get hasLivedOut(): boolean {
    return this.#clock.now() - this.#monotonicMs >= this.totalMs;
  }

  /** By our wall clock. */
  get expiresAtMs(): number {
    return this.skewMs === 0 ? this.notAfterMs : this.#clock.wall() + this.leftMs;
  }

  get renewsInMs(): number {
    return this.renewAfterMs - this.elapsedMs;
  }

  /** More of its life is over than any renewal waits for, and then some. */
  get isOverdue(): boolean {
    return this.elapsedMs > this.totalMs * OVERDUE_SHARE;
  }
}

const OVERDUE_SHARE = 0.75;
