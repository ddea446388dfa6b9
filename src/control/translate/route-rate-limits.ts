// RateLimitPolicies of routes, where requests are sent: in the managers of callers stands a filter that is switched off
// (HttpFilter.disabled), and routes bring its settings (typed_per_filter_config), which switch it on. Our own sidecar has one
// filter for all policies, so that a target has one bucket for each limit, and what one limit refuses costs the others
// nothing. An Envoy has a local_ratelimit for each limit that it has words for, with a bucket for each of its routes. The caller
// is known here: a limit by caller is one for all requests of this sidecar, at the rate of its service account.
import { create } from '@bufbuild/protobuf';
import type { RateLimit } from '../../config/rate-limit-policy.ts';
import type { RateLimitPolicy } from '../../config/resource.ts';
import type { Route } from '../../xds/gen/envoy/config/route/v3/route_components_pb.js';
import { LocalRateLimitSchema } from '../../xds/gen/envoy/extensions/filters/http/local_ratelimit/v3/local_rate_limit_pb.js';
import {
  HttpFilterSchema,
  type HttpFilter,
} from '../../xds/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js';
import type { MeshNode } from '../mesh-node.ts';
import { routeLimitName, type RouteHolding } from '../route-limit-index.ts';
import type { Snapshot } from '../snapshot.ts';
import { pack } from './proto.ts';
import { isPlain, limitKey, localLimit, OWN_FILTER, ownConfig, ownPolicy, routeLimit } from './rate-limits.ts';

type Caller = Pick<MeshNode, 'abilities' | 'namespace' | 'serviceAccount'>;

/** Those of managers that send for their app, without limits of their own: routes bring them. */
export function routeLimitFilters(
  { routeLimits: { policies } }: Pick<Snapshot, 'routeLimits'>,
  { abilities }: Pick<MeshNode, 'abilities'>,
): readonly HttpFilter[] {
  if (policies.length === 0) return [];
  if (abilities.ownFilters) {
    const value = ownConfig([]);
    return [create(HttpFilterSchema, { name: OWN_FILTER, configType: { case: 'typedConfig', value }, disabled: true })];
  }
  return policies.flatMap((policy) =>
    routeLimitsOfEnvoy(policy.spec.limits).map((limit) => {
      const base = create(LocalRateLimitSchema, { statPrefix: statName(policy, limit) });
      const value = pack(LocalRateLimitSchema, base);
      const name = envoyName(policy, limit);
      return create(HttpFilterSchema, { name, configType: { case: 'typedConfig', value }, disabled: true });
    }),
  );
}

/** Has `route` keep the limits of `holdings`. */
export function limitRoute(route: Route, holdings: readonly RouteHolding[], caller: Caller): void {
  if (holdings.length === 0) return;
  if (!caller.abilities.ownFilters) {
    for (const policy of new Set(holdings.map((holding) => holding.policy))) limitForEnvoy(route, policy, caller);
    return;
  }
  const policies = holdings.map((holding) => {
    const { limits, response } = holding.policy.spec;
    return ownPolicy({
      limits: limits.map((limit) => asOf(caller, limit)),
      response,
      idOf: (limit) => routeLimitName(holding, limit),
      statOf: (limit) => statName(holding.policy, limit),
      trustDomains: [],
    });
  });
  route.typedPerFilterConfig[OWN_FILTER] = ownConfig(policies);
}

/** True when routes differ by the service account of who sends. */
export function usesAccounts({ routeLimits: { policies } }: Pick<Snapshot, 'routeLimits'>): boolean {
  return policies.some(({ spec }) => spec.limits.some(({ overrides }) => overrides.length > 0));
}

/** Those that an Envoy can enforce where it sends. */
export function routeLimitsOfEnvoy(limits: readonly RateLimit[]): readonly RateLimit[] {
  return limits.filter(({ scope }) => scope === 'instance');
}

function limitForEnvoy(route: Route, policy: RateLimitPolicy, caller: Caller): void {
  for (const written of routeLimitsOfEnvoy(policy.spec.limits)) {
    const limit = asOf(caller, written);
    // Only what is forwarded has descriptors; without them the limit would be for nobody.
    if (!isPlain(limit) && route.action.case !== 'route') continue;
    const made = localLimit(policy, limit);
    made.statPrefix = statName(policy, limit);
    route.typedPerFilterConfig[envoyName(policy, limit)] = pack(LocalRateLimitSchema, made);
    if (!isPlain(limit) && route.action.case === 'route') route.action.value.rateLimits.push(routeLimit(policy, limit));
  }
}

function asOf({ namespace, serviceAccount }: Caller, limit: RateLimit): RateLimit {
  if (limit.key.kind !== 'caller') return limit;
  const account = `${namespace}/${serviceAccount}`;
  const own = limit.overrides.findLast(({ serviceAccounts }) => serviceAccounts.includes(account)) ?? limit;
  const { requests, perMs, burst } = own;
  return { ...limit, requests, perMs, burst, key: { kind: 'all' }, overrides: [] };
}

/** Managers that send have policies of all namespaces. */
function statName(policy: RateLimitPolicy, limit: RateLimit): string {
  return limitKey(policy, limit).replaceAll('/', '.');
}

function envoyName(policy: RateLimitPolicy, limit: RateLimit): string {
  return `envoy.filters.http.local_ratelimit.${statName(policy, limit)}`;
}
