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
import type { MtlsMode } from '../../config/peer-authentication.ts';
import type { MeshNode } from '../mesh-node.ts';
import { clusterName } from '../mesh-service.ts';
import type { MeshService } from '../mesh-service.ts';
import { ANY_PORT } from '../peer-authentications.ts';
import type { Scope } from '../scope.ts';
import { accessLogs } from './access-log.ts';
import { everywhere, plaintextHttp, wildcard } from './captured-outbound.ts';
import { authorizationNetworkFilters } from './authorization.ts';
import { externalNetworkAuthorization } from './external-authorization.ts';
import { BLACK_HOLE, INBOUND_PASSTHROUGH } from './fixed-clusters.ts';
import { httpManager, type ManagerParts } from './http-manager.ts';
import { entrancesOf, modeFor, type Spoken } from './inbound-tls.ts';
import { DETECTION_TIMEOUT_MS, inspectors, originalDestination, tcpFilter } from './listener-parts.ts';
import { inboundRoutes, limitRoutes } from './listeners.ts';
import { inboundRateLimits } from './rate-limits.ts';
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
  const { peerAuthentications: authentications } = scope.snapshot;
  const modeOf = (port: number): MtlsMode => modeFor(node, authentications.modeOf(node, port));
  const declared = new Set(ports.map(({ port }) => port));
  const undeclared = authentications.portsOf(node).filter((port) => !declared.has(port) && port !== node.inboundPort);
  const opaque = ports.filter(({ protocol }) => protocol === 'tcp').map(({ port }) => port);
  const unlooked = opaque.filter((port) => modeOf(port) === 'DISABLE');
  return create(ListenerSchema, {
    name: INBOUND_LISTENER,
    ...everywhere(node, node.inboundPort),
    trafficDirection: TrafficDirection.INBOUND,
    listenerFilters: [
      originalDestination(),
      ...inspectors([node.inboundPort, ...unlooked], [node.inboundPort, ...opaque]),
    ],
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
      ...[...undeclared, ANY_PORT].flatMap((port) => passthroughs(port, node, scope)),
    ],
  });
}

function chainsOf(inbound: InboundPort, node: MeshNode, scope: Scope): readonly FilterChain[] {
  const { port, protocol, isGuessed, owner } = inbound;
  const cluster = clusterName('inbound', port, '', '');
  const needsHttp2 = protocol === 'http2' || protocol === 'grpc';
  const isOpaque = protocol === 'tcp' || (needsHttp2 && !node.abilities.http2);
  const inboundOwner = owner === null ? null : { service: owner, instancePort: port };
  const routes = inboundRoutes(inbound, cluster, owner, scope.snapshot.mesh.inboundRetries);
  limitRoutes(routes, inboundRateLimits(scope.snapshot, node, inboundOwner));
  const parts: ManagerParts = {
    node,
    scope,
    direction: 'server',
    statPrefix: `inbound_${port}`,
    owner: inboundOwner,
    routes: { case: 'routeConfig', value: routes },
  };
  return chains(isOpaque ? 'tcp' : isGuessed ? 'guessed' : 'http', {
    name: `${wildcard(node)}_${port}`,
    port,
    tcp: toCluster(cluster, node, scope),
    http: isOpaque ? null : httpManager(parts),
    node,
    scope,
  });
}

/** Of ports that nobody declared; ANY_PORT: all of them. */
function passthroughs(port: number, node: MeshNode, scope: Scope): readonly FilterChain[] {
  return chains('guessed', {
    name: port === ANY_PORT ? INBOUND_LISTENER : `${wildcard(node)}_${port}`,
    port,
    tcp: toCluster(INBOUND_PASSTHROUGH, node, scope),
    http: httpManager({
      node,
      scope,
      direction: 'server',
      statPrefix: INBOUND_PASSTHROUGH,
      routes: { case: 'routeConfig', value: passthroughRoutes() },
    }),
    node,
    scope,
  });
}

interface ChainParts {
  readonly name: string;
  readonly port: number;
  readonly tcp: Filter;
  /** Null: HTTP is not looked for. */
  readonly http: Filter | null;
  readonly node: MeshNode;
  readonly scope: Scope;
}

function chains(spoken: Spoken, { name, port, tcp, http, node, scope }: ChainParts): readonly FilterChain[] {
  const { snapshot } = scope;
  const { mesh, peerAuthentications: authentications } = snapshot;
  const mode = modeFor(node, authentications.modeOf(node, port));
  const asks = (provider: string): Filter | null => externalNetworkAuthorization(snapshot, provider);
  const guards = authorizationNetworkFilters({ snapshot, node, port: null }, asks);
  return entrancesOf({ spoken, mode, plainHttp: plaintextHttp(node), node, mesh }).map(({ to, match, socket }) =>
    create(FilterChainSchema, {
      name: port === ANY_PORT && to === 'http' ? `${name}-catchall-http` : name,
      filterChainMatch: { ...match, ...(port === ANY_PORT ? {} : { destinationPort: port }) },
      filters: to === 'http' && http !== null ? [http] : [...guards, tcp],
      ...(socket === null ? {} : { transportSocket: socket }),
    }),
  );
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
