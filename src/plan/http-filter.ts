// What an HTTP filter of a connection manager is to those who compile one: its steps, and its steps where a
// route has settings of its own (typed_per_filter_config). sidecar/http-filters.ts knows which filters there are
// and sidecar/filter-settings.ts which settings win; here stands the contract.
import type { Any } from '@bufbuild/protobuf/wkt';
import type { Clock } from '../base/clock.ts';
import type { Problem } from '../base/problem.ts';
import type { Limits } from '../base/shared-limits.ts';
import type { ClusterRef } from './cluster.ts';
import type { Route, RouteMatch, VirtualHost } from '../xds/gen/envoy/config/route/v3/route_components_pb.js';
import type { Exchange } from './exchange.ts';
import type { FilterStat, FilterTally } from './filter-tally.ts';
import type { CompileEnv, PlanPart } from './plan.ts';
import type { HostLookup } from './host-lookup.ts';
import type { RemoteCalls } from './remote-call.ts';

export interface FilterScope {
  readonly env: CompileEnv;
  /** Of the filter's typed_config, for Problems. */
  readonly path: string;
  /** In the chain; routes give settings under it. */
  readonly name: string;
  /** A bit of the filter's own among those of its manager, for Exchange.held. */
  readonly bit: number;
  readonly statPrefix: string;
  /** Names the filter among all of the process, and stays when the listener is told again: for names of shared limits. */
  readonly place: string;
  /** The node's cluster, which Envoy calls the local service cluster. */
  readonly serviceCluster: string;
  /** The cluster whose members share limits with this process; absent: the bootstrap names none. */
  readonly localCluster?: ClusterRef;
  readonly isInbound: boolean;
  /** The manager is one of our mesh's: rules of our own hold that Envoy does not have. */
  readonly isMesh: boolean;
  readonly clock: Clock;
  /** Budgets and buckets that hold for all threads. */
  readonly limits: Limits;
  /** Calls to other services while a request waits; plan/waiting-step.ts has the steps for it. */
  readonly remote: RemoteCalls;
  /** Virtual hosts that are fetched on demand; absent: none are. */
  readonly hosts?: HostLookup;
  /** A RouteMatch outside of a route table; null after reporting why it is refused. */
  readonly routeMatch: (match: RouteMatch, problems: Problem[], path: string) => ((x: Exchange) => boolean) | null;
  /** The statistics `http.PREFIX.NAME.*`, or `http.PREFIX.NAME.PART.*`; the same object whenever it is asked for. */
  readonly tally: (name: string, stats: readonly FilterStat[], part?: FilterStatPart) => FilterTally;
}

/** A part of a statistic's name that differs by peer, and the label that Prometheus is told it by. */
export interface FilterStatPart {
  readonly label: string;
  readonly value: string;
  /** There: the statistic is `ROOT VALUE.NAME.*`, as in `cluster.web.ratelimit.*`, and not one of the manager's. */
  readonly root?: '' | 'cluster.';
}

/** Settings that a route configuration has for one filter, and where. */
export interface PlacedSettings {
  readonly any: Any;
  /** Names the level that has them (configuration, virtual host, route, entry of a split), whatever their order. */
  readonly place: string;
}

/** One route as a filter may see it while its plan is made. */
export interface RoutePlace {
  readonly route: Route;
  readonly host: VirtualHost;
  /** Of the route and of its host, for Problems. */
  readonly path: string;
  readonly hostPath: string;
  /** The name of the configuration when its other hosts are fetched on demand; null: it has them all. */
  readonly fetches: string | null;
}

/** One filter of one manager, compiled. */
export interface HttpFilter {
  /** Its steps where no route says anything else. */
  readonly part: PlanPart;
  /** Its steps with a route's settings; null after reporting why those are refused. */
  readonly withSettings: (settings: Any, env: CompileEnv, path: string) => PlanPart | null;
  /**
   * For a filter whose steps depend on fields of the route itself (`rate_limits`): its steps for that route, in the
   * place of `part` and of what `withSettings` returned, which has judged the settings before. `settings` are the
   * most specific ones; null: there are none. It is not asked where the filter is switched off, nor for requests
   * without a route. Problems go to `env`, with the path of the place; null after an error.
   */
  readonly onRoute?: (place: RoutePlace, settings: PlacedSettings | null, env: CompileEnv) => PlanPart | null;
}

/** Null after reporting why the filter is refused. */
export type CompileHttpFilter = (config: Any, scope: FilterScope) => HttpFilter | null;
