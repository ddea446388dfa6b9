// @hot
// How many retries there may be. A RetryBudget bounds those under way at one time by a share of the requests under
// way and waiting (Envoy RetryBudget); a RetryRate bounds those that begin within an interval by a share of the requests
// that began in it, with a rate that is always allowed (Gateway API XBackendTrafficPolicy).
import type { Clock } from '../base/clock.ts';
import type { RateWindow } from '../base/rate-window.ts';
import type { Budget, Limits } from '../base/shared-limits.ts';
import type { Gate } from '../plan/cluster.ts';
import type { CountGate } from './count-gate.ts';

export interface RetryBudgetInit {
  readonly limits: Limits;
  readonly name: string;
  readonly requests: CountGate;
  readonly pending: CountGate;
  /** Of the active and waiting requests, and of those that began in the interval that `requests` counts. */
  readonly percent: number;
  /** So many are always allowed. */
  readonly retriesMin: number;
}

export class RetryBudget implements Gate {
  readonly #limits: Limits;
  readonly #name: string;
  readonly #requests: CountGate;
  readonly #pending: CountGate;
  readonly #share: number;
  readonly #retriesMin: number;
  #budget: Budget | null = null;

  constructor({ limits, name, requests, pending, percent, retriesMin }: RetryBudgetInit) {
    this.#limits = limits;
    this.#name = name;
    this.#requests = requests;
    this.#pending = pending;
    this.#share = percent / 100;
    this.#retriesMin = retriesMin;
  }

  get max(): number {
    const active = this.#requests.used + this.#pending.used + this.#requests.started;
    return Math.max(Math.trunc(this.#share * active), this.#retriesMin);
  }

  get used(): number {
    return this.#budget === null ? 0 : this.#budget.used;
  }

  acquire(): boolean {
    return this.#counted().acquire(this.max);
  }

  take(): void {
    this.#counted().acquire(Infinity);
  }

  release(): void {
    this.#counted().release();
  }

  /** Found when the first retry asks, as in CountGate. */
  #counted(): Budget {
    if (this.#budget === null) this.#budget = this.#limits.budget(this.#name);
    return this.#budget;
  }
}

export interface RetryRateInit {
  readonly limits: Limits;
  readonly clock: Clock;
  readonly name: string;
  /** Counts what began within `budgetIntervalMs`, retries included. */
  readonly requests: CountGate;
  readonly percent: number;
  readonly budgetIntervalMs: number;
  readonly minCount: number;
  readonly minIntervalMs: number;
}

export class RetryRate implements Gate {
  readonly #clock: Clock;
  readonly #requests: CountGate;
  readonly #share: number;
  readonly #minCount: number;
  readonly #retries: RateWindow;
  readonly #recent: RateWindow;

  constructor({ limits, clock, name, requests, percent, budgetIntervalMs, minCount, minIntervalMs }: RetryRateInit) {
    this.#clock = clock;
    this.#requests = requests;
    this.#share = percent / 100;
    this.#minCount = minCount;
    this.#retries = limits.window(name, budgetIntervalMs);
    this.#recent = limits.window(`${name} recent`, minIntervalMs);
  }

  /** Retries that may begin within the interval, those that have begun included. */
  get max(): number {
    const nowMs = this.#clock.now();
    // Retries are requests too, but earn none.
    const requests = Math.max(0, this.#requests.startedAt(nowMs) - this.#retries.count(nowMs));
    return Math.trunc(this.#share * requests);
  }

  get used(): number {
    return this.#retries.count(this.#clock.now());
  }

  acquire(): boolean {
    const nowMs = this.#clock.now();
    if (this.#recent.count(nowMs) >= this.#minCount && this.used >= this.max) return false;
    this.take();
    return true;
  }

  take(): void {
    const nowMs = this.#clock.now();
    this.#retries.add(nowMs);
    this.#recent.add(nowMs);
  }

  /** What has begun has begun. */
  release(): void {}
}
