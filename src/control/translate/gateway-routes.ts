// HTTPRoutes attached to a port of a Service as Envoy routes, in the Gateway API's order of precedence
// across rules and routes. They replace the Service's own default: what none matches is a 404.
import { create } from '@bufbuild/protobuf';
import type { BackendRef, RouteFilter } from '../../config/http-route-filter.ts';
import type { RouteBackend, RouteMatch, RouteRule } from '../../config/http-route.ts';
import { compareAge } from '../../config/resource.ts';
import type { HttpRoute } from '../../config/resource.ts';
import {
  DirectResponseActionSchema,
  RouteActionSchema,
  RouteAction_ClusterNotFoundResponseCode,
  RouteSchema,
  WeightedClusterSchema,
  WeightedCluster_ClusterWeightSchema,
} from '../../xds/gen/envoy/config/route/v3/route_components_pb.js';
import type { Route, RouteAction } from '../../xds/gen/envoy/config/route/v3/route_components_pb.js';
import type { MeshNode } from '../mesh-node.ts';
import { clusterName } from '../mesh-service.ts';
import type { Scope } from '../scope.ts';
import { resolveBackend } from './backend.ts';
import { addCors } from './cors.ts';
import { gatewayEditLists } from './header-edits.ts';
import { hashPolicy } from './hash-policy.ts';
import { writeMetadata } from './own-metadata.ts';
import { timeouts } from './proto.ts';
import { gatewayRedirect, pathRewrite } from './redirect.ts';
import { applyRouteResilience } from './resilience.ts';
import { gatewayRetryPolicy, keepHosts } from './retry-policy.ts';
import { gatewayMatchOf } from './route-match.ts';
import { mirrorTo, originMetadata } from './rule-routes.ts';
import { limitRoute } from './route-rate-limits.ts';
import { applySession, sessionOf } from './session.ts';
import { policyFor } from './traffic-policy.ts';

/** The share of traffic whose backend is not valid goes to a cluster that never exists, and is answered with 500. */
const INVALID_CLUSTER = 'outbound|0||invalid-backend';

interface Candidate {
  readonly route: HttpRoute;
  readonly rule: RouteRule;
  readonly ruleIndex: number;
  readonly match: RouteMatch;
}

export interface GatewayContext {
  readonly scope: Scope;
  readonly node: Pick<MeshNode, 'abilities' | 'namespace' | 'serviceAccount'>;
  readonly host: string;
  readonly port: number;
}

export function gatewayRoutes(routes: readonly HttpRoute[], context: GatewayContext): Route[] {
  const candidates: Candidate[] = [];
  for (const route of routes) {
    for (const [ruleIndex, rule] of route.spec.rules.entries()) {
      for (const match of rule.matches) candidates.push({ route, rule, ruleIndex, match });
    }
  }
  return candidates.toSorted(comparePrecedence).map((candidate) => routeOf(candidate, context));
}

/**
 * Exact path, longest prefix, longest regex, then method, headers, query, age, namespace/name and place in the list
 * (Gateway API HTTPRouteRule; where a regex stands is up to the implementation, here as in Istio's sortHTTPRoutes:
 * after every prefix, also the prefix `/`). Nothing is left to chance: the order of the inputs does not matter.
 */
function comparePrecedence(left: Candidate, right: Candidate): number {
  return (
    rankOf(right.match) - rankOf(left.match) ||
    lengthOf(right.match) - lengthOf(left.match) ||
    Number(right.match.method !== '') - Number(left.match.method !== '') ||
    right.match.headers.length - left.match.headers.length ||
    right.match.query.length - left.match.query.length ||
    compareAge(left.route, right.route) ||
    left.ruleIndex - right.ruleIndex
  );
}

function rankOf({ path }: RouteMatch): number {
  if (path.kind === 'exact') return 3;
  if (path.kind === 'regex') return 1;
  return 2;
}

function lengthOf({ path }: RouteMatch): number {
  return path.kind === 'prefix' ? path.value.replace(/\/+$/, '').length : path.value.length;
}

function routeOf(candidate: Candidate, context: GatewayContext): Route {
  const route = actingRoute(candidate, context);
  const { rule, route: owner } = candidate;
  const { snapshot } = context.scope;
  limitRoute(route, snapshot.routeLimits.ofRoute('HTTPRoute', owner.meta, rule.name), context.node);
  return route;
}

function actingRoute({ route: owner, rule, ruleIndex, match }: Candidate, context: GatewayContext): Route {
  const { namespace, name } = owner.meta;
  const route = create(RouteSchema, {
    name: rule.name === '' ? `${namespace}/${name}/${ruleIndex}` : `${namespace}/${name}/${rule.name}`,
    match: gatewayMatchOf(match),
    metadata: originMetadata('http-route', 'gateway.networking.k8s.io/v1', owner.meta),
  });
  for (const filter of rule.filters) editHeaders(route, filter);
  for (const filter of rule.filters) if (filter.kind === 'cors') addCors(route, filter.policy);
  const redirect = rule.filters.find((filter) => filter.kind === 'redirect');
  if (redirect !== undefined) {
    route.action = { case: 'redirect', value: gatewayRedirect(redirect, match.path.value, context.port) };
    return route;
  }
  const total = rule.backends.reduce((sum, backend) => sum + backend.weight, 0);
  if (total === 0) {
    route.action = { case: 'directResponse', value: create(DirectResponseActionSchema, { status: 500 }) };
    return route;
  }
  if (rule.retry?.backoffMs != null) writeMetadata(route, { retry: { backoff: 'minimum' } });
  const action = forwardAction(rule, match, context);
  mirror(action, rule, owner, context);
  const own = rule.session;
  if (own !== null) applySession(route, { ...own, defaultName: `${namespace}-${name}-${ruleIndex}` });
  choose(action, route, rule.backends, { owner, context, hasSession: own !== null });
  route.decorator = { $typeName: 'envoy.config.route.v3.Decorator', operation: `${context.host}:${context.port}/*` };
  route.action = { case: 'route', value: action };
  applyRouteResilience(route, context.scope.snapshot.resilience.ofRoute('HTTPRoute', owner.meta, rule.name));
  return route;
}

function forwardAction(rule: RouteRule, match: RouteMatch, { scope }: GatewayContext): RouteAction {
  // Without retries the one attempt is the whole request, so the shorter of the two times holds.
  const attemptMs = rule.retry === null && rule.backendTimeoutMs !== 0 ? rule.backendTimeoutMs : null;
  const wholeMs = attemptMs ?? rule.requestTimeoutMs;
  const action = create(RouteActionSchema, timeouts(wholeMs ?? 0));
  const retries = gatewayRetryPolicy(rule.retry, rule.backendTimeoutMs, scope.snapshot.mesh);
  if (retries !== null) action.retryPolicy = retries;
  const rewrite = rule.filters.find((filter) => filter.kind === 'rewrite');
  if (rewrite === undefined) return action;
  if (rewrite.hostname !== '') action.hostRewriteSpecifier = { case: 'hostRewriteLiteral', value: rewrite.hostname };
  const path = rewrite.path === null ? null : pathRewrite(rewrite.path, match.path.value);
  if (path?.kind === 'prefix') action.prefixRewrite = path.value;
  else if (path?.kind === 'regex') action.regexRewrite = path.value;
  return action;
}

function mirror(action: RouteAction, rule: RouteRule, owner: HttpRoute, { scope }: GatewayContext): void {
  for (const filter of rule.filters) {
    if (filter.kind !== 'mirror') continue;
    const backend = resolveBackend(filter.backend, owner, scope);
    if (backend.kind === 'valid')
      action.requestMirrorPolicies.push(
        mirrorTo(clusterName('outbound', backend.port, '', backend.host), filter.percent),
      );
  }
}

interface ChoiceContext {
  readonly owner: HttpRoute;
  readonly context: GatewayContext;
  /** The rule has its own, which goes before those of its backends. */
  readonly hasSession: boolean;
}

function choose(
  action: RouteAction,
  route: Route,
  backends: readonly RouteBackend[],
  { owner, context, hasSession }: ChoiceContext,
): void {
  const used = backends.filter((backend) => backend.weight > 0);
  const [first] = used;
  const names = used.map((backend) => clusterOf(backend.ref, owner, context.scope));
  if (names.some((name) => name.cluster === INVALID_CLUSTER))
    action.clusterNotFoundResponseCode = RouteAction_ClusterNotFoundResponseCode.INTERNAL_SERVER_ERROR;
  const hashed = names.map((name) => name.hash).find((key) => key !== null) ?? null;
  if (hashed !== null) action.hashPolicy.push(hashPolicy(hashed));
  // The hash alone decides where the only backend's requests go, also the second time.
  if (hashed !== null && used.length === 1 && action.retryPolicy !== undefined) keepHosts(action.retryPolicy);
  if (used.length === 1 && first !== undefined) {
    action.clusterSpecifier = { case: 'cluster', value: names[0]?.cluster ?? INVALID_CLUSTER };
    for (const filter of first.filters) editHeaders(route, filter);
    if (!hasSession) applySession(route, names[0]?.session ?? null);
    return;
  }
  const clusters = used.map((backend, index) => {
    const weighted = create(WeightedCluster_ClusterWeightSchema, {
      name: names[index]?.cluster ?? INVALID_CLUSTER,
      weight: backend.weight,
    });
    for (const filter of backend.filters) editHeaders(weighted, filter);
    if (!hasSession) applySession(weighted, names[index]?.session ?? null);
    return weighted;
  });
  action.clusterSpecifier = { case: 'weightedClusters', value: create(WeightedClusterSchema, { clusters }) };
}

function clusterOf(ref: BackendRef, owner: HttpRoute, scope: Scope) {
  const backend = resolveBackend(ref, owner, scope);
  if (backend.kind === 'invalid') return { cluster: INVALID_CLUSTER, hash: null, session: null };
  const policy = policyFor(scope, backend.host, '', backend.port);
  return {
    cluster: clusterName('outbound', backend.port, '', backend.host),
    hash: policy?.loadBalancer?.hash?.key ?? null,
    session: sessionOf(scope, backend.host, backend.port),
  };
}

function editHeaders(
  route: Pick<
    Route,
    'requestHeadersToAdd' | 'requestHeadersToRemove' | 'responseHeadersToAdd' | 'responseHeadersToRemove'
  >,
  filter: RouteFilter,
): void {
  if (filter.kind !== 'request-headers' && filter.kind !== 'response-headers') return;
  const { toAdd, toRemove } = gatewayEditLists(filter.edits);
  const isRequest = filter.kind === 'request-headers';
  (isRequest ? route.requestHeadersToAdd : route.responseHeadersToAdd).push(...toAdd);
  (isRequest ? route.requestHeadersToRemove : route.responseHeadersToRemove).push(...toRemove);
}
