// What a manager adds to its routes for retries: whether their requests may ask for them by x-envoy-* fields, how much of a
// body may be kept, and where each policy stands in the configuration. The policies are compiled by resilience/retry-compile.ts.
import type { CompileEnv, PlanPart } from '../plan/plan.ts';
import { compileRetry } from '../resilience/retry-compile.ts';
import { RETRY_HEADER_NAMES } from '../resilience/retry-headers.ts';
import type { HeaderValueOption } from '../xds/gen/envoy/config/core/v3/base_pb.js';
import type { Route, VirtualHost } from '../xds/gen/envoy/config/route/v3/route_components_pb.js';
import type { RouteConfiguration } from '../xds/gen/envoy/config/route/v3/route_pb.js';
import { EMPTY_PART } from './pipeline.ts';

export interface RetryScope {
  readonly env: CompileEnv;
  /** The manager has internal addresses: their requests may ask for retries. */
  readonly hasInternal: boolean;
  readonly bufferBytesMax: number;
}

/** The part of one route of `config`; EMPTY_PART when it has nothing to do with retries. */
export function compileRetryPart(
  { route, host, config }: { readonly route: Route; readonly host: VirtualHost; readonly config: RouteConfiguration },
  origin: string,
  scope: RetryScope,
): PlanPart {
  if (route.action.case !== 'route') return EMPTY_PART;
  const readsHeaders = scope.hasInternal || addsRetryHeader(route, host, config);
  const action = route.action.value;
  const hasPolicy = [
    action.retryPolicy,
    action.retryPolicyTypedConfig,
    action.hedgePolicy,
    host.retryPolicy,
    host.retryPolicyTypedConfig,
    host.hedgePolicy,
  ].some((policy) => policy !== undefined);
  if (!hasPolicy && !readsHeaders) return EMPTY_PART;
  const hostPath = `virtual_hosts[${config.virtualHosts.indexOf(host)}]`;
  const paths = { routePath: `${hostPath}.routes[${host.routes.indexOf(route)}]`, hostPath };
  const { env, bufferBytesMax } = scope;
  return compileRetry(route, host, { env, origin, readsHeaders, bufferBytesMax }, paths) ?? EMPTY_PART;
}

/** An edit of the configuration may set these fields for any request: it is trusted. */
function addsRetryHeader(route: Route, host: VirtualHost, config: RouteConfiguration): boolean {
  const levels: (readonly HeaderValueOption[])[] = [
    route.requestHeadersToAdd,
    host.requestHeadersToAdd,
    config.requestHeadersToAdd,
  ];
  if (route.action.case === 'route' && route.action.value.clusterSpecifier.case === 'weightedClusters') {
    for (const entry of route.action.value.clusterSpecifier.value.clusters) levels.push(entry.requestHeadersToAdd);
  }
  return levels.some((level) => level.some(({ header }) => isRetryHeader(header?.key ?? '')));
}

function isRetryHeader(name: string): boolean {
  return RETRY_HEADER_NAMES.includes(name.toLowerCase());
}
