// What every connection of the data plane shares: time, chance, the log, the pools, and counters that
// belong to nobody else. One per process.
import type { Clock } from '../base/clock.ts';
import type { Log } from '../base/log.ts';
import type { TimerWheel } from '../base/timer-wheel.ts';
import type { PoolRegistry } from './upstream-pool.ts';

export interface Engine {
  readonly clock: Clock;
  readonly wheel: TimerWheel;
  readonly log: Log;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly pools: PoolRegistry;
  readonly counters: EngineCounters;
}

/** Process-wide counts, read at scrape time. */
export interface EngineCounters {
  downstreamConnections: number;
  downstreamConnectionsActive: number;
  downstreamRequests: number;
  downstreamRequestsActive: number;
  downstreamProtocolErrors: number;
  upstreamStaleRetries: number;
}

export function newEngineCounters(): EngineCounters {
  return {
    downstreamConnections: 0,
    downstreamConnectionsActive: 0,
    downstreamRequests: 0,
    downstreamRequestsActive: 0,
    downstreamProtocolErrors: 0,
    upstreamStaleRetries: 0,
  };
}
