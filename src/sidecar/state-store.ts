// The state that outlives configuration: live clusters with their endpoints, balancers and pools, and
// the references that routes hold to them. An update of a cluster changes its settings in place; a
// cluster that is new is put behind its reference when it is warm; one that goes drains its pools.
// References are made on first use, so a route may be pushed before its clusters, and stay for as long as
// a cluster or a route has them: requests may name clusters too, and as many as they like.
import { clusterId } from '../base/brand.ts';
import type { Problem } from '../base/problem.ts';
import { ClusterRef, type Locality } from '../plan/cluster.ts';
import { LiveCluster } from '../resilience/cluster.ts';
import type { ClusterDependencies } from '../resilience/cluster-dependencies.ts';
import type { ClusterSettings } from '../resilience/cluster-settings.ts';
import type { OutlierWatch } from '../resilience/outlier-watch.ts';
import type { LocalZone } from '../resilience/locality-build.ts';
import type { Bootstrap } from '../xds/gen/envoy/config/bootstrap/v3/bootstrap_pb.js';
import type { ClusterLoadAssignment } from '../xds/gen/envoy/config/endpoint/v3/endpoint_pb.js';
import { FailureBell } from './failure-bell.ts';
import type { PoolRegistry } from './upstream-pool.ts';

/** The cluster that this sidecar belongs to, and where it is. */
export interface Home {
  /** ClusterManager.local_cluster_name; empty: none. */
  readonly cluster: string;
  readonly locality: Locality;
}

const NO_HOME: Home = { cluster: '', locality: { region: '', zone: '', subZone: '' } };

export interface StoreDependencies extends ClusterDependencies {
  /** Ejects endpoints; absent: nobody does. */
  readonly outliers?: OutlierWatch;
}

export class StateStore {
  readonly #dependencies: StoreDependencies;
  readonly #pools: PoolRegistry;
  readonly #refs = new Map<string, WeakRef<ClusterRef>>();
  readonly #collected = new FinalizationRegistry<string>((name) => this.#forget(name));
  /** The references of all clusters that exist, also of one that no route has. */
  readonly #kept = new Map<string, ClusterRef>();
  readonly #clusters = new Map<string, LiveCluster>();

  /** What this sidecar is an instance of, for zone aware routing; the name is empty when that is not configured. */
  readonly #home: Home;

  constructor(dependencies: StoreDependencies, pools: PoolRegistry, home: Home = NO_HOME) {
    this.#dependencies = { ...dependencies, clusterRef: this.ref, zone: () => this.#zone() };
    this.#pools = pools;
    this.#home = home;
  }

  #zone(): LocalZone | null {
    const local = this.#home.cluster === '' ? undefined : this.#clusters.get(this.#home.cluster);
    return local === undefined ? null : local.asLocalZone(this.#home.locality);
  }

  /** How many are where has changed: clusters that go by that divide their traffic anew. */
  #zoneChanged(): void {
    for (const cluster of this.#clusters.values()) {
      const isOther = cluster.name !== this.#home.cluster;
      if (isOther && cluster.settings.zoneAware !== undefined && cluster.settings.zoneAware !== null) cluster.refresh();
    }
  }

  /** The one reference of this name. */
  readonly ref = (name: string): ClusterRef => {
    const known = this.#refs.get(name)?.deref();
    if (known !== undefined) return known;
    const ref = new ClusterRef(clusterId(name));
    this.#refs.set(name, new WeakRef(ref));
    this.#collected.register(ref, name);
    return ref;
  };

  /** All clusters, warm or not, in the order they came. */
  get clusters(): ReadonlyMap<string, LiveCluster> {
    return this.#clusters;
  }

  /** Begins or updates the cluster of these settings; what is live of it stays. */
  put(settings: ClusterSettings): LiveCluster {
    const known = this.#clusters.get(settings.name);
    if (known !== undefined) {
      const before = known.settings.transport?.fingerprint;
      known.update(settings);
      if (before !== settings.transport?.fingerprint) this.#drainWhenReady(known, settings);
      return known;
    }
    const cluster = new LiveCluster(settings, this.#dependencies);
    const ref = this.ref(settings.name);
    this.#clusters.set(settings.name, cluster);
    this.#kept.set(settings.name, ref);
    cluster.onEndpoints((removed) => {
      for (const endpoint of removed) this.#pools.drain(endpoint);
    });
    this.#dependencies.outliers?.follow(cluster);
    if (settings.name === this.#home.cluster) cluster.onRefresh(() => this.#zoneChanged());
    const bell = new FailureBell((endpoint) => this.#pools.fail(endpoint, cluster.settings.endsTcpOnFailure));
    cluster.onRefresh(() => bell.look(cluster.endpoints));
    cluster.onWarm(() => {
      if (this.#clusters.get(settings.name) === cluster) ref.cluster = cluster;
    });
    cluster.start();
    return cluster;
  }

  /** Connections that were made by other rules are not used again, once new ones can be made by these. */
  #drainWhenReady(cluster: LiveCluster, settings: ClusterSettings): void {
    const drain = (): void => {
      if (cluster.settings !== settings) return;
      for (const endpoint of cluster.endpoints) this.#pools.drain(endpoint);
    };
    const { transport } = settings;
    if (transport === undefined || transport === null) drain();
    else transport.onReady(drain);
  }

  remove(name: string): void {
    const cluster = this.#clusters.get(name);
    if (cluster === undefined) return;
    this.#clusters.delete(name);
    this.ref(name).cluster = null;
    this.#kept.delete(name);
    cluster.close();
    this.#dependencies.outliers?.forget(cluster);
  }

  /** Resource names that the EDS clusters ask for. */
  serviceNames(): ReadonlySet<string> {
    const names = new Set<string>();
    for (const { settings } of this.#clusters.values()) {
      if (settings.discovery.kind === 'eds') names.add(settings.discovery.serviceName);
    }
    return names;
  }

  /** The clusters that take their endpoints from this resource name. */
  clustersOf(serviceName: string): readonly LiveCluster[] {
    return [...this.#clusters.values()].filter(
      ({ settings: { discovery } }) => discovery.kind === 'eds' && discovery.serviceName === serviceName,
    );
  }

  /** Swaps the endpoints of every cluster of this name; with an error among the Problems nothing changed. */
  putEndpoints(assignment: ClusterLoadAssignment): readonly Problem[] {
    let problems: readonly Problem[] = [];
    for (const cluster of this.clustersOf(assignment.clusterName)) problems = cluster.updateEndpoints(assignment);
    return problems;
  }

  close(): void {
    for (const name of Array.from(this.#clusters.keys())) this.remove(name);
  }

  /** A newer reference of the same name may have come before the news that the old one was collected. */
  #forget(name: string): void {
    if (this.#refs.get(name)?.deref() === undefined) this.#refs.delete(name);
  }
}

/** Where the bootstrap says that this sidecar is. */
export function homeOf({ clusterManager, node }: Bootstrap): Home {
  const { region = '', zone = '', subZone = '' } = node?.locality ?? {};
  return { cluster: clusterManager?.localClusterName ?? '', locality: { region, zone, subZone } };
}
