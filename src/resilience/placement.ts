// Lays targets out as the members of a cluster: an endpoint whose address stays is brought up to date and
// keeps its counters and its requests in flight, what is new gets an Endpoint of its own.
import { Endpoint } from '../plan/cluster.ts';
import type { ClusterSettings, EndpointTarget } from './cluster-settings.ts';
import type { NameState } from './dns-discovery.ts';
import type { Member } from './host-set.ts';

export interface Placement {
  /** The members there are, by memberKey. */
  readonly known: (key: string) => Member | undefined;
  /** Where connections to this address are dialled from; empty: the kernel's choice. */
  readonly sourceFor: (address: string) => string;
  /** What is listed twice: EDS keeps the first (as Envoy), other types give each its own share. */
  readonly duplicates: 'first-wins' | 'all';
  /** Called for each endpoint, before it can be picked. */
  readonly onPlaced: (endpoint: Endpoint, target: EndpointTarget, isNew: boolean) => void;
}

export function placeTargets(
  targets: readonly EndpointTarget[],
  { known, sourceFor, duplicates, onPlaced }: Placement,
): Map<string, Member> {
  const placed = new Map<string, Member>();
  for (const target of targets) {
    let occurrence = 0;
    while (placed.has(memberKey(target, occurrence))) occurrence++;
    if (occurrence > 0 && duplicates === 'first-wins') continue;
    const key = memberKey(target, occurrence);
    const before = known(key)?.endpoint;
    const endpoint = before ?? new Endpoint(target);
    endpoint.sourceAddress = sourceFor(endpoint.address);
    if (before !== undefined) bringUpToDate(before, target);
    onPlaced(endpoint, target, before === undefined);
    placed.set(key, memberOf(endpoint, target));
  }
  return placed;
}

export function memberKey({ address, port }: EndpointTarget, occurrence: number): string {
  return `${address}|${port}|${occurrence}`;
}

function memberOf(endpoint: Endpoint, target: EndpointTarget): Member {
  const { health, localityWeight, labels } = target;
  return { endpoint, health, localityWeight, labels };
}

function bringUpToDate(endpoint: Endpoint, target: EndpointTarget): void {
  endpoint.hostname = target.hostname;
  endpoint.locality = target.locality;
  endpoint.priority = target.priority;
  endpoint.metadata = target.metadata;
  endpoint.transportMatch = target.transportMatch;
  endpoint.weight = target.weight;
}

/** The name that was resolved is the endpoint's hostname unless it has one of its own. */
export function resolveTarget({ target, addresses }: NameState): readonly EndpointTarget[] {
  const hostname = target.hostname !== '' || target.port === 0 ? target.hostname : target.address;
  return addresses.map((address) => ({ ...target, address, hostname }));
}

export function isSameDiscovery(before: ClusterSettings['discovery'], after: ClusterSettings['discovery']): boolean {
  return JSON.stringify(before, mapsAsEntries) === JSON.stringify(after, mapsAsEntries);
}

function mapsAsEntries(_key: string, value: unknown): unknown {
  return value instanceof Map ? [...value] : value;
}
