// Envoy's on_demand filter: a request for a virtual host that is not there yet waits until it has been fetched, and is routed
// again. It stands at routes of hosts with wildcards, for a host of that very name may be had; where RouteConfiguration.vhds
// is not set it does nothing. A host of which nobody said in time whether it is there is answered 503.
import type { Any } from '@bufbuild/protobuf/wkt';
import { error } from '../base/problem.ts';
import type { FilterStat, FilterTally } from '../plan/filter-tally.ts';
import type { HostLookup } from '../plan/host-lookup.ts';
import type { FilterScope, HttpFilter, RoutePlace } from '../plan/http-filter.ts';
import type { Exchange } from '../plan/exchange.ts';
import { CONTINUE, PAUSE, REPLY, type PlanPart, type Verdict } from '../plan/plan.ts';
import { FLAGS } from '../plan/response-flags.ts';
import { step } from '../plan/step.ts';
import { waitingSteps, type WaitingPolicy } from '../plan/waiting-step.ts';
import { OnDemandSchema } from '../xds/gen/envoy/extensions/filters/http/on_demand/v3/on_demand_pb.js';
import { unpack } from '../xds/unpack.ts';

const NAME = 'on_demand';
const NONE: PlanPart = Object.freeze({});

/** `http.PREFIX.on_demand.*`: requests that asked, and what came of it. */
const STATS: readonly FilterStat[] = [
  { name: 'asked', kind: 'counter' },
  { name: 'found', kind: 'counter' },
  { name: 'absent', kind: 'counter' },
  { name: 'timeout', kind: 'counter' },
];
const STAT = { ASKED: 0, FOUND: 1, ABSENT: 2, TIMEOUT: 3 } as const;

interface Settings {
  readonly configuration: string;
  readonly hosts: HostLookup;
  readonly tally: FilterTally;
}

/** As a CompileHttpFilter. */
export function compileOnDemand(config: Any, scope: FilterScope): HttpFilter | null {
  const message = unpack(config, OnDemandSchema);
  if (message === null || message.odcds !== undefined) {
    const remedy = 'write the type alone: clusters come with the hosts that need them';
    scope.env.problems.push(error(scope.path, 'clusters cannot be fetched by themselves', remedy));
    return null;
  }
  const { hosts } = scope;
  if (hosts === undefined) return { part: NONE, withSettings: () => NONE };
  const tally = scope.tally(NAME, STATS);
  return { part: NONE, withSettings: () => NONE, onRoute: (place) => partOf(place, { hosts, tally }) };
}

function partOf({ host, fetches }: RoutePlace, common: Pick<Settings, 'hosts' | 'tally'>): PlanPart {
  if (fetches === null) return NONE;
  // Whoever is routed here again chooses a cluster, and goes on behind the step of this name.
  if (!host.domains.some((domain) => domain.includes('*')))
    return { onRequest: [step(`${NAME} answer`, NAME, go, null)], movesRoute: true };
  const settings: Settings = { ...common, configuration: fetches };
  return { ...waitingSteps(NAME, NAME, POLICY, settings), movesRoute: true };
}

const POLICY: WaitingPolicy<Settings, boolean | null> = {
  prepare: (x, { hosts, configuration }) => (hosts.isKnown(nameOf(x, configuration)) ? CONTINUE : PAUSE),
  call: (x, { hosts, configuration, tally }, done) => {
    tally.add(STAT.ASKED, 1);
    return hosts.ask(nameOf(x, configuration), done);
  },
  settle: (x, { tally }, isThere) => {
    tally.add(isThere === null ? STAT.TIMEOUT : isThere ? STAT.FOUND : STAT.ABSENT, 1);
    if (isThere === false) return CONTINUE;
    if (isThere === null) return late(x);
    x.movesRoute = true;
    return PAUSE;
  },
};

function go(): Verdict {
  return CONTINUE;
}

function late(x: Exchange): Verdict {
  x.flags |= FLAGS.NR;
  x.details = 'on_demand_timeout';
  x.response.status = 503;
  return REPLY;
}

function nameOf({ request }: Exchange, configuration: string): string {
  return `${configuration}/${request.authority.toLowerCase()}`;
}
