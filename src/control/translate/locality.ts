// Where the endpoints of a service stand for one caller: their priority by how far they are (failover), or the
// weight of their locality (distribute). As Istio does it, with one difference that its users ask for: what is
// written (`failover`, `failoverPriority`, `enabled: true`) holds without outlierDetection as well. What nobody
// wrote, the mesh's default, begins with outlierDetection as there. Resolution: DestinationRule, then the
// Service's trafficDistribution, then the mesh.
//
//   same sub-zone 0 ─► same zone 1 ─► same region 2 ─► `failover.to` 3 ─► elsewhere 3 or 4      gaps are closed
//
// Source: Istio pilot/pkg/networking/core/loadbalancer, MeshConfig.locality_lb_setting.
import type { LocalitySetting } from '../../config/locality-setting.ts';
import type { ClusterLoadAssignment } from '../../xds/gen/envoy/config/endpoint/v3/endpoint_pb.js';
import type { Locality, MeshEndpoint } from '../mesh-service.ts';

/** What kube's trafficDistribution says: callers stay as near as this while anybody is there. */
export type Nearness = 'zone' | 'subzone';

export interface LocalityInputs {
  /** Null: the rule says nothing. */
  readonly rule: LocalitySetting | null;
  readonly nearness: Nearness | null;
  readonly mesh: LocalitySetting | null;
  readonly hasOutlierDetection: boolean;
}

export interface Caller {
  readonly locality: Locality;
  readonly labels: ReadonlyMap<string, string>;
}

/** What is done with an assignment; null where localities count for nothing. */
export type LocalityPlan =
  | { readonly kind: 'failover'; readonly priorityOf: (endpoint: MeshEndpoint) => number }
  | { readonly kind: 'distribute'; readonly to: ReadonlyMap<string, number> };

const LABELS_OF_PLACES: Readonly<Record<string, keyof Locality>> = {
  'topology.kubernetes.io/region': 'region',
  'topology.kubernetes.io/zone': 'zone',
  'topology.istio.io/subzone': 'subZone',
};

export function localityPlan(
  { rule, nearness, mesh, hasOutlierDetection }: LocalityInputs,
  caller: Caller,
): LocalityPlan | null {
  if (rule !== null) return rule.isEnabled ? planOf(rule, caller) : null;
  if (nearness !== null) {
    const known = isKnown(caller.locality);
    return known
      ? failover((endpoint) => Math.max(distance(caller.locality, endpoint.locality) - Number(nearness === 'zone'), 0))
      : null;
  }
  if (mesh !== null && !mesh.isEnabled) return null;
  if (mesh !== null && mesh.distribute.length > 0) return planOf(mesh, caller);
  return hasOutlierDetection ? planOf(mesh ?? NOTHING_WRITTEN, caller) : null;
}

const NOTHING_WRITTEN: LocalitySetting = { isEnabled: true, distribute: [], failover: [], failoverPriority: [] };

function planOf(setting: LocalitySetting, caller: Caller): LocalityPlan | null {
  const { locality } = caller;
  if (setting.failoverPriority.length > 0)
    return failover((endpoint) => labelPriority(setting.failoverPriority, caller, endpoint));
  if (!isKnown(locality)) return null;
  if (setting.distribute.length > 0) {
    const entry = setting.distribute.find(({ from }) => isWithin(locality, from));
    return entry === undefined ? null : { kind: 'distribute', to: entry.to };
  }
  const target = setting.failover.find(({ from }) => from === locality.region)?.to ?? null;
  return failover((endpoint) => {
    const far = distance(locality, endpoint.locality);
    return far === ELSEWHERE && target !== null && endpoint.locality.region !== target ? ELSEWHERE + 1 : far;
  });
}

function failover(priorityOf: (endpoint: MeshEndpoint) => number): LocalityPlan {
  return { kind: 'failover', priorityOf };
}

const ELSEWHERE = 3;

/** An endpoint whose region nobody told is in the caller's when its zone is. */
function distance(from: Locality, to: Locality): number {
  const isSameZone = from.zone === to.zone;
  const isSameRegion = from.region === to.region || (to.region === '' && to.zone !== '' && isSameZone);
  if (!isSameRegion) return ELSEWHERE;
  if (!isSameZone) return 2;
  return from.subZone === to.subZone ? 0 : 1;
}

/** How many labels, from the first on, are not as the caller has them: 0 is all as wanted. */
function labelPriority(wanted: readonly string[], caller: Caller, endpoint: MeshEndpoint): number {
  const matching = wanted.findIndex((text) => {
    const at = text.indexOf('=');
    const name = at === -1 ? text : text.slice(0, at);
    const value = at === -1 ? labelOf(name, caller.labels, caller.locality) : text.slice(at + 1);
    return value !== labelOf(name, endpoint.labels, endpoint.locality);
  });
  return matching === -1 ? 0 : wanted.length - matching;
}

function labelOf(name: string, labels: ReadonlyMap<string, string>, locality: Locality): string {
  const place = LABELS_OF_PLACES[name];
  return labels.get(name) ?? (place === undefined ? '' : locality[place]);
}

/** `rule` is REGION/ZONE/SUBZONE; `*`, or nothing, is any. */
function isWithin(locality: Locality, rule: string): boolean {
  const [region = '', zone = '', subZone = ''] = rule.split('/');
  return fits(region, locality.region) && fits(zone, locality.zone) && fits(subZone, locality.subZone);
}

function fits(wanted: string, found: string): boolean {
  return wanted === '' || wanted === '*' || wanted === found;
}

function isKnown({ region, zone, subZone }: Locality): boolean {
  return region !== '' || zone !== '' || subZone !== '';
}

/** Closes the gaps between priorities: Envoy has none. */
export function closeGaps(assignment: ClusterLoadAssignment): void {
  const found = [...new Set(assignment.endpoints.map(({ priority }) => priority))].toSorted(
    (left, right) => left - right,
  );
  for (const group of assignment.endpoints) group.priority = found.indexOf(group.priority);
}

/** Gives each locality its share, the most exact rule first; localities that no rule names lose their endpoints. */
export function distribute(assignment: ClusterLoadAssignment, to: ReadonlyMap<string, number>): void {
  const left = new Set(assignment.endpoints);
  const rules = [...to].toSorted(([one], [other]) => exactness(other) - exactness(one));
  for (const [rule, share] of rules) {
    const matched = [...left].filter(({ locality }) => {
      const { region = '', zone = '', subZone = '' } = locality ?? {};
      return isWithin({ region, zone, subZone }, rule);
    });
    const total = matched.reduce((sum, { loadBalancingWeight = 1 }) => sum + loadBalancingWeight, 0);
    for (const group of matched) {
      left.delete(group);
      const weight = Math.ceil(((group.loadBalancingWeight ?? 1) * share) / total);
      if (weight > 0) group.loadBalancingWeight = weight;
      else group.lbEndpoints = [];
    }
  }
  for (const group of left) group.lbEndpoints = [];
}

function exactness(rule: string): number {
  return rule.split('/').filter((part) => part !== '' && part !== '*').length;
}
