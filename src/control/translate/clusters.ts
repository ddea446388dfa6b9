// One cluster per port of every visible service and one more per subset, as Istio names and shapes them,
// and for a joined sidecar the inbound clusters of its apps.
import { create } from '@bufbuild/protobuf';
import {
  ClusterSchema,
  Cluster_CommonLbConfigSchema,
  Cluster_CommonLbConfig_LocalityWeightedLbConfigSchema,
  Cluster_DiscoveryType,
  Cluster_DnsLookupFamily,
} from '../../xds/gen/envoy/config/cluster/v3/cluster_pb.js';
import type { Cluster } from '../../xds/gen/envoy/config/cluster/v3/cluster_pb.js';
import { MetadataSchema } from '../../xds/gen/envoy/config/core/v3/base_pb.js';
import type { Metadata } from '../../xds/gen/envoy/config/core/v3/base_pb.js';
import { ApiVersion, ConfigSourceSchema } from '../../xds/gen/envoy/config/core/v3/config_source_pb.js';
import type { ClusterLoadAssignment } from '../../xds/gen/envoy/config/endpoint/v3/endpoint_pb.js';
import type { Subset } from '../../config/destination-rule.ts';
import type { ConcurrencyGroup } from '../concurrency-shares.ts';
import { bare } from '../instances.ts';
import type { Abilities, MeshApp, MeshNode } from '../mesh-node.ts';
import { clusterName } from '../mesh-service.ts';
import type { MeshEndpoint, MeshPort, MeshService, Protocol } from '../mesh-service.ts';
import type { Scope } from '../scope.ts';
import { openBreakers } from './circuit-breakers.ts';
import { applyPolicy, poolPolicy } from './cluster-policy.ts';
import { concurrencyGroup } from './concurrency-limit.ts';
import { loadAssignment } from './endpoints.ts';
import { localityPlan, type Caller } from './locality.ts';
import { inboundSource, keepDestination } from './fixed-clusters.ts';
import { duration } from './proto.ts';
import { applyResilience } from './resilience.ts';
import { policyFor } from './traffic-policy.ts';
import { applyTls } from './upstream-tls.ts';

const CONNECT_TIMEOUT_MS = 10_000;
const DNS_REFRESH_MS = 60_000;
const LOOPBACK = '127.0.0.1';

export interface OutboundCluster {
  readonly cluster: Cluster;
  /** What EDS says of it; null when the sidecar resolves names itself. */
  readonly assignment: ClusterLoadAssignment | null;
  /** What its requests have a share in; null: nothing. */
  readonly group: ConcurrencyGroup | null;
}

export interface ClusterContext {
  readonly scope: Scope;
  readonly abilities: Abilities;
  readonly caller: Caller;
  /** Clusters that carry spans are HTTP/2 whatever their port is called. */
  readonly grpcClusters: ReadonlySet<string>;
}

export function outboundClusters(context: ClusterContext): readonly OutboundCluster[] {
  return [...context.scope.services.values()].toSorted(byHost).flatMap((service) => clustersOf(service, context));
}

/** Those of one service. Their names depend on its ports and its rule alone. */
export function clustersOf(service: MeshService, context: ClusterContext): readonly OutboundCluster[] {
  const subsets = [null, ...(context.scope.ruleFor(service.host)?.spec.subsets ?? [])];
  return service.ports.flatMap((port) => subsets.map((subset) => outboundCluster({ service, port, subset }, context)));
}

interface ClusterParts {
  readonly service: MeshService;
  readonly port: MeshPort;
  readonly subset: Subset | null;
}

function outboundCluster(
  { service, port, subset }: ClusterParts,
  { scope, abilities, caller, grpcClusters }: ClusterContext,
): OutboundCluster {
  const within = subset?.name ?? '';
  const name = clusterName('outbound', port.number, within, service.host);
  const all = service.endpoints.get(port.number) ?? [];
  const endpoints = subset === null ? all : all.filter((endpoint) => hasLabels(endpoint, subset.labels, service));
  // Our own sidecar sends spans over HTTP/2 by itself and takes no HTTP/2 clusters yet.
  const isHttp2 = abilities.http2 && (grpcClusters.has(name) || port.protocol === 'http2' || port.protocol === 'grpc');
  const cluster = create(ClusterSchema, {
    name,
    clusterDiscoveryType: { case: 'type', value: Cluster_DiscoveryType.EDS },
    connectTimeout: duration(scope.snapshot.mesh.connectTimeoutMs ?? CONNECT_TIMEOUT_MS),
    circuitBreakers: openBreakers(abilities),
    metadata: clusterMetadata(service, within),
  });
  const policy = policyFor(scope, service.host, within, port.number);
  const sections = scope.snapshot.resilience.ofService(service, port);
  const plan = localityPlan(
    {
      rule: policy?.loadBalancer?.locality ?? null,
      nearness: service.nearness,
      mesh: scope.snapshot.mesh.locality,
      hasOutlierDetection: policy?.outlier != null || sections.some(({ kind }) => kind === 'outlierDetection'),
    },
    caller,
  );
  const isPassthrough = policy?.loadBalancer?.simple === 'PASSTHROUGH';
  const keeps = scope.mode === 'redirect' && (service.keepsDestination || isPassthrough);
  if (keeps) keepDestination(cluster);
  else if (service.resolution === 'eds')
    cluster.edsClusterConfig = {
      $typeName: 'envoy.config.cluster.v3.Cluster.EdsClusterConfig',
      serviceName: name,
      edsConfig: adsSource(),
    };
  else {
    const type = service.resolution === 'dns' ? Cluster_DiscoveryType.STRICT_DNS : Cluster_DiscoveryType.LOGICAL_DNS;
    cluster.clusterDiscoveryType = { case: 'type', value: type };
    cluster.dnsLookupFamily = Cluster_DnsLookupFamily.V4_PREFERRED;
    cluster.dnsRefreshRate = duration(DNS_REFRESH_MS);
    cluster.respectDnsTtl = true;
    cluster.loadAssignment = loadAssignment(
      name,
      service.resolution === 'dns' ? endpoints : endpoints.slice(0, 1),
      plan,
    );
  }
  const { mesh } = scope.snapshot;
  const tls = policy?.tls ?? null;
  applyTls(cluster, { service, port, subset: within, tls, mesh, abilities, keeps, isHttp2 });
  applyPolicy(cluster, policy, { isHttp2, abilities });
  applyResilience(cluster, sections, { service, port, abilities });
  if (plan?.kind === 'distribute') weighLocalities(cluster);
  if (keeps) keepDestination(cluster);
  const group = concurrencyGroup(scope.snapshot, service, port);
  const isEds = service.resolution === 'eds' && !keeps;
  return { cluster, group, assignment: isEds ? loadAssignment(name, endpoints, plan) : null };
}

function weighLocalities(cluster: Cluster): void {
  cluster.commonLbConfig ??= create(Cluster_CommonLbConfigSchema);
  const value = create(Cluster_CommonLbConfig_LocalityWeightedLbConfigSchema);
  cluster.commonLbConfig.localityConfigSpecifier = { case: 'localityWeightedLbConfig', value };
}

/** An instance without labels of its own, resolved by DNS, belongs to every subset. */
function hasLabels(endpoint: MeshEndpoint, labels: ReadonlyMap<string, string>, service: MeshService): boolean {
  if (service.resolution !== 'eds' && endpoint.labels.size === 0) return true;
  for (const [name, value] of labels) if (endpoint.labels.get(name) !== value) return false;
  return true;
}

/** From a sidecar to its own app; `scope` is the node's. */
export function inboundCluster(node: MeshNode, app: MeshApp, owner: MeshService | null, scope: Scope): Cluster {
  const name = clusterName('inbound', app.port, '', '');
  const endpoint = bare(LOOPBACK, app.port);
  const cluster = create(ClusterSchema, {
    name,
    clusterDiscoveryType: { case: 'type', value: Cluster_DiscoveryType.STATIC },
    connectTimeout: duration(CONNECT_TIMEOUT_MS),
    circuitBreakers: openBreakers(node.abilities),
    loadAssignment: loadAssignment(name, [endpoint]),
    ...(owner === null ? {} : { metadata: clusterMetadata(owner, '') }),
  });
  const isHttp2 = node.abilities.http2 && (app.protocol === 'http2' || app.protocol === 'grpc');
  const policy = poolPolicy(scope.inboundPoolFor(app.port));
  applyPolicy(cluster, policy, { isHttp2, abilities: node.abilities, isInbound: true });
  return cluster;
}

/** From the sidecar of a captured pod to its own app, at the address that the caller sent to. */
export function capturedInboundCluster(
  node: MeshNode,
  { port, protocol, owner }: { readonly port: number; readonly protocol: Protocol; readonly owner: MeshService | null },
  scope: Scope,
): Cluster {
  const cluster = create(ClusterSchema, {
    name: clusterName('inbound', port, '', ''),
    connectTimeout: duration(CONNECT_TIMEOUT_MS),
    circuitBreakers: openBreakers(node.abilities),
    upstreamBindConfig: inboundSource(node),
    ...(owner === null ? {} : { metadata: clusterMetadata(owner, '') }),
  });
  const isHttp2 = node.abilities.http2 && (protocol === 'http2' || protocol === 'grpc');
  const policy = poolPolicy(scope.inboundPoolFor(port));
  applyPolicy(cluster, policy, { isHttp2, abilities: node.abilities, isInbound: true });
  keepDestination(cluster);
  return cluster;
}

export function adsSource() {
  return create(ConfigSourceSchema, {
    configSourceSpecifier: { case: 'ads', value: {} },
    resourceApiVersion: ApiVersion.V3,
  });
}

function clusterMetadata(service: MeshService, subset: string): Metadata {
  const services = [{ host: service.host, name: service.name, namespace: service.namespace }];
  return create(MetadataSchema, { filterMetadata: { istio: subset === '' ? { services } : { services, subset } } });
}

function byHost(left: MeshService, right: MeshService): number {
  return left.host < right.host ? -1 : left.host > right.host ? 1 : 0;
}
