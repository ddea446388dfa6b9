// What all nodes of one sort get alike (same namespace, abilities, mode, and where rules ask for them labels and place):
// clusters, endpoints, routes and outbound listeners, encoded once. When only instances have changed, what the services
// that moved have is encoded anew and all else is the object that it was; when only routes have changed, clusters and
// endpoints are.
import { ClusterSchema } from '../../xds/gen/envoy/config/cluster/v3/cluster_pb.js';
import type { Cluster } from '../../xds/gen/envoy/config/cluster/v3/cluster_pb.js';
import { ClusterLoadAssignmentSchema } from '../../xds/gen/envoy/config/endpoint/v3/endpoint_pb.js';
import { RouteConfigurationSchema, type RouteConfiguration } from '../../xds/gen/envoy/config/route/v3/route_pb.js';
import type { NamedResources } from '../../xds/resource-change.ts';
import { changeBetween } from '../../xds/resource-change.ts';
import { encodeResource } from '../../xds/resource.ts';
import type { EncodedResource } from '../../xds/resource.ts';
import type { ConcurrencyGroup } from '../concurrency-shares.ts';
import type { MeshNode } from '../mesh-node.ts';
import { Scope } from '../scope.ts';
import type { Snapshot } from '../snapshot.ts';
import { outboundKey } from './captured-outbound.ts';
import { dependsOnInstances, capturedPorts } from './captured-ports.ts';
import type { CapturedPort } from './captured-ports.ts';
import { capturedRoutes } from './captured-routes.ts';
import { clustersOf, outboundClusters, type ClusterContext, type OutboundCluster } from './clusters.ts';
import { authorizationClusters } from './external-authorization.ts';
import { FormerHosts } from './former-hosts.ts';
import { fallbacksOf, followFallbacks } from './fallback.ts';
import type { Interner } from './interner.ts';
import { hostCount, onDemandHosts, type FetchedHosts } from './on-demand-hosts.ts';
import { tracerClusters } from './tracing.ts';
import { outboundRoutes } from './virtual-hosts.ts';

/** A cluster of which each client has a share. */
export interface LimitedCluster {
  readonly cluster: Cluster;
  readonly group: ConcurrencyGroup;
  /** By share. */
  readonly encoded: Map<number, EncodedResource>;
}

export interface CommonView {
  readonly scope: Scope;
  /** Empty for a sidecar in explicit mode. */
  readonly ports: readonly CapturedPort[];
  /** Outbound listeners of captured sidecars, by what they have of the node; made when the first one asks. */
  readonly outbound: Map<string, NamedResources>;
  /** Of the view before. */
  readonly outboundBefore: ReadonlyMap<string, NamedResources>;
  /** Stays the object that it is while the managers of a node, sending and receiving, stay what they are. */
  readonly managers: ManagersOf;
  readonly clusters: NamedResources;
  readonly limited: readonly LimitedCluster[];
  readonly endpoints: NamedResources;
  readonly routes: NamedResources;
  /** All of them, with all of their hosts. */
  readonly tables: readonly RouteConfiguration[];
  /** Fetched one by one; null: routes have them all. */
  readonly hosts: FetchedHosts | null;
}

/** Which node was looked at to see whether managers changed, and what they were like. */
export interface ManagersOf {
  readonly node: MeshNode;
  readonly probe: string;
}

/** How the snapshot differs from the one that an earlier view is of. */
export type Difference =
  /** Instances of these hosts. */
  | { readonly kind: 'instances'; readonly moved: ReadonlySet<string> }
  /** Routes, and instances of these hosts. */
  | { readonly kind: 'routes'; readonly moved: ReadonlySet<string> }
  | { readonly kind: 'all' };

export interface CommonInputs {
  readonly snapshot: Snapshot;
  readonly node: MeshNode;
  readonly interner: Interner;
  /** Virtual hosts above which those who can fetch them do. */
  readonly onDemandAbove: number;
}

/** `before` is the view of the same sort of node in the snapshot that `difference` is against; null: there is none. */
export function commonView(inputs: CommonInputs, before: CommonView | null, difference: Difference): CommonView {
  if (before === null || difference.kind === 'all') return kept(before, make(inputs, null, new Set()));
  const { snapshot, node } = inputs;
  const { moved } = difference;
  if (difference.kind === 'routes') return kept(before, make(inputs, before, moved));
  const scope = new Scope(snapshot, node, { scope: before.scope, moved });
  const mine = [...moved].flatMap((host) => scope.services.get(host) ?? []);
  if (node.mode === 'redirect' && mine.some(dependsOnInstances)) return kept(before, make(inputs, before, moved));
  return { ...before, scope, outboundBefore: before.outbound, ...movedClusters(inputs, scope, { before, moved }) };
}

/** `before`: whose clusters hold but for those of `moved`; null: none do. */
function make(inputs: CommonInputs, before: CommonView | null, moved: ReadonlySet<string>): CommonView {
  const { snapshot, node, interner } = inputs;
  const scope = new Scope(snapshot, node);
  const fallbacks = fallbacksOf(scope);
  const clusters = before === null ? allClusters(inputs, scope) : movedClusters(inputs, scope, { before, moved });
  const isCaptured = node.mode === 'redirect';
  const ownPorts = new Set(ownPortsOf(node));
  const ports = isCaptured ? capturedPorts(scope, node, ownPorts).ports : [];
  const context = { scope, node, former: before === null ? null : new FormerHosts(before.scope, before.tables) };
  const all = (isCaptured ? capturedRoutes(ports, context) : [outboundRoutes(context)]).map((table) =>
    followFallbacks(table, fallbacks.names),
  );
  const { tables, hosts } = isOnDemand(inputs, all, before)
    ? onDemandHosts(all, interner)
    : { tables: all, hosts: null };
  const routes = new Map(
    tables.map((table) => [table.name, interner.intern(encodeResource(RouteConfigurationSchema, table.name, table))]),
  );
  return {
    scope,
    ports,
    outbound: new Map(),
    outboundBefore: before?.outbound ?? new Map(),
    managers: managersOf(node, scope, before),
    routes,
    tables: all,
    hosts,
    ...clusters,
  };
}

/** Who has begun to fetch goes on until there are far fewer, so that nobody changes to and fro. */
function isOnDemand(
  { node, onDemandAbove }: CommonInputs,
  tables: readonly RouteConfiguration[],
  before: CommonView | null,
): boolean {
  if (!node.abilities.onDemand) return false;
  const hasBegun = before !== null && before.hosts !== null;
  return hostCount(tables) > (hasBegun ? onDemandAbove / 2 : onDemandAbove);
}

/** Routes may bring filters with them (CORS, sessions, claims), which then stand in every manager that sends. */
function managersOf(node: MeshNode, scope: Scope, before: CommonView | null): ManagersOf {
  if (before === null) return { node, probe: outboundKey(node, scope) };
  const probe = outboundKey(before.managers.node, scope);
  return probe === before.managers.probe ? before.managers : { node: before.managers.node, probe };
}

type Clusters = Pick<CommonView, 'clusters' | 'endpoints' | 'limited'>;

function allClusters(inputs: CommonInputs, scope: Scope): Clusters {
  const { interner } = inputs;
  const clusters = new Map<string, EncodedResource>();
  const endpoints = new Map<string, EncodedResource>();
  const limited: LimitedCluster[] = [];
  for (const { cluster, assignment, group } of outboundClusters(contextOf(inputs, scope))) {
    clusters.set(cluster.name, interner.intern(encodeResource(ClusterSchema, cluster.name, cluster)));
    if (group !== null) limited.push({ cluster, group, encoded: new Map() });
    if (assignment === null) continue;
    const { name } = cluster;
    endpoints.set(name, interner.intern(encodeResource(ClusterLoadAssignmentSchema, name, assignment)));
  }
  for (const cluster of fallbacksOf(scope).clusters)
    clusters.set(cluster.name, interner.intern(encodeResource(ClusterSchema, cluster.name, cluster)));
  return { clusters, endpoints, limited };
}

/** The names of a service's clusters do not depend on its instances, so none come and none go. */
function movedClusters(
  inputs: CommonInputs,
  scope: Scope,
  { before, moved }: { readonly before: CommonView; readonly moved: ReadonlySet<string> },
): Clusters {
  const context = contextOf(inputs, scope);
  const made: OutboundCluster[] = [];
  for (const host of moved) {
    const service = scope.services.get(host);
    if (service !== undefined) made.push(...clustersOf(service, context));
  }
  const { clusters, endpoints } = before;
  if (made.length === 0) return { clusters, endpoints, limited: before.limited };
  const { interner } = inputs;
  const limited = before.limited.map((old) => {
    const cluster = made.find((next) => next.cluster.name === old.cluster.name)?.cluster;
    return cluster === undefined ? old : { ...old, cluster, encoded: new Map() };
  });
  return {
    clusters: changedBy(
      clusters,
      made.map(({ cluster }) => interner.intern(encodeResource(ClusterSchema, cluster.name, cluster))),
    ),
    endpoints: changedBy(
      endpoints,
      made.flatMap(({ cluster: { name }, assignment }) =>
        assignment === null ? [] : [interner.intern(encodeResource(ClusterLoadAssignmentSchema, name, assignment))],
      ),
    ),
    limited,
  };
}

function contextOf({ snapshot, node }: CommonInputs, scope: Scope): ClusterContext {
  const grpcClusters = new Set([...tracerClusters(snapshot), ...authorizationClusters(snapshot)]);
  return { scope, caller: node, abilities: node.abilities, grpcClusters };
}

/** The same object where nothing is different. */
function changedBy(named: NamedResources, resources: readonly EncodedResource[]): NamedResources {
  const different = resources.filter(({ name, version }) => named.get(name)?.version !== version);
  if (different.length === 0) return named;
  const next = new Map(named);
  for (const resource of different) next.set(resource.name, resource);
  return next;
}

/** What did not change keeps its object. */
function kept(before: CommonView | null, made: CommonView): CommonView {
  if (before === null) return made;
  return {
    ...made,
    clusters: same(before.clusters, made.clusters),
    endpoints: same(before.endpoints, made.endpoints),
    routes: same(before.routes, made.routes),
  };
}

function same(before: NamedResources, made: NamedResources): NamedResources {
  const { changed, removed } = changeBetween(before, made);
  return changed.length === 0 && removed.length === 0 ? before : made;
}

/** Ports that are the sidecar's own and lead nowhere. */
export function ownPortsOf({ mode, inboundPort, outboundPort }: MeshNode): readonly number[] {
  return mode === 'redirect' ? [inboundPort, outboundPort] : [];
}
