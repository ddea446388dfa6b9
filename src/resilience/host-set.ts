// The endpoints of a cluster by priority, and by whether they are fit: what pickers are built over.
// Counts are taken when something changes, never per request.
import type { JsonObject } from '@bufbuild/protobuf';
import { UNFIT, type Endpoint, type Picker, type PriorityHealth } from '../plan/cluster.ts';
import type { AssignmentPolicy } from './assignment-policy.ts';
import type { ConfiguredHealth } from './cluster-settings.ts';
import { availabilityOf } from './priority-load.ts';

/** An endpoint with what configuration says of it beyond the Endpoint itself. */
export interface Member {
  readonly endpoint: Endpoint;
  readonly health: ConfiguredHealth;
  /** 0 when the locality has none. */
  readonly localityWeight: number;
  /** Its metadata under `envoy.lb`, by which subsets are found; absent: it has none. */
  readonly labels?: JsonObject | undefined;
}

/** The members of one priority. */
export interface HostSet {
  readonly priority: number;
  readonly all: readonly Member[];
  readonly healthy: readonly Member[];
  readonly degraded: readonly Member[];
  readonly health: PriorityHealth;
}

export const NO_ENDPOINTS: Picker = Object.freeze({ pick: () => null });

const NOBODY: ReadonlySet<Endpoint> = new Set();

/** Priorities with endpoints, by their number. `tried` are taken for fit. */
export function hostSetsOf(
  members: readonly Member[],
  policy: AssignmentPolicy,
  tried: ReadonlySet<Endpoint> = NOBODY,
): readonly HostSet[] {
  return [...Map.groupBy(members, ({ endpoint }) => endpoint.priority)]
    .toSorted(([left], [right]) => left - right)
    .map(([priority, all]) => {
      const healthy = all.filter((member) => isHealthy(member, tried));
      const degraded = all.filter((member) => isDegraded(member, tried));
      const health = healthOf({ all, healthy, degraded }, policy);
      return { priority, all, healthy, degraded, health };
    });
}

function healthOf(
  { all, healthy, degraded }: Pick<HostSet, 'all' | 'healthy' | 'degraded'>,
  { overprovisioningFactor, weighsHealth }: AssignmentPolicy,
): PriorityHealth {
  const counted = all.filter((member) => !isExcluded(member));
  const measure = (list: readonly Member[]): number =>
    weighsHealth ? list.reduce((sum, { endpoint }) => sum + endpoint.weight, 0) : list.length;
  const total = measure(counted);
  const fitPercent = counted.length === 0 ? 0 : (100 * (healthy.length + degraded.length)) / counted.length;
  return {
    health: availabilityOf(measure(healthy), total, overprovisioningFactor),
    degraded: availabilityOf(measure(degraded), total, overprovisioningFactor),
    size: all.length,
    fitPercent,
  };
}

function isHealthy({ endpoint, health }: Member, tried: ReadonlySet<Endpoint>): boolean {
  return (endpoint.isHealthy || tried.has(endpoint)) && health === 'healthy' && !endpoint.isDegraded;
}

function isDegraded({ endpoint, health }: Member, tried: ReadonlySet<Endpoint>): boolean {
  if (!endpoint.isHealthy && !tried.has(endpoint)) return false;
  return health === 'degraded' || (health === 'healthy' && endpoint.isDegraded);
}

/** Endpoints that say nothing of a priority's health: not checked yet, or out by their own word. */
export function isExcluded({ endpoint }: Member): boolean {
  return (endpoint.unfit & (UNFIT.EXCLUDED | UNFIT.UNCHECKED)) !== 0;
}
