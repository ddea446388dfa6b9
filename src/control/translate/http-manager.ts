// The HTTP connection manager as Istio sets it up: paths normalized (BASE), request ids made, no stream
// idle timeout, the address of the peer not trusted, and as filters the router, sessions where there are any, and what
// guards the app.
import { create } from '@bufbuild/protobuf';
import { StructSchema } from '@bufbuild/protobuf/wkt';
import { FilterSchema } from '../../xds/gen/envoy/config/listener/v3/listener_components_pb.js';
import type { Filter } from '../../xds/gen/envoy/config/listener/v3/listener_components_pb.js';
import { OnDemandSchema } from '../../xds/gen/envoy/extensions/filters/http/on_demand/v3/on_demand_pb.js';
import { RouterSchema } from '../../xds/gen/envoy/extensions/filters/http/router/v3/router_pb.js';
import type { Router } from '../../xds/gen/envoy/extensions/filters/http/router/v3/router_pb.js';
import {
  HttpConnectionManager_ForwardClientCertDetails as ForwardClientCert,
  HttpConnectionManager_PathWithEscapedSlashesAction as EscapedSlashes,
  HttpConnectionManager_SetCurrentClientCertDetailsSchema as ClientCertDetailsSchema,
  HttpConnectionManagerSchema,
  HttpFilterSchema,
} from '../../xds/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js';
import type {
  HttpConnectionManager,
  HttpFilter,
} from '../../xds/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js';
import type { PathNormalization } from '../../config/mesh-config.ts';
import type { MeshNode } from '../mesh-node.ts';
import type { Scope } from '../scope.ts';
import { accessLogs } from './access-log.ts';
import { authorizationFilters, type AuthorizationScope } from './authorization.ts';
import { corsFilters } from './cors.ts';
import { patchHttpFilters } from './envoy-filter.ts';
import { externalAuthorization } from './external-authorization.ts';
import { extensionFilters } from './extensions.ts';
import { faultFilter } from './faults.ts';
import { overloadFilters } from './overload.ts';
import type { InboundOwner } from './overload.ts';
import { claimFilters, jwtFilters } from './jwt.ts';
import { duration, pack } from './proto.ts';
import { rateLimitFilters } from './rate-limits.ts';
import { routeLimitFilters } from './route-rate-limits.ts';
import { sessionFilter } from './session.ts';
import { tracing } from './tracing.ts';

/** Istio answers for its apps under this name; callers see their own sidecar's `envoy`. */
const INBOUND_SERVER_NAME = 'istio-envoy';

export interface ManagerParts {
  readonly node: MeshNode;
  readonly scope: Scope;
  /** `client` sends for its app, `server` receives for it. */
  readonly direction: 'client' | 'server';
  readonly statPrefix: string;
  readonly routes: HttpConnectionManager['routeSpecifier'];
  /** Whose app it receives for; absent is nobody's. */
  readonly owner?: InboundOwner | null;
  /** In explicit mode: the app's own port, and the one that it is called on. */
  readonly appPort?: AuthorizationScope['port'];
}

export function httpManager({
  node,
  scope,
  direction,
  statPrefix,
  routes,
  owner = null,
  appPort = null,
}: ManagerParts): Filter {
  const manager = create(HttpConnectionManagerSchema, {
    statPrefix,
    httpFilters: [
      ...ownFilters(node),
      ...(direction === 'client' ? corsFilters(scope.snapshot) : []),
      ...(direction === 'server' ? jwtFilters({ scope, node }) : claimFilters(scope)),
      ...(direction === 'server'
        ? authorizationFilters({ snapshot: scope.snapshot, node, port: appPort }, (provider) =>
            externalAuthorization(scope.snapshot, provider),
          )
        : []),
      ...(direction === 'server'
        ? rateLimitFilters(scope.snapshot, node, owner)
        : routeLimitFilters(scope.snapshot, node)),
      ...extensionFilters(scope.snapshot, node, direction),
      ...overloadFilters(scope.snapshot, node, owner),
      ...(direction === 'client' ? [faultFilter(node)] : []),
      {
        name: 'envoy.filters.http.router',
        configType: { case: 'typedConfig', value: pack(RouterSchema, router(node)) },
      },
    ],
    useRemoteAddress: false,
    generateRequestId: true,
    ...pathNormalization(scope.snapshot.mesh.pathNormalization),
    streamIdleTimeout: duration(0),
    accessLog: accessLogs(scope, node, direction),
  });
  const sessions = direction === 'client' ? sessionFilter(scope) : null;
  if (sessions !== null) manager.httpFilters.unshift(sessions);
  // Before all others, which are those of the route that is chosen in the end.
  if (direction === 'client' && node.abilities.onDemand) manager.httpFilters.unshift(onDemandFilter());
  manager.httpFilters = patchHttpFilters(manager.httpFilters, scope.snapshot.envoyFilters, {
    node,
    direction,
    statPrefix,
  });
  manager.routeSpecifier = routes;
  if (direction === 'server') manager.serverName = INBOUND_SERVER_NAME;
  if (direction === 'server' && node.abilities.mtls) tellClient(manager);
  if (node.abilities.upgrades)
    manager.upgradeConfigs.push({
      $typeName: 'envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.UpgradeConfig',
      upgradeType: 'websocket',
      filters: [],
    });
  const traced = tracing(scope, node, direction);
  if (traced !== null) manager.tracing = traced.config;
  return create(FilterSchema, {
    name: 'envoy.filters.network.http_connection_manager',
    configType: { case: 'typedConfig', value: pack(HttpConnectionManagerSchema, manager) },
  });
}

/** The app learns who calls it: X-Forwarded-Client-Cert, which counts from peers with a certificate only. */
function tellClient(manager: HttpConnectionManager): void {
  manager.forwardClientCertDetails = ForwardClientCert.APPEND_FORWARD;
  manager.setCurrentClientCertDetails = create(ClientCertDetailsSchema, { subject: true, dns: true, uri: true });
}

/** Istio's names for Envoy's three switches; each level has all of the one before. */
function pathNormalization(level: PathNormalization) {
  return {
    normalizePath: level !== 'NONE',
    mergeSlashes: level === 'MERGE_SLASHES' || level === 'DECODE_AND_MERGE_SLASHES',
    pathWithEscapedSlashesAction:
      level === 'DECODE_AND_MERGE_SLASHES'
        ? EscapedSlashes.UNESCAPE_AND_FORWARD
        : EscapedSlashes.IMPLEMENTATION_SPECIFIC_DEFAULT,
  };
}

/** Our own sidecar heeds what the caller has left of its time, and keeps retries to one of the sidecars of a chain. */
function ownFilters({ abilities }: MeshNode): HttpFilter[] {
  if (!abilities.ownFilters) return [];
  return [
    create(HttpFilterSchema, {
      name: 'outrigger.mesh',
      configType: { case: 'typedConfig', value: pack(StructSchema, create(StructSchema)) },
    }),
  ];
}

function onDemandFilter(): HttpFilter {
  return create(HttpFilterSchema, {
    name: 'envoy.filters.http.on_demand',
    configType: { case: 'typedConfig', value: pack(OnDemandSchema, create(OnDemandSchema)) },
  });
}

function router({ abilities }: MeshNode): Router {
  return create(RouterSchema, { respectExpectedRqTimeout: abilities.ownFilters });
}
