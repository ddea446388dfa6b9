// Everything that one sidecar gets, encoded: its scope of a snapshot run through each translation. What
// does not depend on the node itself is made once per snapshot and kind of node, and equal bytes are one
// object across sidecars and snapshots.
import { ClusterSchema } from '../../xds/gen/envoy/config/cluster/v3/cluster_pb.js';
import type { Cluster } from '../../xds/gen/envoy/config/cluster/v3/cluster_pb.js';
import { ClusterLoadAssignmentSchema } from '../../xds/gen/envoy/config/endpoint/v3/endpoint_pb.js';
import { ListenerSchema } from '../../xds/gen/envoy/config/listener/v3/listener_pb.js';
import type { Listener } from '../../xds/gen/envoy/config/listener/v3/listener_pb.js';
import { RouteConfigurationSchema } from '../../xds/gen/envoy/config/route/v3/route_pb.js';
import { encodeResource, versionOf } from '../../xds/resource.ts';
import type { EncodedResource } from '../../xds/resource.ts';
import { CLUSTER_TYPE, ENDPOINT_TYPE, LISTENER_TYPE, ROUTE_TYPE, SECRET_TYPE } from '../../xds/type-url.ts';
import type { TypeUrl } from '../../xds/type-url.ts';
import type { Problem } from '../../base/problem.ts';
import type { Clients } from '../client-roster.ts';
import { ConcurrencyShares } from '../concurrency-shares.ts';
import type { ConcurrencyGroup } from '../concurrency-shares.ts';
import type { DestinationRuleSpec, PortPolicy } from '../../config/destination-rule.ts';
import type { LocalitySetting } from '../../config/locality-setting.ts';
import type { View } from '../flow.ts';
import type { MeshApp, MeshNode } from '../mesh-node.ts';
import type { MeshService } from '../mesh-service.ts';
import { Scope } from '../scope.ts';
import type { Snapshot } from '../snapshot.ts';
import { capturedInbound } from './captured-inbound.ts';
import { capturedOutbound, outboundKey } from './captured-outbound.ts';
import { capturedPorts } from './captured-ports.ts';
import type { CapturedPort } from './captured-ports.ts';
import { capturedRoutes } from './captured-routes.ts';
import { capturedInboundCluster, inboundCluster, outboundClusters } from './clusters.ts';
import { checkShares, withShare } from './concurrency-limit.ts';
import { fallbacksOf, followFallbacks } from './fallback.ts';
import { authorizationClusters } from './external-authorization.ts';
import { fixedClusters } from './fixed-clusters.ts';
import { InboundPorts } from './inbound-ports.ts';
import { inboundListener, outboundListener } from './listeners.ts';
import { usesAccounts } from './route-rate-limits.ts';
import { tracerClusters } from './tracing.ts';
import { outboundRoutes } from './virtual-hosts.ts';

type Named = ReadonlyMap<string, EncodedResource>;

interface Shared {
  readonly scope: Scope;
  /** Empty for a sidecar in explicit mode. */
  readonly ports: readonly CapturedPort[];
  /** Outbound listeners of captured sidecars, by what they have of the node. */
  readonly outbound: Map<string, readonly EncodedResource[]>;
  readonly clusters: Named;
  /** Clusters of which each client has a share. */
  readonly limited: readonly LimitedCluster[];
  readonly endpoints: Named;
  readonly routes: Named;
}

interface LimitedCluster {
  readonly cluster: Cluster;
  readonly group: ConcurrencyGroup;
  /** By share. */
  readonly encoded: Map<number, EncodedResource>;
}

/** What only this sidecar gets. */
interface Own {
  readonly clusters: readonly Cluster[];
  readonly listeners: readonly Listener[];
  /** Listeners that other sidecars have as well. */
  readonly shared: readonly EncodedResource[];
}

export interface ViewBuilderOptions {
  readonly sequence: number;
  /** Outlives the snapshot: bytes seen before keep their object. */
  readonly interned: Interner;
  /** Among whom service-wide limits are divided. */
  readonly clients: Clients;
}

/** Makes the views of one snapshot. */
export class ViewBuilder {
  readonly #snapshot: Snapshot;
  readonly #sequence: number;
  readonly #interned: Interner;
  readonly #shared = new Map<string, Shared>();
  readonly #usesLabels: boolean;
  readonly #usesAccounts: boolean;
  /** Whether callers of different localities get different endpoints. */
  readonly #usesPlaces: boolean;
  readonly #inbound: InboundPorts;
  readonly #shares: ConcurrencyShares;

  constructor(snapshot: Snapshot, { sequence, interned, clients }: ViewBuilderOptions) {
    this.#shares = new ConcurrencyShares(clients, (node, host) => this.#sharedFor(node).scope.services.has(host));
    this.#snapshot = snapshot;
    this.#sequence = sequence;
    this.#interned = interned;
    this.#inbound = new InboundPorts(snapshot);
    const matchesLabels = snapshot.virtualServices.some(({ spec }) =>
      [...spec.http, ...spec.tls, ...spec.tcp].some((rule) =>
        rule.matches.some((match) => match.sourceLabels.size > 0),
      ),
    );
    const selecting = [...snapshot.sidecars, ...snapshot.destinationRules];
    this.#usesAccounts = usesAccounts(snapshot);
    this.#usesPlaces = isPlaced(snapshot);
    const comparesLabels =
      hasPriorities(snapshot.mesh.locality) ||
      snapshot.destinationRules.some(({ spec }) =>
        policiesOf(spec).some((policy) => hasPriorities(policy.loadBalancer?.locality)),
      );
    this.#usesLabels = comparesLabels || matchesLabels || selecting.some((resource) => resource.spec.selector !== null);
  }

  /** `previous` is the node's last view: types that did not change keep their Map, and an equal view is returned as it is. */
  build(node: MeshNode, previous: View | null): View {
    const shared = this.#sharedFor(node);
    const clusters = new Map(shared.clusters);
    for (const limited of shared.limited) clusters.set(limited.cluster.name, this.#shareOf(limited, node));
    const listeners = new Map<string, EncodedResource>();
    const keep = (into: Map<string, EncodedResource>, resource: EncodedResource): void => {
      into.set(resource.name, this.#interned.intern(resource));
    };
    const own = node.mode === 'redirect' ? this.#captured(node, shared) : this.#explicit(node, shared);
    for (const listener of own.shared) listeners.set(listener.name, listener);
    for (const cluster of own.clusters) keep(clusters, encodeResource(ClusterSchema, cluster.name, cluster));
    for (const listener of own.listeners) keep(listeners, encodeResource(ListenerSchema, listener.name, listener));
    const made: readonly (readonly [TypeUrl, Named])[] = [
      [CLUSTER_TYPE, clusters],
      [ENDPOINT_TYPE, shared.endpoints],
      [LISTENER_TYPE, listeners],
      [ROUTE_TYPE, shared.routes],
      [SECRET_TYPE, this.#snapshot.secrets.forIdentity(node.identity)],
    ];
    const resources = new Map(made.map(([type, named]) => [type, keepOld(previous?.resources.get(type), named)]));
    if (previous !== null && made.every(([type]) => resources.get(type) === previous.resources.get(type)))
      return previous;
    const versions = new Map(
      [...resources].map(([type, named]) => [
        type,
        previous?.resources.get(type) === named ? (previous.versions.get(type) ?? '') : versionOf(named),
      ]),
    );
    return { sequence: this.#sequence, resources, versions };
  }

  /** What is wrong with how limits are divided now. */
  get problems(): readonly Problem[] {
    return this.hasShares ? checkShares(this.#snapshot, this.#shares) : [];
  }

  /** True when views depend on who else is there. */
  get hasShares(): boolean {
    return this.#snapshot.resilience.policies.some(({ spec }) =>
      spec.sections.some(({ kind }) => kind === 'concurrencyLimit'),
    );
  }

  #shareOf({ cluster, group, encoded }: LimitedCluster, node: MeshNode): EncodedResource {
    const share = this.#shares.of(group, node);
    return getOrMake(encoded, share, () =>
      this.#interned.intern(encodeResource(ClusterSchema, cluster.name, withShare(cluster, group, share))),
    );
  }

  /** Apps that send to their sidecar by name, and are called through a port of it. */
  #explicit(node: MeshNode, { scope }: Shared): Own {
    const owned = node.apps.map((app) => ({ app, owner: this.#ownerOf(node, app) }));
    return {
      clusters: owned.map(({ app, owner }) => inboundCluster(node, app, owner, scope)),
      listeners: [
        outboundListener(node, scope),
        ...owned.map(({ app, owner }) => inboundListener(node, app, scope, owner)),
      ],
      shared: [],
    };
  }

  /** A pod whose connections are redirected to its sidecar. */
  #captured(node: MeshNode, { scope, ports, outbound }: Shared): Own {
    const inbound = this.#inbound.of(node);
    return {
      clusters: [
        ...fixedClusters(node, scope.snapshot.mesh.connectTimeoutMs),
        ...inbound.map((port) => capturedInboundCluster(node, port, scope)),
      ],
      listeners: [capturedInbound(node, scope, inbound)],
      shared: getOrMake(outbound, outboundKey(node, scope), () =>
        capturedOutbound(node, scope, ports).map((listener) =>
          this.#interned.intern(encodeResource(ListenerSchema, listener.name, listener)),
        ),
      ),
    };
  }

  /** The declared service that an app of the node stands behind; null when it has none. */
  #ownerOf(node: MeshNode, app: MeshApp): MeshService | null {
    for (const service of this.#snapshot.services.values()) {
      if (service.namespace !== node.namespace || service.kind === 'entry') continue;
      for (const endpoints of service.endpoints.values()) {
        if (endpoints.some((endpoint) => endpoint.address === node.ip && endpoint.port === app.inboundPort))
          return service;
      }
    }
    return null;
  }

  #sharedFor(node: MeshNode): Shared {
    const labels = this.#usesLabels
      ? JSON.stringify([...node.labels].map(([name, value]) => `${name}=${value}`).toSorted())
      : '';
    const ownPorts = node.mode === 'redirect' ? [node.inboundPort, node.outboundPort] : [];
    const key = JSON.stringify([
      node.namespace,
      node.abilities,
      labels,
      node.mode,
      ownPorts,
      this.#usesPlaces ? node.locality : '',
      this.#usesAccounts ? node.serviceAccount : '',
    ]);
    const known = this.#shared.get(key);
    if (known !== undefined) return known;
    const scope = new Scope(this.#snapshot, node);
    const clusters = new Map<string, EncodedResource>();
    const endpoints = new Map<string, EncodedResource>();
    const limited: LimitedCluster[] = [];
    for (const { cluster, assignment, group } of outboundClusters({
      scope,
      caller: node,
      abilities: node.abilities,
      grpcClusters: new Set([...tracerClusters(this.#snapshot), ...authorizationClusters(this.#snapshot)]),
    })) {
      clusters.set(cluster.name, this.#interned.intern(encodeResource(ClusterSchema, cluster.name, cluster)));
      if (group !== null) limited.push({ cluster, group, encoded: new Map() });
      if (assignment === null) continue;
      endpoints.set(
        cluster.name,
        this.#interned.intern(encodeResource(ClusterLoadAssignmentSchema, cluster.name, assignment)),
      );
    }
    const fallbacks = fallbacksOf(scope);
    for (const cluster of fallbacks.clusters)
      clusters.set(cluster.name, this.#interned.intern(encodeResource(ClusterSchema, cluster.name, cluster)));
    const ports = node.mode === 'redirect' ? capturedPorts(scope, node, new Set(ownPorts)).ports : [];
    const tables = node.mode === 'redirect' ? capturedRoutes(ports, { scope, node }) : [outboundRoutes(scope, node)];
    const routes = new Map(
      tables.map((table) => [
        table.name,
        this.#interned.intern(
          encodeResource(RouteConfigurationSchema, table.name, followFallbacks(table, fallbacks.names)),
        ),
      ]),
    );
    const shared = { scope, ports, outbound: new Map(), clusters, limited, endpoints, routes };
    this.#shared.set(key, shared);
    return shared;
  }
}

function hasPriorities(setting: LocalitySetting | null | undefined): boolean {
  return (setting?.failoverPriority.length ?? 0) > 0;
}

function policiesOf(spec: DestinationRuleSpec): readonly PortPolicy[] {
  const wide = [spec.policy, ...spec.subsets.map(({ policy }) => policy)].filter((policy) => policy !== null);
  return wide.flatMap((policy) => [policy, ...policy.ports.values()]);
}

function isPlaced({ mesh, services, destinationRules, resilience }: Snapshot): boolean {
  if (mesh.locality !== null || mesh.defaultPolicy.outlier !== null || resilience.policies.length > 0) return true;
  if ([...services.values()].some(({ nearness }) => nearness !== null)) return true;
  return destinationRules.some(({ spec }) =>
    policiesOf(spec).some((policy) => policy.outlier !== null || (policy.loadBalancer?.locality ?? null) !== null),
  );
}

/** Equal bytes, one object. What no view of the last publication used is forgotten at the next sweep. */
export class Interner {
  #old = new Map<string, EncodedResource>();
  #young = new Map<string, EncodedResource>();

  intern(resource: EncodedResource): EncodedResource {
    const key = `${resource.typeUrl} ${resource.name} ${resource.version}`;
    const known = this.#young.get(key) ?? this.#old.get(key) ?? resource;
    this.#young.set(key, known);
    return known;
  }

  sweep(): void {
    this.#old = this.#young;
    this.#young = new Map();
  }
}

function getOrMake<K, T>(known: Map<K, T>, key: K, make: () => T): T {
  const value = known.get(key) ?? make();
  known.set(key, value);
  return value;
}

function keepOld(old: Named | undefined, named: Named): Named {
  if (old === undefined || old.size !== named.size) return named;
  for (const [name, resource] of named) if (old.get(name)?.version !== resource.version) return named;
  return old;
}
