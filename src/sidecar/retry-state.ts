// @hot
// What is left of the retries of one exchange: how many, the gate that each passes, and the wait before the
// next. It belongs to a router, is made when an exchange first has a retry plan, and is used again. It decides
// whether a retry may be had, never whether one is wanted (resilience/retry-decision.ts).
//
//   claim ─► one left? ─► gate ─► in time? ─► wait ─► fire
//              └ SPENT      └ OVER    └ LATE
import { WheelTimer } from '../base/timer-wheel.ts';
import type { Head } from '../http/head.ts';
import { limitsOf, type Cluster, type Endpoint, type Gate } from '../plan/cluster.ts';
import type { Exchange } from '../plan/exchange.ts';
import { FLAGS } from '../plan/response-flags.ts';
import type { RetryPlan } from '../plan/retry-plan.ts';
import type { RetryTally } from '../plan/retry-tally.ts';
import { pickEndpoint } from '../resilience/endpoint-pick.ts';
import { backOffMs, rateLimitedMs } from '../resilience/retry-backoff.ts';
import type { Engine } from './engine.ts';

/** What became of a claim. */
export const CLAIMED = 0;
/** No retries are left. */
export const SPENT = 1;
/** The budget of the cluster refuses it. */
export const OVER = 2;
/** It would begin after the deadline, or retries are off. */
export const LATE = 3;
export type Claim = typeof CLAIMED | typeof SPENT | typeof OVER | typeof LATE;

/** Higher priorities have no bit in Exchange.excludedPriorities. */
const PRIORITY_MAX = 30;

export class RetryState {
  readonly #engine: Engine;
  readonly #x: Exchange;
  readonly #timer: WheelTimer;
  #plan: RetryPlan | null = null;
  #tally: RetryTally | null = null;
  #left = 0;
  /** Waits that were chosen by doubling. */
  #doublings = 0;
  #gate: Gate | null = null;
  /** At least one retry was begun. */
  hasRetried = false;
  /** Of the attempt before; null: there was none. */
  #last: Endpoint | null = null;
  /** No more claims. */
  #isOff = false;

  // Per connection.
  constructor(engine: Engine, x: Exchange, fire: () => void) {
    this.#engine = engine;
    this.#x = x;
    this.#timer = new WheelTimer(fire);
  }

  begin(plan: RetryPlan, cluster: Cluster): void {
    this.#plan = plan;
    this.#tally = cluster.retryTally ?? null;
    this.#left = plan.conditions === 0 ? 0 : plan.retriesMax;
    this.#doublings = 0;
    this.hasRetried = false;
    this.#last = null;
    this.#isOff = false;
  }

  /** A retry waits for its time. */
  get isWaiting(): boolean {
    return this.#timer.isArmed;
  }

  /** Takes one of the retries and waits with it; what was held for the one before is given back. `head`: of the response. */
  claim(cluster: Cluster, head: Head | null, reason: string): Claim {
    const plan = this.#plan;
    this.#release();
    if (plan === null || this.#isOff) return LATE;
    if (this.#left === 0) {
      this.#x.flags |= FLAGS.URX;
      if (this.#tally !== null) this.#tally.limitsExceeded++;
      return SPENT;
    }
    this.#left--;
    const nowMs = this.#engine.clock.now();
    const { deadlineMs } = this.#x;
    const limitedMs = head === null || plan.rateLimited === null ? -1 : this.#limitedMs(plan, head);
    const delayMs = limitedMs >= 0 ? limitedMs : backOffMs(plan.backOff, this.#doublings + 1, this.#engine.random());
    if (deadlineMs > 0 && nowMs + delayMs >= deadlineMs) return LATE;
    if (!this.#enterGate(cluster)) {
      this.#x.flags |= FLAGS.UO;
      this.#x.note(nowMs, 'retry_refused', 'budget');
      return OVER;
    }
    if (limitedMs < 0) this.#doublings++;
    this.#count(limitedMs >= 0);
    this.#x.note(nowMs, 'retry', reason);
    this.hasRetried = true;
    this.#engine.wheel.arm(this.#timer, delayMs);
    return CLAIMED;
  }

  /** Takes a retry for a request that could not be connected and has another endpoint to go to: no gate and no wait. */
  claimRedial(): boolean {
    if (this.#plan === null || this.#isOff || this.#left === 0) return false;
    this.#left--;
    this.#count(false);
    this.#x.note(this.#engine.clock.now(), 'retry', 'connect-failed');
    this.hasRetried = true;
    return true;
  }

  #limitedMs(plan: RetryPlan, head: Head): number {
    const { clock, random } = this.#engine;
    return plan.rateLimited === null ? -1 : rateLimitedMs(plan.rateLimited, head, clock.wall(), random());
  }

  #count(isRateLimited: boolean): void {
    const tally = this.#tally;
    if (tally === null) return;
    tally.retries++;
    if (isRateLimited) tally.rateLimitedBackOffs++;
    else tally.exponentialBackOffs++;
  }

  #enterGate(cluster: Cluster): boolean {
    const limits = limitsOf(cluster, this.#x.isHighPriority);
    if (limits === null) return true;
    if (!limits.retries.acquire()) {
      if (cluster.limits !== undefined && cluster.limits !== null) cluster.limits.tally.retryOverflow++;
      return false;
    }
    this.#gate = limits.retries;
    return true;
  }

  /** An endpoint for the next attempt; for a retry one that its plan likes, if the balancer has any. */
  pick(cluster: Cluster): Endpoint | null {
    const x = this.#x;
    const plan = this.#plan;
    if (plan === null) return pickEndpoint(cluster, x);
    const { hosts } = plan;
    // Kept from the first retry on: most requests need none, and a list that fills and empties makes garbage.
    if (x.attempts > 0 && this.#last !== null && (hosts.avoidsTried || hosts.priorityFrequency > 0)) {
      x.tried.push(this.#last);
    }
    if (x.attempts > 0 && hosts.priorityFrequency > 0) this.#excludePriorities(hosts.priorityFrequency);
    let endpoint = pickEndpoint(cluster, x);
    if (x.attempts > 0) {
      for (let i = 0; i < hosts.picksMax && endpoint !== null && this.#isAvoided(endpoint); i++) {
        x.pickRound = i + 1;
        endpoint = pickEndpoint(cluster, x);
      }
      x.pickRound = 0;
    }
    this.#last = endpoint;
    return endpoint;
  }

  #isAvoided(endpoint: Endpoint): boolean {
    const hosts = this.#plan === null ? null : this.#plan.hosts;
    if (hosts === null) return false;
    if (hosts.avoidsTried && this.#x.tried.includes(endpoint)) return true;
    return hosts.rejects !== null && hosts.rejects(endpoint);
  }

  /** After every so many attempts, the priorities of all of them. */
  #excludePriorities(frequency: number): void {
    const { tried } = this.#x;
    if (tried.length % frequency !== 0) return;
    for (let i = 0; i < tried.length; i++) {
      const endpoint = tried[i];
      if (endpoint !== undefined && endpoint.priority <= PRIORITY_MAX) {
        this.#x.excludedPriorities |= 1 << endpoint.priority;
      }
    }
  }

  /** A response is taken that no condition holds for. */
  succeed(): void {
    if (this.hasRetried && this.#tally !== null) this.#tally.successes++;
  }

  /** No retry from now on; one that waits is not had. */
  cancel(): void {
    this.#isOff = true;
    this.#engine.wheel.disarm(this.#timer);
  }

  /** The exchange is over. */
  finish(): void {
    this.cancel();
    this.#release();
    this.#plan = null;
    this.#tally = null;
  }

  #release(): void {
    const gate = this.#gate;
    if (gate === null) return;
    this.#gate = null;
    gate.release();
  }
}
