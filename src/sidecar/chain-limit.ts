// How many connections a filter chain may have at once (Envoy network filter connection_limit). One too many
// is closed, after a delay where one is configured, so that whoever tries again at once is slowed down.
// The filter's runtime flag is read when the configuration is compiled. The limit holds for all threads, and
// a newer version of its listener goes on counting where the older one was.
import { error, type Problem } from '../base/problem.ts';
import type { Budget } from '../base/shared-limits.ts';
import type { ChainLimitTally } from '../observe/proxy-tally.ts';
import type { ConnectionLimit } from '../xds/gen/envoy/extensions/filters/network/connection_limit/v3/connection_limit_pb.js';
import { durationMs } from './compile-duration.ts';

export class ChainLimit {
  /** How long a connection that is too many is kept waiting; 0 is not at all. */
  readonly delayMs: number;
  readonly #max: number;
  readonly #tally: ChainLimitTally;
  readonly #budget: Budget;

  constructor(max: number, delayMs: number, tally: ChainLimitTally, budget: Budget) {
    this.#max = max;
    this.delayMs = delayMs;
    this.#tally = tally;
    this.#budget = budget;
  }

  /** False, and counted, for one too many; true must be answered by one release(). */
  admits(): boolean {
    if (!this.#budget.acquire(this.#max)) {
      this.#tally.limited++;
      return false;
    }
    this.#tally.active++;
    return true;
  }

  release(): void {
    this.#budget.release();
    this.#tally.active--;
  }
}

export interface ChainLimitScope {
  readonly problems: Problem[];
  readonly path: string;
  readonly runtimeNumber: (key: string, fallback: number) => number;
  readonly tallyOf: (statPrefix: string) => ChainLimitTally;
  /** Counts what this chain has admitted. */
  readonly budget: Budget;
}

/** Null when it is switched off, or wrong. */
export function compileChainLimit(config: ConnectionLimit, scope: ChainLimitScope): ChainLimit | null {
  const { maxConnections, delay, runtimeEnabled, statPrefix } = config;
  if (maxConnections === undefined || maxConnections === 0n) {
    scope.problems.push(error(`${scope.path}.max_connections`, 'must be at least 1', 'write how many'));
    return null;
  }
  if (runtimeEnabled !== undefined) {
    const byDefault = runtimeEnabled.defaultValue === false ? 0 : 1;
    if (scope.runtimeNumber(runtimeEnabled.runtimeKey, byDefault) === 0) return null;
  }
  return new ChainLimit(Number(maxConnections), durationMs(delay, 0), scope.tallyOf(statPrefix), scope.budget);
}
