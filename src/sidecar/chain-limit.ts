// How many connections a filter chain may have at once (Envoy network filter connection_limit). One too many
// is closed, after a delay where one is configured, so that whoever tries again at once is slowed down.
// The filter's runtime flag is read when the configuration is compiled, and the limit is each thread's own.
import { error, type Problem } from '../base/problem.ts';
import type { ChainLimitTally } from '../observe/proxy-tally.ts';
import type { ConnectionLimit } from '../xds/gen/envoy/extensions/filters/network/connection_limit/v3/connection_limit_pb.js';
import { durationMs } from './compile-duration.ts';

export class ChainLimit {
  /** How long a connection that is too many is kept waiting; 0 is not at all. */
  readonly delayMs: number;
  readonly #max: number;
  readonly #tally: ChainLimitTally;
  #admitted = 0;

  constructor(max: number, delayMs: number, tally: ChainLimitTally) {
    this.#max = max;
    this.delayMs = delayMs;
    this.#tally = tally;
  }

  /** False, and counted, for one too many; true must be answered by one release(). */
  admits(): boolean {
    if (this.#admitted >= this.#max) {
      this.#tally.limited++;
      return false;
    }
    this.#admitted++;
    this.#tally.active++;
    return true;
  }

  release(): void {
    this.#admitted--;
    this.#tally.active--;
  }
}

export interface ChainLimitScope {
  readonly problems: Problem[];
  readonly path: string;
  readonly runtimeNumber: (key: string, fallback: number) => number;
  readonly tallyOf: (statPrefix: string) => ChainLimitTally;
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
  return new ChainLimit(Number(maxConnections), durationMs(delay, 0), scope.tallyOf(statPrefix));
}
