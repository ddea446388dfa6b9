// What every connection of the data plane shares: time, chance, the log, the pools, and counters that
// belong to nobody else. One per process.
import type { Clock } from '../base/clock.ts';
import type { Log } from '../base/log.ts';
import type { TimerWheel } from '../base/timer-wheel.ts';
import type { ChainBook } from './chain-book.ts';
import type { PoolRegistry } from './upstream-pool.ts';

export interface Engine {
  readonly clock: Clock;
  readonly wheel: TimerWheel;
  readonly log: Log;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly pools: PoolRegistry;
  readonly counters: EngineCounters;
  /** What the app of a mesh is working for. */
  readonly chain: ChainBook;
}

/** Process-wide counts, read at scrape time; what Envoy counts by manager or listener is in observe/proxy-tally.ts. */
export interface EngineCounters {
  /** Requests sent once more because a reused connection turned out to be stale. */
  upstreamStaleRetries: number;
  /** Downstream connections of all listeners, and how many there may be. */
  downstreamActive: number;
  downstreamMax: number;
}

export function newEngineCounters(): EngineCounters {
  return { upstreamStaleRetries: 0, downstreamActive: 0, downstreamMax: Number.POSITIVE_INFINITY };
}
