// How many connections a listener and the process may have: one too many is counted and closed at once. With
// several threads the limits hold for all of them together.
import type { Budget } from '../base/shared-limits.ts';
import type { ListenerTally } from '../observe/proxy-tally.ts';
import type { EngineCounters } from './engine.ts';
import type { ListenerConfig } from './listener-config.ts';
import type { ListenerHost } from './listener-host.ts';

export class ListenerAdmission {
  readonly #counters: EngineCounters;
  readonly #tally: ListenerTally;
  /** Connections of this listener, and of all, in all threads; null where this is the only one. */
  readonly #shared: { readonly own: Budget; readonly all: Budget } | null;

  constructor(counters: EngineCounters, config: ListenerConfig, host: ListenerHost | null) {
    const limits = host === null ? null : host.limits;
    this.#counters = counters;
    this.#tally = config.tally;
    this.#shared =
      limits === null ? null : { own: limits.budget(`listener ${config.name}`), all: limits.budget('downstream') };
  }

  /** False, and counted, when one more connection is too many. */
  admits({ connectionsMax }: ListenerConfig): boolean {
    const max = connectionsMax > 0 ? connectionsMax : Number.POSITIVE_INFINITY;
    const shared = this.#shared;
    const isFull = shared === null ? this.#tally.connectionsActive >= max : !shared.own.acquire(max);
    if (isFull) {
      this.#tally.overflow++;
      return false;
    }
    const { downstreamActive, downstreamMax } = this.#counters;
    const areAllFull = shared === null ? downstreamActive >= downstreamMax : !shared.all.acquire(downstreamMax);
    if (!areAllFull) return true;
    if (shared !== null) shared.own.release();
    this.#tally.globalOverflow++;
    return false;
  }

  release(): void {
    if (this.#shared === null) return;
    this.#shared.own.release();
    this.#shared.all.release();
  }
}
