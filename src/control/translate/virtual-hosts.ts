// The outbound RouteConfiguration `http_proxy`: one virtual host per HTTP port of every visible service,
// with the names that Istio gives it, and a last one that says which host is unknown.
//
//   reviews, reviews.default, reviews.default.svc, reviews.default.svc.cluster.local   (+ `:9080` each)
import { create } from '@bufbuild/protobuf';
import { RouteConfigurationSchema } from '../../xds/gen/envoy/config/route/v3/route_pb.js';
import type { RouteConfiguration } from '../../xds/gen/envoy/config/route/v3/route_pb.js';
import {
  DirectResponseActionSchema,
  RouteActionSchema,
  RouteSchema,
  VirtualHostSchema,
} from '../../xds/gen/envoy/config/route/v3/route_components_pb.js';
import type { Route, VirtualHost } from '../../xds/gen/envoy/config/route/v3/route_components_pb.js';
import type { MeshNode } from '../mesh-node.ts';
import { clusterName, isHttp } from '../mesh-service.ts';
import type { MeshPort, MeshService } from '../mesh-service.ts';
import type { Scope } from '../scope.ts';
import type { FormerHosts } from './former-hosts.ts';
import { gatewayRoutes } from './gateway-routes.ts';
import { hashPolicy } from './hash-policy.ts';
import { timeouts } from './proto.ts';
import { retryPolicy } from './retry-policy.ts';
import { matchAll } from './route-match.ts';
import { rulesToRoutes } from './rule-routes.ts';
import { applySession, sessionOf } from './session.ts';
import { policyFor } from './traffic-policy.ts';

export const OUTBOUND_ROUTES = 'http_proxy';
const BARE_PORT = 80;

export interface ServiceContext {
  readonly scope: Scope;
  /** What may be taken over; null or absent: nothing. */
  readonly former?: FormerHosts | null;
  readonly node: Pick<MeshNode, 'namespace' | 'labels' | 'abilities' | 'serviceAccount'>;
}

export function outboundRoutes(context: ServiceContext): RouteConfiguration {
  const { scope } = context;
  const table = new HostTable();
  for (const service of inOrder(scope)) {
    const http = service.ports.filter((port) => isHttp(port.protocol));
    for (const port of http) addService(table, OUTBOUND_ROUTES, { context, service, port, isFirst: http[0] === port });
  }
  addNameless(table, context);
  return table.finish(OUTBOUND_ROUTES, unknownHost());
}

interface ServiceHost {
  readonly context: ServiceContext;
  readonly service: MeshService;
  readonly port: MeshPort;
  readonly isFirst: boolean;
}

/** The host of one port of a service, made or taken over. */
export function addService(
  table: HostTable,
  tableName: string,
  { context, service, port, isFirst }: ServiceHost,
): void {
  const { scope, former = null } = context;
  const name = `${service.host}:${port.number}`;
  const known = former?.find(tableName, name, { scope, service, port }) ?? null;
  if (known !== null && table.keep(known)) return;
  table.add(name, domainsOf(service, port, isFirst, scope), serviceRoutes(service, port, context));
}

/** Rules for hosts that no service has hold on port 80. */
export function addNameless(table: HostTable, { scope, node }: ServiceContext): void {
  for (const [host, rule] of [...scope.virtualServices].toSorted(([left], [right]) => (left < right ? -1 : 1))) {
    if (scope.has(host) || host === '*') continue;
    table.add(
      `${host}:${BARE_PORT}`,
      [host, `${host}:${BARE_PORT}`],
      rulesToRoutes(rule, { scope, node, host, port: BARE_PORT }),
    );
  }
}

/** Virtual hosts in order; a domain belongs to the first that claims it. */
export class HostTable {
  readonly #taken = new Set<string>();
  readonly #hosts: VirtualHost[] = [];

  add(name: string, domains: readonly string[], routes: Route[]): void {
    const free = domains.filter((domain) => !this.#taken.has(domain));
    for (const domain of free) this.#taken.add(domain);
    if (free.length > 0)
      this.#hosts.push(create(VirtualHostSchema, { name, domains: free, routes, includeRequestAttemptCount: true }));
  }

  /** False: somebody has one of its domains by now. */
  keep(host: VirtualHost): boolean {
    if (host.domains.some((domain) => this.#taken.has(domain))) return false;
    for (const domain of host.domains) this.#taken.add(domain);
    this.#hosts.push(host);
    return true;
  }

  finish(name: string, last: VirtualHost | null): RouteConfiguration {
    const virtualHosts = last === null ? this.#hosts : [...this.#hosts, last];
    return create(RouteConfigurationSchema, { name, virtualHosts });
  }
}

/** Services before entries, then by host, so that equal inputs give equal bytes. */
export function inOrder(scope: Scope): readonly MeshService[] {
  const rank = (service: MeshService): string =>
    `${service.kind === 'entry' ? 1 : 0}${service.namespace === scope.namespace ? 0 : 1}${service.host}`;
  return [...scope.services.values()].toSorted((left, right) => (rank(left) < rank(right) ? -1 : 1));
}

/** Without a redirect there is one table for all ports, so only the first port of a service goes by its bare names. */
export function domainsOf(service: MeshService, port: MeshPort, isFirst: boolean, scope: Scope): readonly string[] {
  const names = [service.host];
  if (service.kind !== 'entry') {
    const { name, namespace } = service;
    names.push(`${name}.${namespace}.svc`, `${name}.${namespace}`);
    if (namespace === scope.namespace) names.push(name);
  }
  if (scope.mode === 'redirect' && service.isHeadless) names.push(...names.map((name) => `*.${name}`));
  names.push(...service.clusterIps.map((ip) => (ip.includes(':') ? `[${ip}]` : ip)));
  return names.flatMap((name) => (isFirst ? [name, `${name}:${port.number}`] : [`${name}:${port.number}`]));
}

/** HTTPRoutes replace everything else; then the VirtualService; then the plain way to the service. */
export function serviceRoutes(service: MeshService, port: MeshPort, { scope, node }: ServiceContext): Route[] {
  const attached = scope.httpRoutesFor(service, port);
  if (attached.length > 0) return gatewayRoutes(attached, { scope, node, host: service.host, port: port.number });
  const rule = scope.virtualServiceFor(service.host);
  if (rule !== null && rule.spec.http.length > 0)
    return rulesToRoutes(rule, { scope, node, host: service.host, port: port.number });
  return [defaultRoute(service, port, scope)];
}

function defaultRoute(service: MeshService, port: MeshPort, scope: Scope): Route {
  const key = policyFor(scope, service.host, '', port.number)?.loadBalancer?.hash?.key ?? null;
  const action = create(RouteActionSchema, {
    clusterSpecifier: { case: 'cluster', value: clusterName('outbound', port.number, '', service.host) },
    ...timeouts(0),
    hashPolicy: key === null ? [] : [hashPolicy(key)],
  });
  const retries = retryPolicy(scope.snapshot.mesh.defaultRetries, key !== null);
  if (retries !== null) action.retryPolicy = retries;
  const route = create(RouteSchema, {
    name: 'default',
    match: matchAll(),
    decorator: { operation: `${service.host}:${port.number}/*` },
    action: { case: 'route', value: action },
  });
  applySession(route, sessionOf(scope, service.host, port.number));
  return route;
}

/** Without a redirect there is no original destination to fall back to, so an unknown host is always refused. */
export function unknownHost(): VirtualHost {
  const body =
    'outrigger: no service is known for the host that this request names; add a Service or a ServiceEntry for it, or correct the Host header\n';
  const action = create(DirectResponseActionSchema, {
    status: 502,
    body: { specifier: { case: 'inlineString', value: body } },
  });
  const route = create(RouteSchema, {
    name: 'block_all',
    match: matchAll(),
    action: { case: 'directResponse', value: action },
    responseHeadersToAdd: [{ header: { key: 'x-outrigger-unknown-host', value: '%REQ(:AUTHORITY)%' } }],
  });
  return create(VirtualHostSchema, { name: 'block_all', domains: ['*'], routes: [route] });
}
