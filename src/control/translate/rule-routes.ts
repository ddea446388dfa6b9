// The rules of a VirtualService as Envoy routes for one port of one host: list order, first match wins,
// each `match` block a route of its own, and nothing after a rule that takes everything.
import { create } from '@bufbuild/protobuf';
import type { HttpMatch } from '../../config/virtual-service-match.ts';
import type { HttpRule, Mirror, WeightedDestination } from '../../config/virtual-service.ts';
import type { VirtualService } from '../../config/resource.ts';
import { MetadataSchema } from '../../xds/gen/envoy/config/core/v3/base_pb.js';
import type { Metadata } from '../../xds/gen/envoy/config/core/v3/base_pb.js';
import {
  DirectResponseActionSchema,
  RouteActionSchema,
  RouteAction_RequestMirrorPolicySchema,
  RouteSchema,
  WeightedClusterSchema,
  WeightedCluster_ClusterWeightSchema,
} from '../../xds/gen/envoy/config/route/v3/route_components_pb.js';
import type {
  Route,
  RouteAction,
  RouteAction_RequestMirrorPolicy,
  RouteMatch,
} from '../../xds/gen/envoy/config/route/v3/route_components_pb.js';
import { selects } from '../mesh-service.ts';
import type { MeshNode } from '../mesh-node.ts';
import type { Scope } from '../scope.ts';
import { addCors } from './cors.ts';
import { addFault } from './faults.ts';
import { editLists, hostFromEdits } from './header-edits.ts';
import { hashPolicy } from './hash-policy.ts';
import { fraction, timeouts } from './proto.ts';
import { redirectAction, substitute } from './redirect.ts';
import { applyRouteResilience } from './resilience.ts';
import { retryPolicy } from './retry-policy.ts';
import { matchAll, matchOf } from './route-match.ts';
import { limitRoute } from './route-rate-limits.ts';
import { applySession, sessionOf } from './session.ts';
import { targetOf } from './target.ts';
import type { Target } from './target.ts';

export interface RuleContext {
  readonly scope: Scope;
  readonly node: Pick<MeshNode, 'namespace' | 'labels' | 'abilities' | 'serviceAccount'>;
  /** The host of the virtual host that the routes go into, and its port. */
  readonly host: string;
  readonly port: number;
}

export function rulesToRoutes(service: VirtualService, context: RuleContext): Route[] {
  const routes: Route[] = [];
  for (const [index, rule] of service.spec.http.entries()) {
    const label = rule.name === '' ? `${service.meta.namespace}/${service.meta.name}/${index}` : rule.name;
    if (rule.matches.length === 0) {
      routes.push(routeOf({ service, rule, name: label, match: matchAll(), statPrefix: '' }, context));
      return routes;
    }
    for (const match of rule.matches) {
      if (!isForUs(match, context)) continue;
      const name = match.name === '' ? label : `${label}.${match.name}`;
      routes.push(routeOf({ service, rule, name, match: matchOf(match), statPrefix: match.statPrefix }, context));
      if (takesEverything(match)) return routes;
    }
  }
  return routes;
}

/** Conditions on the caller and the port are decided here: they are the same for all requests of a virtual host. */
function isForUs(match: HttpMatch, { node, port }: RuleContext): boolean {
  if (match.port !== 0 && match.port !== port) return false;
  if (match.gateways.length > 0 && !match.gateways.includes('mesh')) return false;
  if (match.sourceNamespace !== '' && match.sourceNamespace !== node.namespace) return false;
  return selects(match.sourceLabels, node.labels);
}

function takesEverything({ uri, scheme, method, authority, headers, withoutHeaders, queryParams }: HttpMatch): boolean {
  const isAnyPath =
    uri === null ||
    uri.kind === 'present' ||
    (uri.kind === 'prefix' && uri.value === '/') ||
    (uri.kind === 'regex' && uri.value === '.*');
  const isAnyHead = scheme === null && method === null && authority === null;
  return isAnyPath && isAnyHead && headers.size === 0 && withoutHeaders.size === 0 && queryParams.size === 0;
}

interface RouteParts {
  readonly service: VirtualService;
  readonly rule: HttpRule;
  readonly name: string;
  readonly match: RouteMatch;
  readonly statPrefix: string;
}

function routeOf({ service, rule, name, match, statPrefix }: RouteParts, context: RuleContext): Route {
  const request = editLists(rule.headers.request);
  const response = editLists(rule.headers.response);
  const route = create(RouteSchema, {
    name,
    match,
    statPrefix,
    metadata: originMetadata('virtual-service', 'networking.istio.io/v1', service.meta),
    requestHeadersToAdd: request.toAdd,
    requestHeadersToRemove: request.toRemove,
    responseHeadersToAdd: response.toAdd,
    responseHeadersToRemove: response.toRemove,
  });
  if (rule.redirect !== null) route.action = { case: 'redirect', value: redirectAction(rule.redirect, context.port) };
  else if (rule.directResponse !== null) {
    const { status, body, isBase64 } = rule.directResponse;
    const source = isBase64
      ? { case: 'inlineBytes' as const, value: new Uint8Array(Buffer.from(body, 'base64')) }
      : { case: 'inlineString' as const, value: body };
    route.action = {
      case: 'directResponse',
      value: create(DirectResponseActionSchema, { status, ...(body === '' ? {} : { body: { specifier: source } }) }),
    };
  } else forward(route, service, rule, context);
  applyRouteResilience(route, context.scope.snapshot.resilience.ofRoute('VirtualService', service.meta, rule.name));
  limitRoute(
    route,
    context.scope.snapshot.routeLimits.ofRoute('VirtualService', service.meta, rule.name),
    context.node,
  );
  if (rule.fault !== null) addFault(route, rule.fault, context.node);
  if (rule.cors !== null && route.action.case === 'route') addCors(route, rule.cors);
  return route;
}

function forward(route: Route, service: VirtualService, rule: HttpRule, context: RuleContext): void {
  const { scope, port } = context;
  const target = (entry: WeightedDestination): Target =>
    targetOf({ destination: entry.destination, namespace: service.meta.namespace, listenedPort: port, scope });
  const [first] = rule.route;
  if (first === undefined) return;
  const hashed =
    rule.route.map((entry) => target(entry).policy?.loadBalancer?.hash?.key ?? null).find((key) => key !== null) ??
    null;
  const action = create(RouteActionSchema, timeouts(rule.timeoutMs ?? 0));
  const retries = retryPolicy(
    rule.retries ?? scope.snapshot.mesh.defaultRetries,
    rule.route.length === 1 && hashed !== null,
  );
  if (retries !== null) action.retryPolicy = retries;
  if (hashed !== null) action.hashPolicy.push(hashPolicy(hashed));
  action.requestMirrorPolicies.push(...rule.mirrors.map((mirror) => mirrorPolicy(mirror, service, context)));
  rewrite(action, rule);
  if (rule.route.length === 1) single({ route, action, entry: first, target: target(first), scope });
  else split(action, rule.route, target, scope);
  const where = rule.route.length === 1 ? target(first) : { host: context.host, port };
  route.decorator = { $typeName: 'envoy.config.route.v3.Decorator', operation: `${where.host}:${where.port}/*` };
  route.action = { case: 'route', value: action };
}

interface SingleParts {
  readonly route: Route;
  readonly action: RouteAction;
  readonly entry: WeightedDestination;
  readonly target: Target;
  readonly scope: Scope;
}

/** One destination: its header edits come after the rule's, so for the same header its value wins. */
function single({ route, action, entry, target, scope }: SingleParts): void {
  applySession(route, sessionOf(scope, target.host, target.port));
  action.clusterSpecifier = { case: 'cluster', value: target.cluster };
  const request = editLists(entry.headers.request);
  const response = editLists(entry.headers.response);
  route.requestHeadersToAdd.push(...request.toAdd);
  route.requestHeadersToRemove.push(...request.toRemove);
  route.responseHeadersToAdd.push(...response.toAdd);
  route.responseHeadersToRemove.push(...response.toRemove);
  const host = hostFromEdits(entry.headers.request);
  if (host !== '' && action.hostRewriteSpecifier.case === undefined)
    action.hostRewriteSpecifier = { case: 'hostRewriteLiteral', value: host };
}

function split(
  action: RouteAction,
  entries: readonly WeightedDestination[],
  target: (entry: WeightedDestination) => Target,
  scope: Scope,
): void {
  const clusters = entries
    .filter((entry) => entry.weight > 0)
    .map((entry) => {
      const request = editLists(entry.headers.request);
      const response = editLists(entry.headers.response);
      const weighted = create(WeightedCluster_ClusterWeightSchema, {
        name: target(entry).cluster,
        weight: entry.weight,
        requestHeadersToAdd: request.toAdd,
        requestHeadersToRemove: request.toRemove,
        responseHeadersToAdd: response.toAdd,
        responseHeadersToRemove: response.toRemove,
      });
      const { host: to, port } = target(entry);
      applySession(weighted, sessionOf(scope, to, port));
      const host = hostFromEdits(entry.headers.request);
      if (host !== '') weighted.hostRewriteSpecifier = { case: 'hostRewriteLiteral', value: host };
      return weighted;
    });
  action.clusterSpecifier = { case: 'weightedClusters', value: create(WeightedClusterSchema, { clusters }) };
}

function rewrite(action: RouteAction, rule: HttpRule): void {
  const host = rule.rewrite?.authority || hostFromEdits(rule.headers.request);
  if (host !== '') action.hostRewriteSpecifier = { case: 'hostRewriteLiteral', value: host };
  const regex = rule.rewrite?.regex ?? null;
  if (regex !== null) action.regexRewrite = substitute(regex.match, regex.rewrite).value;
  else if (rule.rewrite !== null && rule.rewrite.uri !== '') action.prefixRewrite = rule.rewrite.uri;
}

function mirrorPolicy(
  { destination, percent }: Mirror,
  service: VirtualService,
  { scope, port }: RuleContext,
): RouteAction_RequestMirrorPolicy {
  const { cluster } = targetOf({ destination, namespace: service.meta.namespace, listenedPort: port, scope });
  return mirrorTo(cluster, percent);
}

/** The copy is not traced and keeps its Host, as Istio has it. */
export function mirrorTo(cluster: string, percent: number): RouteAction_RequestMirrorPolicy {
  return create(RouteAction_RequestMirrorPolicySchema, {
    cluster,
    runtimeFraction: { defaultValue: fraction(percent) },
    traceSampled: false,
    disableShadowHostSuffixAppend: true,
  });
}

/** `filter_metadata.istio.config`: the resource that a route comes from. */
export function originMetadata(
  kind: string,
  group: string,
  meta: { readonly namespace: string; readonly name: string },
): Metadata {
  return create(MetadataSchema, {
    filterMetadata: { istio: { config: `/apis/${group}/namespaces/${meta.namespace}/${kind}/${meta.name}` } },
  });
}
