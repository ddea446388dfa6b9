// The listeners of one sidecar: `virtualOutbound` on loopback with the routes of the mesh, and one
// `virtualInbound_<appPort>` per app.
import { create } from '@bufbuild/protobuf';
import { TrafficDirection } from '../../xds/gen/envoy/config/core/v3/base_pb.js';
import { ListenerSchema } from '../../xds/gen/envoy/config/listener/v3/listener_pb.js';
import type { Listener } from '../../xds/gen/envoy/config/listener/v3/listener_pb.js';
import type { Filter } from '../../xds/gen/envoy/config/listener/v3/listener_components_pb.js';
import { RouteConfigurationSchema } from '../../xds/gen/envoy/config/route/v3/route_pb.js';
import type { RouteConfiguration } from '../../xds/gen/envoy/config/route/v3/route_pb.js';
import type { RateLimit } from '../../xds/gen/envoy/config/route/v3/route_components_pb.js';
import { RouteActionSchema, RouteSchema } from '../../xds/gen/envoy/config/route/v3/route_components_pb.js';
import type { Retries } from '../../config/http-retries.ts';
import type { MeshApp, MeshNode } from '../mesh-node.ts';
import { clusterName } from '../mesh-service.ts';
import type { MeshService } from '../mesh-service.ts';
import type { Scope } from '../scope.ts';
import { accessLogs } from './access-log.ts';
import { authorizationNetworkFilters } from './authorization.ts';
import { externalNetworkAuthorization } from './external-authorization.ts';
import { adsSource } from './clusters.ts';
import { httpManager } from './http-manager.ts';
import { entrancesOf, modeFor } from './inbound-tls.ts';
import { DETECTION_TIMEOUT_MS, socket, tcpFilter, tlsInspector } from './listener-parts.ts';
import { duration, timeouts } from './proto.ts';
import { inboundRateLimits } from './rate-limits.ts';
import { inboundRetryPolicy } from './retry-policy.ts';
import { matchAll } from './route-match.ts';
import { OUTBOUND_ROUTES } from './virtual-hosts.ts';

export const OUTBOUND_LISTENER = 'virtualOutbound';
const LOOPBACK = '127.0.0.1';
const EVERYWHERE = '0.0.0.0';

export function outboundListener(node: MeshNode, scope: Scope): Listener {
  const manager = httpManager({
    node,
    scope,
    direction: 'client',
    statPrefix: 'outbound',
    routes: {
      case: 'rds',
      value: {
        $typeName: 'envoy.extensions.filters.network.http_connection_manager.v3.Rds',
        routeConfigName: OUTBOUND_ROUTES,
        configSource: adsSource(),
      },
    },
  });
  return create(ListenerSchema, {
    name: OUTBOUND_LISTENER,
    address: socket(LOOPBACK, node.outboundPort),
    trafficDirection: TrafficDirection.OUTBOUND,
    filterChains: [{ filters: [manager] }],
  });
}

export function inboundListener(node: MeshNode, app: MeshApp, scope: Scope, owner: MeshService | null): Listener {
  const cluster = clusterName('inbound', app.port, '', '');
  const inbound = owner === null ? null : { service: owner, instancePort: app.inboundPort };
  const routes = inboundRoutes(app, cluster, owner, scope.snapshot.mesh.inboundRetries);
  limitRoutes(routes, inboundRateLimits(scope.snapshot, node, inbound));
  const manager = httpManager({
    node,
    scope,
    direction: 'server',
    statPrefix: `inbound_${app.port}`,
    appPort: { app: app.port, inbound: app.inboundPort },
    owner: inbound,
    routes: { case: 'routeConfig', value: routes },
  });
  const tcp = tcpFilter({
    statPrefix: cluster,
    shares: [{ cluster, weight: 1 }],
    accessLog: accessLogs(scope, node, 'server'),
  });
  const { mesh, peerAuthentications } = scope.snapshot;
  const mode = modeFor(node, peerAuthentications.modeOf(node, app.port));
  const port = { app: app.port, inbound: app.inboundPort };
  const asks = (provider: string): Filter | null => externalNetworkAuthorization(scope.snapshot, provider);
  const opaque = [...authorizationNetworkFilters({ snapshot: scope.snapshot, node, port }, asks), tcp];
  const needsHttp2 = app.protocol === 'http2' || app.protocol === 'grpc';
  // A manager that does not speak it would turn every call away.
  const isOpaque = app.protocol === 'tcp' || (needsHttp2 && !node.abilities.http2);
  const filters = isOpaque ? opaque : [manager];
  if (mode === 'DISABLE') {
    return create(ListenerSchema, { ...inboundFrame(app), filterChains: [{ filters }] });
  }
  const spoken = isOpaque ? 'tcp' : 'http';
  const ways = entrancesOf({ spoken, mode, plainHttp: ['http/1.1', 'h2c'], node, mesh });
  return create(ListenerSchema, {
    ...inboundFrame(app),
    listenerFilters: [tlsInspector()],
    listenerFiltersTimeout: duration(mesh.detectionTimeoutMs ?? DETECTION_TIMEOUT_MS),
    continueOnListenerFiltersTimeout: true,
    filterChains: ways.map(({ to, match, socket: transportSocket }) => ({
      filterChainMatch: match,
      filters: to === 'http' ? filters : opaque,
      ...(transportSocket === null ? {} : { transportSocket }),
    })),
  });
}

function inboundFrame(app: MeshApp) {
  return {
    name: `virtualInbound_${app.port}`,
    address: socket(EVERYWHERE, app.inboundPort),
    trafficDirection: TrafficDirection.INBOUND,
  };
}

/** What requests are counted under, for the rate limits of the manager. */
export function limitRoutes({ virtualHosts }: RouteConfiguration, limits: readonly RateLimit[]): void {
  for (const { action } of virtualHosts.flatMap((host) => host.routes)) {
    if (action.case === 'route') action.value.rateLimits.push(...limits);
  }
}

/** Everything goes to the app, whatever host it is for. */
export function inboundRoutes(
  app: Pick<MeshApp, 'port' | 'protocol'>,
  cluster: string,
  owner: MeshService | null,
  configured: Retries | null,
): RouteConfiguration {
  const port = owner?.ports.find((candidate) => candidate.number === app.port) ?? owner?.ports[0];
  const operation = owner === null ? `${cluster}/*` : `${owner.host}:${port?.number ?? app.port}/*`;
  const action = create(RouteActionSchema, {
    clusterSpecifier: { case: 'cluster', value: cluster },
    ...timeouts(0),
  });
  const retries = app.protocol === 'grpc' ? null : inboundRetryPolicy(configured);
  if (retries !== null) action.retryPolicy = retries;
  return create(RouteConfigurationSchema, {
    name: cluster,
    validateClusters: false,
    virtualHosts: [
      {
        name: `inbound|http|${app.port}`,
        domains: ['*'],
        routes: [
          create(RouteSchema, {
            name: 'default',
            match: matchAll(),
            decorator: { operation },
            action: { case: 'route', value: action },
          }),
        ],
      },
    ],
  });
}
