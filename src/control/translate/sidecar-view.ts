// Everything that one sidecar gets, encoded: what all of its sort get (`common-view.ts`), and over it the listeners and
// clusters of its own. A builder follows the one of the snapshot before, and takes over from it what cannot be different.
import { ClusterSchema } from '../../xds/gen/envoy/config/cluster/v3/cluster_pb.js';
import type { Cluster } from '../../xds/gen/envoy/config/cluster/v3/cluster_pb.js';
import { ListenerSchema } from '../../xds/gen/envoy/config/listener/v3/listener_pb.js';
import type { Listener } from '../../xds/gen/envoy/config/listener/v3/listener_pb.js';
import { LayeredResources, changeBetween, type NamedResources } from '../../xds/resource-change.ts';
import { encodeResource, versionOf } from '../../xds/resource.ts';
import type { EncodedResource } from '../../xds/resource.ts';
import {
  CLUSTER_TYPE,
  ENDPOINT_TYPE,
  LISTENER_TYPE,
  ROUTE_TYPE,
  SECRET_TYPE,
  VIRTUAL_HOST_TYPE,
} from '../../xds/type-url.ts';
import type { TypeUrl } from '../../xds/type-url.ts';
import type { Problem } from '../../base/problem.ts';
import type { Clients } from '../client-roster.ts';
import { ConcurrencyShares } from '../concurrency-shares.ts';
import type { DestinationRuleSpec, PortPolicy } from '../../config/destination-rule.ts';
import type { LocalitySetting } from '../../config/locality-setting.ts';
import type { View } from '../flow.ts';
import type { MeshNode } from '../mesh-node.ts';
import type { Snapshot } from '../snapshot.ts';
import { capturedInbound } from './captured-inbound.ts';
import { capturedOutbound, outboundKey } from './captured-outbound.ts';
import { capturedInboundCluster, inboundCluster } from './clusters.ts';
import { commonView, ownPortsOf } from './common-view.ts';
import type { CommonView, Difference, LimitedCluster, ManagersOf } from './common-view.ts';
import { checkShares, withShare } from './concurrency-limit.ts';
import { fixedClusters } from './fixed-clusters.ts';
import { InboundPorts } from './inbound-ports.ts';
import type { Interner } from './interner.ts';
import { NO_HOSTS } from './on-demand-hosts.ts';
import { usedClusters } from './used-clusters.ts';
import { inboundListener, outboundListener } from './listeners.ts';
import { usesAccounts } from './route-rate-limits.ts';

/** What only this sidecar gets. */
interface Own {
  readonly clusters: NamedResources;
  readonly listeners: NamedResources;
  /** By which its outbound listeners are found, which other sidecars have as well; null in explicit mode. */
  readonly outboundKey: string | null;
  readonly managers: ManagersOf;
}

interface OwnParts {
  readonly clusters: readonly Cluster[];
  readonly listeners: readonly Listener[];
}

/** What `#neededBy` looks at. */
interface Needs {
  readonly common: CommonView;
  readonly own: Own;
  readonly listeners: NamedResources;
  readonly previous: View | null;
  readonly used: ReadonlySet<string>;
}

interface Needed {
  readonly clusters: NamedResources;
  readonly hosts: NamedResources;
  /** By which the next view may know that it has the same; empty: nothing to compare. */
  readonly inputs: readonly object[];
}

/** With thousands of sidecars that fetch, most changes concern few of them. */
const madeFrom = new WeakMap<View, readonly object[]>();

export interface ViewBuilderOptions {
  readonly sequence: number;
  /** Outlives the snapshot: bytes seen before keep their object. */
  readonly interned: Interner;
  /** Among whom service-wide limits are divided. */
  readonly clients: Clients;
  /** Virtual hosts above which those sidecars that can fetch them do; 0: always. */
  readonly onDemandAbove: number;
  /** The builder before, and how its snapshot differs; null, the default: there is none. */
  readonly follows?: { readonly builder: ViewBuilder; readonly difference: Difference } | null;
}

const EVERYTHING: Difference = { kind: 'all' };
const NOTHING_USED: ReadonlySet<string> = new Set();

/** Makes the views of one snapshot. */
export class ViewBuilder {
  readonly #snapshot: Snapshot;
  readonly #sequence: number;
  readonly #interned: Interner;
  readonly #onDemandAbove: number;
  readonly #usesLabels: boolean;
  readonly #usesAccounts: boolean;
  /** Whether callers of different localities get different endpoints. */
  readonly #usesPlaces: boolean;
  readonly #inbound: InboundPorts;
  readonly #shares: ConcurrencyShares;
  readonly #difference: Difference;
  readonly #common = new Map<string, CommonView>();
  /** Of the builder before, by the same key. */
  readonly #commonBefore: ReadonlyMap<string, CommonView>;
  readonly #own = new Map<MeshNode, Own>();
  readonly #ownBefore: ReadonlyMap<MeshNode, Own>;
  /** Addresses where something began or ceased to serve. */
  readonly #movedAddresses: ReadonlySet<string>;

  constructor(snapshot: Snapshot, { sequence, interned, clients, onDemandAbove, follows = null }: ViewBuilderOptions) {
    this.#shares = new ConcurrencyShares(clients, (node, host) => this.#commonFor(node).scope.services.has(host));
    this.#snapshot = snapshot;
    this.#sequence = sequence;
    this.#interned = interned;
    this.#onDemandAbove = onDemandAbove;
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
    this.#difference = follows?.difference ?? EVERYTHING;
    this.#commonBefore = follows === null ? new Map() : follows.builder.#common;
    if (follows === null || follows.difference.kind === 'all') {
      this.#ownBefore = new Map();
      this.#movedAddresses = new Set();
      return;
    }
    const { builder, difference } = follows;
    this.#ownBefore = builder.#own;
    this.#movedAddresses = movedAddresses(builder.#snapshot, snapshot, difference);
  }

  /**
   * `previous` is the node's last view: types that did not change keep their Map, and an equal view is returned as it is.
   * `used`: the virtual hosts that it has asked for, where it fetches them.
   */
  build(node: MeshNode, previous: View | null, used: ReadonlySet<string> = NOTHING_USED): View {
    const common = this.#commonFor(node);
    const own = this.#ownFor(node, common);
    const listeners = this.#listenersOf(node, common, { own, before: previous?.resources.get(LISTENER_TYPE) });
    const { clusters, hosts, inputs } = this.#neededBy(node, { common, own, listeners, previous, used });
    const made: readonly (readonly [TypeUrl, NamedResources])[] = [
      [CLUSTER_TYPE, clusters],
      [ENDPOINT_TYPE, common.endpoints],
      [LISTENER_TYPE, listeners],
      [ROUTE_TYPE, common.routes],
      [VIRTUAL_HOST_TYPE, hosts],
      [SECRET_TYPE, this.#snapshot.secrets.forIdentity(node.identity)],
    ];
    const resources = new Map(made.map(([type, named]) => [type, latest(previous?.resources.get(type), named)]));
    if (previous !== null && made.every(([type]) => resources.get(type) === previous.resources.get(type))) {
      madeFrom.set(previous, inputs);
      return previous;
    }
    const versions = new Map(
      [...resources].map(([type, named]) => [
        type,
        previous?.resources.get(type) === named ? (previous.versions.get(type) ?? '') : versionOf(named),
      ]),
    );
    const view: View = { sequence: this.#sequence, resources, versions };
    madeFrom.set(view, inputs);
    return view;
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

  /** Clusters, and hosts that are fetched; for one who fetches them those that it needs. */
  #neededBy(node: MeshNode, { common, own, listeners, previous, used }: Needs): Needed {
    const before = previous?.resources.get(CLUSTER_TYPE);
    if (common.hosts === null)
      return { clusters: this.#clustersOf(node, common, { own, before }), hosts: NO_HOSTS, inputs: [] };
    const inputs = [common.hosts, common.routes, common.clusters, own.clusters, listeners, used];
    const known = previous === null || common.limited.length > 0 ? null : (madeFrom.get(previous) ?? null);
    const isSame = known !== null && inputs.every((input, index) => known[index] === input);
    const beforeHosts = previous?.resources.get(VIRTUAL_HOST_TYPE);
    if (isSame && before !== undefined && beforeHosts !== undefined)
      return { clusters: before, hosts: beforeHosts, inputs };
    const all = this.#clustersOf(node, common, { own, before });
    const hosts = common.hosts.among(used);
    return { clusters: usedClusters(all, own.clusters, [listeners, common.routes, hosts]), hosts, inputs };
  }

  #clustersOf(
    node: MeshNode,
    { clusters, limited }: CommonView,
    { own, before }: { readonly own: Own; readonly before: NamedResources | undefined },
  ): NamedResources {
    if (limited.length === 0) return layered(clusters, own.clusters, before);
    const above = new Map(own.clusters);
    for (const cluster of limited) above.set(cluster.cluster.name, this.#shareOf(cluster, node));
    return new LayeredResources(clusters, above);
  }

  #listenersOf(
    node: MeshNode,
    { scope, ports, outbound, outboundBefore }: CommonView,
    { own, before }: { readonly own: Own; readonly before: NamedResources | undefined },
  ): NamedResources {
    const { outboundKey: key } = own;
    if (key === null) return own.listeners;
    const shared = getOrMake(outbound, key, () => {
      const made = capturedOutbound(node, scope, ports).map((listener) =>
        this.#interned.intern(encodeResource(ListenerSchema, listener.name, listener)),
      );
      return latest(outboundBefore.get(key), new Map(made.map((listener) => [listener.name, listener])));
    });
    return layered(shared, own.listeners, before);
  }

  #shareOf({ cluster, group, encoded }: LimitedCluster, node: MeshNode): EncodedResource {
    const share = this.#shares.of(group, node);
    return getOrMake(encoded, share, () =>
      this.#interned.intern(encodeResource(ClusterSchema, cluster.name, withShare(cluster, group, share))),
    );
  }

  #ownFor(node: MeshNode, common: CommonView): Own {
    const known = this.#own.get(node);
    if (known !== undefined) return known;
    const before = this.#ownBefore.get(node);
    const isSame =
      before !== undefined &&
      before.managers === common.managers &&
      !node.addresses.some((address) => this.#movedAddresses.has(address));
    const own = isSame ? before : this.#makeOwn(node, common);
    this.#own.set(node, own);
    return own;
  }

  #makeOwn(node: MeshNode, common: CommonView): Own {
    const isCaptured = node.mode === 'redirect';
    const parts = isCaptured ? this.#captured(node, common) : this.#explicit(node, common);
    const clusters = parts.clusters.map((cluster) => encodeResource(ClusterSchema, cluster.name, cluster));
    const listeners = parts.listeners.map((listener) => encodeResource(ListenerSchema, listener.name, listener));
    return {
      clusters: new Map(clusters.map((cluster) => [cluster.name, this.#interned.intern(cluster)])),
      listeners: new Map(listeners.map((listener) => [listener.name, this.#interned.intern(listener)])),
      outboundKey: isCaptured ? outboundKey(node, common.scope) : null,
      managers: common.managers,
    };
  }

  /** Apps that send to their sidecar by name, and are called through a port of it. */
  #explicit(node: MeshNode, { scope }: CommonView): OwnParts {
    const owned = node.apps.map((app) => ({ app, owner: this.#inbound.ownerOf(node, app.inboundPort) }));
    return {
      clusters: owned.map(({ app, owner }) => inboundCluster(node, app, owner, scope)),
      listeners: [
        outboundListener(node, scope),
        ...owned.map(({ app, owner }) => inboundListener(node, app, scope, owner)),
      ],
    };
  }

  /** A pod whose connections are redirected to its sidecar. */
  #captured(node: MeshNode, { scope }: CommonView): OwnParts {
    const inbound = this.#inbound.of(node);
    return {
      clusters: [
        ...fixedClusters(node, scope.snapshot.mesh.connectTimeoutMs),
        ...inbound.map((port) => capturedInboundCluster(node, port, scope)),
      ],
      listeners: [capturedInbound(node, scope, inbound)],
    };
  }

  #commonFor(node: MeshNode): CommonView {
    const labels = this.#usesLabels
      ? JSON.stringify([...node.labels].map(([name, value]) => `${name}=${value}`).toSorted())
      : '';
    const key = JSON.stringify([
      node.namespace,
      node.abilities,
      labels,
      node.mode,
      ownPortsOf(node),
      this.#usesPlaces ? node.locality : '',
      this.#usesAccounts ? node.serviceAccount : '',
    ]);
    return getOrMake(this.#common, key, () =>
      commonView(
        { snapshot: this.#snapshot, node, interner: this.#interned, onDemandAbove: this.#onDemandAbove },
        this.#commonBefore.get(key) ?? null,
        this.#difference,
      ),
    );
  }
}

/** Where the instances of services that moved were, or are, but not at the same ports of the same services. */
function movedAddresses(before: Snapshot, after: Snapshot, difference: Difference): ReadonlySet<string> {
  const addresses = new Set<string>();
  if (difference.kind === 'all') return addresses;
  for (const host of difference.moved) {
    const [old, now] = [placesOf(before, host), placesOf(after, host)];
    for (const [place, address] of old) if (!now.has(place)) addresses.add(address);
    for (const [place, address] of now) if (!old.has(place)) addresses.add(address);
  }
  return addresses;
}

/** Addresses by where they are and what they are behind. */
function placesOf({ services }: Snapshot, host: string): ReadonlyMap<string, string> {
  const places = new Map<string, string>();
  for (const [servicePort, endpoints] of services.get(host)?.endpoints ?? [])
    for (const { address, port } of endpoints) places.set(`${servicePort} ${address} ${port}`, address);
  return places;
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

function getOrMake<K, T>(known: Map<K, T>, key: K, make: () => T): T {
  const value = known.get(key) ?? make();
  known.set(key, value);
  return value;
}

/** The layers as they were, where they are the same two. */
function layered(below: NamedResources, above: NamedResources, before: NamedResources | undefined): NamedResources {
  const isSame = before instanceof LayeredResources && before.below === below && before.above === above;
  return isSame ? before : new LayeredResources(below, above);
}

/** What was there before, where it is the same. */
function latest(old: NamedResources | undefined, named: NamedResources): NamedResources {
  if (old === undefined || old === named) return named;
  const { changed, removed } = changeBetween(old, named);
  return changed.length === 0 && removed.length === 0 ? old : named;
}
