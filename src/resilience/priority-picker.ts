// @hot
// Chooses a priority by its share, and healthy or degraded endpoints in it, then asks the balancer over
// those. Only for clusters where that is a choice: one priority without degraded endpoints is its
// balancer itself. With a hash the priority comes of the hash, so that a key stays where it is.
// A balancer is made when its share is first used: most priorities are never asked.
import type { Endpoint, Picker, PriorityHealth } from '../plan/cluster.ts';
import type { Exchange } from '../plan/exchange.ts';
import { loadsWithout, type PriorityLoads } from './priority-load.ts';

/** Which endpoints of a priority. */
export type Side = 'healthy' | 'degraded' | 'all';

export class Level {
  /** As configured; levels may leave numbers out. */
  readonly priority: number;
  readonly health: PriorityHealth;
  readonly #make: (side: Side) => Picker;
  #healthy: Picker | null = null;
  #degraded: Picker | null = null;
  #all: Picker | null = null;

  constructor(priority: number, health: PriorityHealth, make: (side: Side) => Picker) {
    this.priority = priority;
    this.health = health;
    this.#make = make;
  }

  get healthy(): Picker {
    return (this.#healthy ??= this.#make('healthy'));
  }

  get degraded(): Picker {
    return (this.#degraded ??= this.#make('degraded'));
  }

  /** In a panic: whatever their health. */
  get all(): Picker {
    return (this.#all ??= this.#make('all'));
  }
}

export interface PriorityPickerOptions {
  readonly levels: readonly Level[];
  readonly loads: PriorityLoads;
  /** True when the balancers go by the request's hash. */
  readonly isHashed: boolean;
  readonly random: () => number;
}

/** The highest priority that has a bit of its own in `Exchange.excludedPriorities`. */
const BIT_MAX = 31;

export class PriorityPicker implements Picker {
  readonly #levels: readonly Level[];
  readonly #loads: PriorityLoads;
  readonly #isHashed: boolean;
  readonly #random: () => number;
  /** By `Exchange.excludedPriorities`, which takes few values. */
  readonly #loadsOfRetries = new Map<number, PriorityLoads>();

  constructor({ levels, loads, isHashed, random }: PriorityPickerOptions) {
    this.#levels = levels;
    this.#loads = loads;
    this.#isHashed = isHashed;
    this.#random = random;
  }

  get usesHash(): boolean {
    return this.#isHashed;
  }

  pick(x: Exchange | null): Endpoint | null {
    const loads = x === null || x.excludedPriorities === 0 ? this.#loads : this.#loadsOfRetry(x.excludedPriorities);
    const { healthy, degraded, isPanicking } = loads;
    const levels = this.#levels;
    const point = this.#isHashed && x !== null && x.hasHash ? hundredth(x) : Math.floor(this.#random() * 100);
    let end = 0;
    for (let i = 0; i < levels.length; i++) {
      end += healthy[i] as number;
      if (point >= end) continue;
      const level = levels[i] as Level;
      return (isPanicking[i] === true ? level.all : level.healthy).pick(x);
    }
    for (let i = 0; i < levels.length; i++) {
      end += degraded[i] as number;
      if (point >= end) continue;
      const level = levels[i] as Level;
      return (isPanicking[i] === true ? level.all : level.degraded).pick(x);
    }
    return null;
  }

  #loadsOfRetry(excluded: number): PriorityLoads {
    const known = this.#loadsOfRetries.get(excluded);
    return known ?? this.#addLoads(excluded);
  }

  /** Config time: once for each set of priorities. */
  #addLoads(excluded: number): PriorityLoads {
    const levels = this.#levels;
    const isExcluded = (index: number): boolean => (excluded & priorityBit(levels[index]?.priority ?? 0)) !== 0;
    const loads = loadsWithout(
      levels.map(({ health }) => health),
      isExcluded,
    );
    this.#loadsOfRetries.set(excluded, loads ?? this.#loads);
    return loads ?? this.#loads;
  }
}

/** The bit of a priority in `Exchange.excludedPriorities`; all above 31 share one. */
export function priorityBit(priority: number): number {
  return 1 << (priority < BIT_MAX ? priority : BIT_MAX);
}

/** The request's 64-bit hash modulo 100; 2^32 is 96 modulo 100. */
function hundredth(x: Exchange): number {
  return ((x.hashHigh % 100) * 96 + (x.hashLow % 100)) % 100;
}
