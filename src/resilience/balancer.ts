// Makes the balancer over one set of endpoints: what a cluster's `Balancing` comes to for these endpoints, their
// weights and their warmth. A Picker is never changed; whatever changes makes another one. Hashing balancers
// take localities by weight into their tables, the others are made for each locality.
import { assertNever } from '../base/assert.ts';
import type { Endpoint, Picker } from '../plan/cluster.ts';
import { wireText } from '../plan/wire-text.ts';
import { BoundedLoad } from './bounded-load.ts';
import type { Balancing } from './cluster-settings.ts';
import { FirstPicker } from './first-picker.ts';
import { HashPicker, type HashShare } from './hash-table.ts';
import { NO_ENDPOINTS, type Member } from './host-set.ts';
import { LeastOfAll, LeastOfChoices, WeightedLeastRequest } from './least-request.ts';
import { localityKey } from './locality-build.ts';
import { Maglev } from './maglev.ts';
import { forgetLatency, latencyWatchOf, PeakEwma } from './peak-ewma.ts';
import { RandomPicker } from './random-picker.ts';
import { Ring } from './ring.ts';
import { EvenRoundRobin, WeightedRoundRobin } from './round-robin.ts';
import { beganMs, warmth, WarmingPicker, type SlowStart } from './warming.ts';

export interface BalancerContext {
  readonly balancing: Balancing;
  /** Hashing balancers only: localities have their weights' shares of the table. */
  readonly weighsLocalities: boolean;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  /** Monotonic milliseconds. */
  readonly now: () => number;
}

type Hashing = Balancing & { readonly kind: 'ring-hash' | 'maglev' };
type Sharing = Balancing & { readonly kind: 'round-robin' | 'least-request' };
type Warming = Balancing & { readonly kind: 'round-robin' | 'least-request' | 'random' };

export function isHashing(balancing: Balancing): balancing is Hashing {
  return balancing.kind === 'ring-hash' || balancing.kind === 'maglev';
}

/** `all` are the members of the priority, fit or not: the localities of which the weights are. */
export function makeBalancer(members: readonly Member[], context: BalancerContext, all = members): Picker {
  const { balancing, random, now } = context;
  const endpoints = members.map(({ endpoint }) => endpoint);
  if (balancing.kind !== 'peak-ewma') endpoints.forEach(forgetLatency);
  if (endpoints.length === 0) return NO_ENDPOINTS;
  const weights = Float64Array.from(endpoints, (endpoint) => endpoint.weight);
  switch (balancing.kind) {
    case 'round-robin':
    case 'least-request':
      return sharing(endpoints, weights, balancing, context);
    case 'random':
      return warming(endpoints, weights, balancing, context) ?? new RandomPicker(endpoints, weights, random);
    case 'ring-hash':
    case 'maglev':
      return hashing(sharesOf(members, all, context), balancing, random);
    case 'peak-ewma': {
      const watches = endpoints.map((endpoint) => latencyWatchOf(endpoint, balancing, now));
      return new PeakEwma(endpoints, watches, weights, { random, now });
    }
    case 'pick-first':
      return new FirstPicker(endpoints);
    default:
      return assertNever(balancing);
  }
}

function sharing(
  endpoints: readonly Endpoint[],
  weights: Float64Array,
  balancing: Sharing,
  context: BalancerContext,
): Picker {
  const picker = warming(endpoints, weights, balancing, context);
  if (picker !== null) return picker;
  const { random } = context;
  const isEven = weights.every((weight) => weight === weights[0]);
  if (balancing.kind === 'round-robin') {
    return isEven ? new EvenRoundRobin(endpoints, random) : new WeightedRoundRobin(endpoints, weights, random);
  }
  if (!isEven) return new WeightedLeastRequest(endpoints, weights, balancing.activeRequestBias, random);
  if (balancing.scansAll) return new LeastOfAll(endpoints, random);
  return new LeastOfChoices(endpoints, balancing.choiceCount, random);
}

/** Null when nobody warms up. */
function warming(
  endpoints: readonly Endpoint[],
  weights: Float64Array,
  balancing: Warming,
  { random, now }: BalancerContext,
): Picker | null {
  const { slowStart = null } = balancing;
  if (slowStart === null || !hasUneven(endpoints, slowStart, now())) return null;
  const activeRequestBias = balancing.kind === 'least-request' ? balancing.activeRequestBias : 0;
  return new WarmingPicker({ endpoints, weights, slowStart, activeRequestBias, random, now });
}

/** True when endpoints differ in their warmth; those that began together need no attention. */
function hasUneven(endpoints: readonly Endpoint[], slowStart: SlowStart, nowMs: number): boolean {
  const isWarming = endpoints.some((endpoint) => warmth(endpoint, nowMs, slowStart) < 1);
  const [first] = endpoints;
  if (!isWarming || first === undefined) return false;
  return endpoints.some((endpoint) => beganMs(endpoint, slowStart) !== beganMs(first, slowStart));
}

function hashing(shares: readonly HashShare[], balancing: Hashing, random: () => number): Picker {
  if (shares.length === 0) return NO_ENDPOINTS;
  const table = balancing.kind === 'maglev' ? new Maglev(shares, balancing.tableSize) : new Ring(shares, balancing);
  if (balancing.boundPercent > 0) return new BoundedLoad(shares, table, balancing.boundPercent, random);
  const endpoints = shares.map(({ endpoint }) => endpoint);
  return new HashPicker(endpoints, table, random);
}

/** Weights as parts of the whole; a locality without a weight has none where localities are weighed. */
function sharesOf(
  members: readonly Member[],
  all: readonly Member[],
  { balancing, weighsLocalities }: BalancerContext,
): readonly HashShare[] {
  const usesHostname = isHashing(balancing) && balancing.usesHostname;
  const shareIn = (group: readonly Member[], part: number): readonly HashShare[] => {
    const total = group.reduce((sum, { endpoint }) => sum + endpoint.weight, 0);
    return group.map(({ endpoint }) => ({
      endpoint,
      key: hashKeyOf(endpoint, usesHostname),
      share: (endpoint.weight * part) / total,
    }));
  };
  const total = weighsLocalities ? localityTotal(all) : 0;
  if (total === 0) return shareIn(members, 1);
  const groups = Map.groupBy(members, ({ endpoint }) => localityKey(endpoint.locality));
  return [...groups.values()].flatMap((group) => {
    const weight = group[0]?.localityWeight ?? 0;
    return weight === 0 ? [] : shareIn(group, weight / total);
  });
}

function localityTotal(all: readonly Member[]): number {
  const weights = new Map(all.map(({ endpoint, localityWeight }) => [localityKey(endpoint.locality), localityWeight]));
  return [...weights.values()].reduce((sum, weight) => sum + weight, 0);
}

/** Metadata `envoy.lb: {hash_key}`, or the hostname where that is asked for, or the address. */
function hashKeyOf(endpoint: Endpoint, usesHostname: boolean): string {
  const key = endpoint.metadata.get('hash_key') ?? '';
  if (key !== '') return wireText(key);
  return usesHostname ? wireText(endpoint.hostname) : endpoint.authority;
}
