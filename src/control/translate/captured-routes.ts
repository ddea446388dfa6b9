// The RouteConfigurations of a captured pod: one for each port on which services speak HTTP, with a virtual host for
// each of them, and one for each service whose protocol nobody declared. Requests to hosts that nobody knows
// go where the app sent them, or are refused under REGISTRY_ONLY.
import { create } from '@bufbuild/protobuf';
import type { RouteConfiguration } from '../../xds/gen/envoy/config/route/v3/route_pb.js';
import {
  RouteActionSchema,
  RouteSchema,
  VirtualHostSchema,
} from '../../xds/gen/envoy/config/route/v3/route_components_pb.js';
import type { VirtualHost } from '../../xds/gen/envoy/config/route/v3/route_components_pb.js';
import { isHttp } from '../mesh-service.ts';
import { isGiven } from './captured-ports.ts';
import type { CapturedPort } from './captured-ports.ts';
import { PASSTHROUGH } from './fixed-clusters.ts';
import { timeouts } from './proto.ts';
import { matchAll } from './route-match.ts';
import { addNameless, addService, HostTable, inOrder, serviceRoutes, unknownHost } from './virtual-hosts.ts';
import type { ServiceContext } from './virtual-hosts.ts';

const BARE_PORT = 80;

export function capturedRoutes(ports: readonly CapturedPort[], context: ServiceContext): readonly RouteConfiguration[] {
  const made = new Map<string, RouteConfiguration>();
  for (const { routes, address, port } of ports) {
    if (routes === '' || made.has(routes)) continue;
    made.set(routes, address === '' ? routesOfPort(port, context) : routesOfService(routes, context));
  }
  return [...made.values()];
}

function routesOfPort(number: number, context: ServiceContext): RouteConfiguration {
  const { scope } = context;
  const table = new HostTable();
  for (const service of inOrder(scope)) {
    const port = service.ports.find((candidate) => candidate.number === number);
    if (port === undefined || !isHttp(port.protocol) || isGiven(service)) continue;
    addService(table, String(number), { context, service, port, isFirst: true });
  }
  if (number === BARE_PORT) addNameless(table, context);
  return table.finish(String(number), scope.outboundPolicy === 'ALLOW_ANY' ? allowAny() : unknownHost());
}

/** Only connections to this service arrive here, so what the request calls it does not matter. */
function routesOfService(name: string, context: ServiceContext): RouteConfiguration {
  const table = new HostTable();
  const [host = '', number = ''] = name.split(':');
  const service = context.scope.service(host);
  const port = service?.ports.find((candidate) => candidate.number === Number(number));
  if (service !== null && port !== undefined) table.add(name, ['*'], serviceRoutes(service, port, context));
  return table.finish(name, null);
}

function allowAny(): VirtualHost {
  const action = create(RouteActionSchema, {
    clusterSpecifier: { case: 'cluster', value: PASSTHROUGH },
    ...timeouts(0),
  });
  const route = create(RouteSchema, {
    name: 'allow_any',
    match: matchAll(),
    action: { case: 'route', value: action },
  });
  return create(VirtualHostSchema, {
    name: 'allow_any',
    domains: ['*'],
    routes: [route],
    includeRequestAttemptCount: true,
  });
}
