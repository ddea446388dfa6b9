// What an HTTP filter of a connection manager is to those who compile one: its steps, and its steps where a
// route has settings of its own (typed_per_filter_config). sidecar/http-filters.ts knows which filters there are
// and sidecar/filter-settings.ts which settings win; here stands the contract.
import type { Any } from '@bufbuild/protobuf/wkt';
import type { Clock } from '../base/clock.ts';
import type { Limits } from '../base/shared-limits.ts';
import type { FilterStat, FilterTally } from './filter-tally.ts';
import type { CompileEnv, PlanPart } from './plan.ts';

export interface FilterScope {
  readonly env: CompileEnv;
  /** Of the filter's typed_config, for Problems. */
  readonly path: string;
  /** In the chain; routes give settings under it. */
  readonly name: string;
  /** A bit of the filter's own among those of its manager, for Exchange.held. */
  readonly bit: number;
  readonly statPrefix: string;
  readonly isInbound: boolean;
  readonly clock: Clock;
  /** Budgets and buckets that hold for all threads. */
  readonly limits: Limits;
  /** The statistics `http.PREFIX.NAME.*`, or `http.PREFIX.NAME.PART.*`; the same object whenever it is asked for. */
  readonly tally: (name: string, stats: readonly FilterStat[], part?: FilterStatPart) => FilterTally;
}

/** A part of a statistic's name that differs by peer, and the label that Prometheus is told it by. */
export interface FilterStatPart {
  readonly label: string;
  readonly value: string;
}

/** One filter of one manager, compiled. */
export interface HttpFilter {
  /** Its steps where no route says anything else. */
  readonly part: PlanPart;
  /** Its steps with a route's settings; null after reporting why those are refused. */
  readonly withSettings: (settings: Any, env: CompileEnv, path: string) => PlanPart | null;
}

/** Null after reporting why the filter is refused. */
export type CompileHttpFilter = (config: Any, scope: FilterScope) => HttpFilter | null;
