// The clusters that every captured pod has: onwards to where the app sent, nowhere, and to the pod itself.
// From the sidecar to its app, connections come from 127.0.0.6, which the redirect leaves alone.
import { create } from '@bufbuild/protobuf';
import {
  ClusterSchema,
  Cluster_DiscoveryType,
  Cluster_LbPolicy,
} from '../../xds/gen/envoy/config/cluster/v3/cluster_pb.js';
import type { Cluster } from '../../xds/gen/envoy/config/cluster/v3/cluster_pb.js';
import { BindConfigSchema } from '../../xds/gen/envoy/config/core/v3/address_pb.js';
import type { BindConfig } from '../../xds/gen/envoy/config/core/v3/address_pb.js';
import {
  HttpProtocolOptionsSchema,
  HttpProtocolOptions_UseDownstreamHttpConfigSchema,
} from '../../xds/gen/envoy/extensions/upstreams/http/v3/http_protocol_options_pb.js';
import type { Abilities, MeshNode } from '../mesh-node.ts';
import { openBreakers } from './circuit-breakers.ts';
import { duration, pack } from './proto.ts';

export const PASSTHROUGH = 'PassthroughCluster';
export const BLACK_HOLE = 'BlackHoleCluster';
export const INBOUND_PASSTHROUGH = 'InboundPassthroughCluster';

const CONNECT_TIMEOUT_MS = 10_000;
const CLEANUP_MS = 60_000;
const INBOUND_SOURCE = '127.0.0.6';
const INBOUND_SOURCE_V6 = '::6';
const HTTP_OPTIONS = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions';

export function fixedClusters(node: MeshNode, connectTimeoutMs: number | null): readonly Cluster[] {
  const passthrough = originalDestination(PASSTHROUGH, connectTimeoutMs, node.abilities);
  const inbound = originalDestination(INBOUND_PASSTHROUGH, connectTimeoutMs, node.abilities);
  inbound.upstreamBindConfig = inboundSource(node);
  for (const cluster of [passthrough, inbound]) if (node.abilities.http2) keepProtocol(cluster);
  const nowhere = create(ClusterSchema, {
    name: BLACK_HOLE,
    clusterDiscoveryType: { case: 'type', value: Cluster_DiscoveryType.STATIC },
    connectTimeout: duration(connectTimeoutMs ?? CONNECT_TIMEOUT_MS),
  });
  return [passthrough, nowhere, inbound];
}

/** Makes a cluster lead to where the connection was sent before it was captured. */
export function keepDestination(cluster: Cluster): void {
  cluster.clusterDiscoveryType = { case: 'type', value: Cluster_DiscoveryType.ORIGINAL_DST };
  cluster.lbPolicy = Cluster_LbPolicy.CLUSTER_PROVIDED;
  cluster.lbConfig = { case: undefined };
  cluster.cleanupInterval = duration(CLEANUP_MS);
}

/** What the redirect lets pass to the app: the families of the node's own addresses. */
export function inboundSource(node: MeshNode): BindConfig {
  const isV4 = node.addresses.some((address) => !address.includes(':'));
  const isV6 = node.addresses.some((address) => address.includes(':'));
  return create(BindConfigSchema, {
    sourceAddress: anyPort(isV4 ? INBOUND_SOURCE : INBOUND_SOURCE_V6),
    extraSourceAddresses: isV4 && isV6 ? [{ address: anyPort(INBOUND_SOURCE_V6) }] : [],
  });
}

function anyPort(address: string) {
  return { address, portSpecifier: { case: 'portValue' as const, value: 0 } };
}

function originalDestination(name: string, connectTimeoutMs: number | null, abilities: Abilities): Cluster {
  const cluster = create(ClusterSchema, {
    name,
    connectTimeout: duration(connectTimeoutMs ?? CONNECT_TIMEOUT_MS),
    circuitBreakers: openBreakers(abilities),
  });
  keepDestination(cluster);
  return cluster;
}

/** Whatever version of HTTP the app spoke is spoken onwards. */
function keepProtocol(cluster: Cluster): void {
  const options = create(HttpProtocolOptionsSchema, {
    upstreamProtocolOptions: {
      case: 'useDownstreamProtocolConfig',
      value: create(HttpProtocolOptions_UseDownstreamHttpConfigSchema, {
        httpProtocolOptions: {},
        http2ProtocolOptions: {},
      }),
    },
  });
  cluster.typedExtensionProtocolOptions[HTTP_OPTIONS] = pack(HttpProtocolOptionsSchema, options);
}
