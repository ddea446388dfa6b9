// Builds the momentary Picker of a cluster: first which endpoints may be used at all (priority and
// health), then the balancer over them. A Picker is never changed: whatever changes here makes
// another one, so a pick looks at nothing but its own arrays.
import { assertNever } from '../base/assert.ts';
import type { Endpoint, Picker } from '../plan/cluster.ts';
import type { ConfiguredHealth, ClusterSettings } from './cluster-settings.ts';
import { LeastOfAll, LeastOfChoices, WeightedLeastRequest } from './least-request.ts';
import { RandomPicker } from './random-picker.ts';
import { EvenRoundRobin, WeightedRoundRobin } from './round-robin.ts';

/** An endpoint with what configuration says of it beyond the Endpoint itself. */
export interface Member {
  readonly endpoint: Endpoint;
  readonly health: ConfiguredHealth;
  /** 0 when the locality has none. */
  readonly localityWeight: number;
}

type PickerSettings = Pick<ClusterSettings, 'balancing' | 'weighsLocalities' | 'panicThresholdPercent'>;

export const NO_ENDPOINTS: Picker = Object.freeze({ pick: () => null });

/** Envoy considers a priority whole while 1 / 1.4 of its endpoints are healthy (overprovisioning factor). */
const OVERPROVISIONING = 1.4;

export function buildPicker(members: readonly Member[], settings: PickerSettings, random: () => number): Picker {
  const usable = selectMembers(members, settings.panicThresholdPercent);
  const { endpoints, weights } = weigh(usable, settings.weighsLocalities);
  if (endpoints.length === 0) return NO_ENDPOINTS;
  const isEven = weights.every((weight) => weight === weights[0]);
  const { balancing } = settings;
  switch (balancing.kind) {
    case 'round-robin':
      return isEven ? new EvenRoundRobin(endpoints, random) : new WeightedRoundRobin(endpoints, weights, random);
    case 'random':
      return new RandomPicker(endpoints, weights, random);
    case 'least-request':
      if (!isEven) return new WeightedLeastRequest(endpoints, weights, balancing.activeRequestBias, random);
      if (balancing.scansAll) return new LeastOfAll(endpoints, random);
      return new LeastOfChoices(endpoints, balancing.choiceCount, random);
    default:
      return assertNever(balancing);
  }
}

/**
 * The members that take traffic: those of the first priority with a healthy one, else of the first
 * with a degraded one. When too few are healthy over all priorities, Envoy panics: health counts for
 * nothing and every endpoint of the priority takes its share, because the health is doubted more
 * than the endpoints are. A threshold of 0 switches that off.
 *
 * Part 3 puts the shares between priorities here (health(P) = min(100, 140 × healthy / all)).
 */
export function selectMembers(members: readonly Member[], panicThresholdPercent: number): readonly Member[] {
  const priorities = groupByPriority(members);
  for (const isUsable of [isHealthy, isDegraded]) {
    const chosen = priorities.find((group) => group.some(isUsable));
    if (chosen === undefined) continue;
    return isPanic(chosen, priorities, panicThresholdPercent) ? chosen : chosen.filter(isUsable);
  }
  return panicThresholdPercent > 0 ? members : [];
}

function isPanic(chosen: readonly Member[], priorities: readonly (readonly Member[])[], percent: number): boolean {
  const available = (group: readonly Member[]): number =>
    group.filter((member) => isHealthy(member) || isDegraded(member)).length / group.length;
  const total = priorities.reduce((sum, group) => sum + Math.min(1, OVERPROVISIONING * available(group)), 0);
  return total < 1 && available(chosen) * 100 < percent;
}

function isHealthy({ endpoint, health }: Member): boolean {
  return endpoint.isHealthy && health === 'healthy';
}

function isDegraded({ endpoint, health }: Member): boolean {
  return endpoint.isHealthy && health === 'degraded';
}

function groupByPriority(members: readonly Member[]): readonly (readonly Member[])[] {
  const groups = new Map<number, Member[]>();
  for (const member of members) {
    const group = groups.get(member.endpoint.priority);
    if (group === undefined) groups.set(member.endpoint.priority, [member]);
    else group.push(member);
  }
  return [...groups.entries()].toSorted(([left], [right]) => left - right).map(([, group]) => group);
}

interface Weighed {
  readonly endpoints: readonly Endpoint[];
  readonly weights: Float64Array;
}

/** Under locality weighting an endpoint's share is locality weight × its part of the locality; no weight is no load. */
function weigh(members: readonly Member[], weighsLocalities: boolean): Weighed {
  if (!weighsLocalities) {
    const endpoints = members.map(({ endpoint }) => endpoint);
    return { endpoints, weights: Float64Array.from(endpoints, (endpoint) => endpoint.weight) };
  }
  const loaded = members.filter(({ localityWeight }) => localityWeight > 0);
  const sums = new Map<string, number>();
  for (const { endpoint } of loaded) {
    const key = localityKey(endpoint);
    sums.set(key, (sums.get(key) ?? 0) + endpoint.weight);
  }
  const weights = Float64Array.from(
    loaded,
    ({ endpoint, localityWeight }) => (localityWeight * endpoint.weight) / (sums.get(localityKey(endpoint)) ?? 1),
  );
  return { endpoints: loaded.map(({ endpoint }) => endpoint), weights };
}

function localityKey({ locality }: Endpoint): string {
  return JSON.stringify([locality.region, locality.zone, locality.subZone]);
}
