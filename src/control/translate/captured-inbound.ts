// The inbound listener of a captured pod: one filter chain for each port of its apps, by what the port speaks, and
// at the end the chains for ports that nobody declared, which reach the app as they came. The app sees every
// connection at the address and port that the caller sent to, from 127.0.0.6.
import { create } from '@bufbuild/protobuf';
import { TrafficDirection } from '../../xds/gen/envoy/config/core/v3/base_pb.js';
import { ListenerSchema } from '../../xds/gen/envoy/config/listener/v3/listener_pb.js';
import type { Listener } from '../../xds/gen/envoy/config/listener/v3/listener_pb.js';
import { FilterChainSchema } from '../../xds/gen/envoy/config/listener/v3/listener_components_pb.js';
import type { Filter, FilterChain } from '../../xds/gen/envoy/config/listener/v3/listener_components_pb.js';
import { RouteConfigurationSchema } from '../../xds/gen/envoy/config/route/v3/route_pb.js';
import type { RouteConfiguration } from '../../xds/gen/envoy/config/route/v3/route_pb.js';
import { RouteActionSchema, RouteSchema } from '../../xds/gen/envoy/config/route/v3/route_components_pb.js';
import type { MeshNode } from '../mesh-node.ts';
import { clusterName } from '../mesh-service.ts';
import type { MeshService } from '../mesh-service.ts';
import type { Scope } from '../scope.ts';
import { accessLogs } from './access-log.ts';
import { DETECTION_TIMEOUT_MS, everywhere, plaintextHttp, wildcard } from './captured-outbound.ts';
import { BLACK_HOLE, INBOUND_PASSTHROUGH } from './fixed-clusters.ts';
import { httpManager } from './http-manager.ts';
import { inspectors, originalDestination, tcpFilter } from './listener-parts.ts';
import { inboundRoutes } from './listeners.ts';
import { duration, timeouts } from './proto.ts';
import { matchAll } from './route-match.ts';

const INBOUND_LISTENER = 'virtualInbound';

/** A port on which an app of the node is called. */
export interface InboundPort {
  readonly port: number;
  readonly protocol: 'http' | 'http2' | 'grpc' | 'tcp';
  /** Nobody said what it speaks. */
  readonly isGuessed: boolean;
  readonly owner: MeshService | null;
}

export function capturedInbound(node: MeshNode, scope: Scope, ports: readonly InboundPort[]): Listener {
  const undetected = ports.filter((port) => port.protocol === 'tcp').map(({ port }) => port);
  return create(ListenerSchema, {
    name: INBOUND_LISTENER,
    ...everywhere(node, node.inboundPort),
    trafficDirection: TrafficDirection.INBOUND,
    listenerFilters: [originalDestination(), ...inspectors([node.inboundPort, ...undetected])],
    listenerFiltersTimeout: duration(scope.snapshot.mesh.detectionTimeoutMs ?? DETECTION_TIMEOUT_MS),
    continueOnListenerFiltersTimeout: true,
    filterChains: [
      // Whoever connects to the entrance itself would be sent round in circles.
      {
        name: `${INBOUND_LISTENER}-blackhole`,
        filterChainMatch: { destinationPort: node.inboundPort },
        filters: [toCluster(BLACK_HOLE, node, scope)],
      },
      ...ports.flatMap((port) => chainsOf(port, node, scope)),
      {
        name: `${INBOUND_LISTENER}-catchall-http`,
        filterChainMatch: { applicationProtocols: plaintextHttp(node) },
        filters: [passthrough(node, scope)],
      },
    ],
    defaultFilterChain: {
      name: INBOUND_LISTENER,
      filters: [toCluster(INBOUND_PASSTHROUGH, node, scope)],
    },
  });
}

function chainsOf(inbound: InboundPort, node: MeshNode, scope: Scope): readonly FilterChain[] {
  const { port, protocol, isGuessed, owner } = inbound;
  const cluster = clusterName('inbound', port, '', '');
  const chain = (applicationProtocols: string[], filter: Filter): FilterChain =>
    create(FilterChainSchema, {
      name: `${wildcard(node)}_${port}`,
      filterChainMatch: { destinationPort: port, applicationProtocols },
      filters: [filter],
    });
  const tcp = (protocols: string[]): FilterChain => chain(protocols, toCluster(cluster, node, scope));
  const needsHttp2 = protocol === 'http2' || protocol === 'grpc';
  if (protocol === 'tcp' || (needsHttp2 && !node.abilities.http2)) return [tcp([])];
  const http = httpManager({
    node,
    scope,
    direction: 'server',
    statPrefix: `inbound_${port}`,
    owner: owner === null ? null : { service: owner, instancePort: port },
    routes: {
      case: 'routeConfig',
      value: inboundRoutes(inbound, cluster, owner, scope.snapshot.mesh.inboundRetries),
    },
  });
  if (isGuessed) return [chain(plaintextHttp(node), http), tcp([])];
  // A sidecar without HTTP/2 lets it pass to the app instead of breaking it.
  return node.abilities.http2 ? [chain([], http)] : [chain([], http), tcp(['h2c'])];
}

/** Of ports that nobody declared. */
function passthrough(node: MeshNode, scope: Scope): Filter {
  return httpManager({
    node,
    scope,
    direction: 'server',
    statPrefix: INBOUND_PASSTHROUGH,
    routes: { case: 'routeConfig', value: passthroughRoutes() },
  });
}

function toCluster(cluster: string, node: MeshNode, scope: Scope): Filter {
  return tcpFilter({
    statPrefix: cluster,
    shares: [{ cluster, weight: 1 }],
    accessLog: accessLogs(scope, node, 'server'),
  });
}

function passthroughRoutes(): RouteConfiguration {
  const action = create(RouteActionSchema, {
    clusterSpecifier: { case: 'cluster', value: INBOUND_PASSTHROUGH },
    ...timeouts(0),
  });
  const route = create(RouteSchema, {
    name: 'default',
    match: matchAll(),
    decorator: { operation: ':0/*' },
    action: { case: 'route', value: action },
  });
  return create(RouteConfigurationSchema, {
    name: INBOUND_PASSTHROUGH,
    validateClusters: false,
    virtualHosts: [{ name: 'inbound|http|0', domains: ['*'], routes: [route] }],
  });
}
