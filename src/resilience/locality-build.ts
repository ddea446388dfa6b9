// Divides the endpoints of one side of a priority by locality, where the settings ask for that, and makes
// the picker over the localities. Null where localities do not matter or cannot be told apart: then one
// balancer over all endpoints does.
import type { Locality, Picker } from '../plan/cluster.ts';
import { effectiveWeight, zoneShareOf } from './locality-share.ts';
import { WeightedLocalities, ZoneAwareLocalities } from './locality-picker.ts';
import { DEFAULT_POLICY } from './assignment-policy.ts';
import { hostSetsOf, isExcluded, NO_ENDPOINTS, type HostSet, type Member } from './host-set.ts';
import type { PickerContext } from './picker.ts';

/** Where this sidecar is, and how many of its like are where (ClusterManager.local_cluster_name). */
export interface LocalZone {
  readonly locality: Locality;
  /** Fit members of the local cluster by localityKey. */
  readonly peers: ReadonlyMap<string, number>;
  /** Of the local cluster's members, how many are fit, in percent. */
  readonly fitPercent: number;
}

/** Zone aware routing (zone_aware_lb_config). */
export interface ZoneAware {
  /** Whole percent of requests; 100 by default. */
  readonly enabledPercent: number;
  /** Fewer healthy endpoints than this: the zone is ignored; 6 by default. */
  readonly sizeMin: number;
  /** True: a priority in panic answers nothing. */
  readonly failsOnPanic: boolean;
}

export type MakeBalancer = (members: readonly Member[], context: PickerContext) => Picker;

export function buildLocalities(
  set: HostSet,
  side: 'healthy' | 'degraded',
  context: PickerContext,
  make: MakeBalancer,
): Picker | null {
  if (context.settings.weighsLocalities) return byWeight(set, side, context, make);
  return side === 'healthy' ? byZone(set.healthy, context, make) : null;
}

function byWeight(
  set: HostSet,
  side: 'healthy' | 'degraded',
  context: PickerContext,
  make: MakeBalancer,
): Picker | null {
  const pickers: Picker[] = [];
  const weights: number[] = [];
  const fitByLocality = groupByLocality(set[side]);
  const factor = context.policy.overprovisioningFactor;
  for (const [key, all] of groupByLocality(set.all)) {
    const fit = fitByLocality.get(key) ?? [];
    const total = all.filter((member) => !isExcluded(member)).length;
    const weight = effectiveWeight(all[0]?.localityWeight ?? 0, { fit: fit.length, total }, factor);
    if (weight <= 0) continue;
    pickers.push(make(fit, context));
    weights.push(weight);
  }
  // Without any weight Envoy takes all endpoints alike.
  if (pickers.length === 0) return null;
  return pickers.length === 1
    ? (pickers[0] ?? null)
    : new WeightedLocalities(pickers, Float64Array.from(weights), context.random);
}

function byZone(healthy: readonly Member[], context: PickerContext, make: MakeBalancer): Picker | null {
  const { settings, zone, random } = context;
  const { zoneAware } = settings;
  if (zoneAware === null || zoneAware === undefined || zone === null) return null;
  if (healthy.length < zoneAware.sizeMin || zone.peers.size === 0) return null;
  const groups = groupByLocality(healthy);
  if (groups.size < 2) return null;
  // The sidecars themselves are in doubt: their numbers say nothing.
  if (zone.fitPercent < settings.panicThresholdPercent) {
    return zoneAware.failsOnPanic ? NO_ENDPOINTS : null;
  }
  const home = localityKey(zone.locality);
  const hasLocal = groups.has(home);
  const keys = [...groups.keys()].toSorted((left, right) => Number(right === home) - Number(left === home));
  const share = zoneShareOf({
    upstream: keys.map((key) => groups.get(key)?.length ?? 0),
    local: keys.map((key) => zone.peers.get(key) ?? 0),
    localTotal: [...zone.peers.values()].reduce((sum, count) => sum + count, 0),
    hasLocal,
  });
  const everywhere = make(healthy, context);
  const pickers = keys.map((key) => make(groups.get(key) ?? [], context));
  return new ZoneAwareLocalities({ pickers, everywhere, share, enabledPercent: zoneAware.enabledPercent, random });
}

/** The members of the sidecar's own cluster, as zone aware routing counts them: its first priority. */
export function localZoneOf(members: readonly Member[], locality: Locality): LocalZone {
  const [first] = hostSetsOf(members, DEFAULT_POLICY);
  if (first === undefined) return { locality, peers: new Map(), fitPercent: 0 };
  const peers = new Map<string, number>();
  for (const [key, group] of groupByLocality(first.healthy)) peers.set(key, group.length);
  return { locality, peers, fitPercent: first.health.fitPercent };
}

function groupByLocality(members: readonly Member[]): ReadonlyMap<string, readonly Member[]> {
  return Map.groupBy(members, ({ endpoint }) => localityKey(endpoint.locality));
}

export function localityKey({ region, zone, subZone }: Locality): string {
  return JSON.stringify([region, zone, subZone]);
}
