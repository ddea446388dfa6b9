// @hot
// So many at a time, for all threads of the process. The budget behind it is found when the first one is taken, so that
// clusters nobody uses take no shared memory. Where somebody asks how many began within an interval, each is noted. A gate
// may have another around it, which several share (a limit of several clusters together): it takes from both.
import type { Clock } from '../base/clock.ts';
import type { RateWindow } from '../base/rate-window.ts';
import type { Budget, Limits } from '../base/shared-limits.ts';
import type { Gate } from '../plan/cluster.ts';

export interface WindowPlace {
  readonly limits: Limits;
  readonly clock: Clock;
  readonly name: string;
  /** Above 0. */
  readonly intervalMs: number;
}

export interface CountGateExtras {
  /** What is taken is also counted by the interval; null: it is not. */
  readonly started: WindowPlace | null;
  /** Null: none. */
  readonly outer: CountGate | null;
}

const NO_EXTRAS: CountGateExtras = { started: null, outer: null };

export class CountGate implements Gate {
  readonly max: number;
  readonly #limits: Limits;
  readonly #name: string;
  readonly #clock: Clock | null;
  readonly #window: RateWindow | null;
  readonly #outer: CountGate | null;
  #budget: Budget | null = null;

  /** `max` may be Infinity. Config time. */
  constructor(limits: Limits, name: string, max: number, { started, outer }: CountGateExtras = NO_EXTRAS) {
    this.#outer = outer;
    this.#limits = limits;
    this.#name = name;
    this.max = max;
    this.#clock = started === null ? null : started.clock;
    this.#window = started === null ? null : started.limits.window(started.name, started.intervalMs);
  }

  acquire(): boolean {
    if (this.#budget === null) this.#budget = this.#limits.budget(this.#name);
    if (!this.#budget.acquire(this.max)) return false;
    if (this.#outer !== null && !this.#outer.acquire()) {
      this.#budget.release();
      return false;
    }
    if (this.#window !== null && this.#clock !== null) this.#window.add(this.#clock.now());
    return true;
  }

  take(): void {
    if (this.#budget === null) this.#budget = this.#limits.budget(this.#name);
    this.#budget.acquire(Infinity);
    if (this.#outer !== null) this.#outer.take();
  }

  release(): void {
    // A newer version of the cluster may give back what an older one took.
    if (this.#budget === null) this.#budget = this.#limits.budget(this.#name);
    this.#budget.release();
    if (this.#outer !== null) this.#outer.release();
  }

  get used(): number {
    return this.#budget === null ? 0 : this.#budget.used;
  }

  /** How many began within the interval; 0 where that is not counted. */
  startedAt(nowMs: number): number {
    return this.#window === null ? 0 : this.#window.count(nowMs);
  }

  /** As `startedAt`, now. */
  get started(): number {
    return this.#clock === null ? 0 : this.startedAt(this.#clock.now());
  }
}
