// Compiles the retry and hedge policies of a route into the step that puts a RetryPlan on the exchange. A policy of
// the route replaces its virtual host's as a whole, as in Envoy. Where internal clients, or header
// edits, may ask for retries by x-envoy-* fields the step looks for those; elsewhere a route without a
// policy gets no step at all. Every Problem names its field.
// Source: Envoy RetryPolicy, HedgePolicy, VirtualHost, RouteAction.
import type { Any } from '@bufbuild/protobuf/wkt';
import { error, warning } from '../base/problem.ts';
import { internHeader } from '../http/header-name.ts';
import type { Exchange } from '../plan/exchange.ts';
import { compileHeaderMatch, type HeaderPredicate } from '../plan/header-match.ts';
import { CONTINUE, type CompileEnv, type Origin, type PlanPart, type Verdict } from '../plan/plan.ts';
import {
  DEFAULT_BACK_OFF,
  EMPTY_RETRY_PLAN,
  type RateLimitedBackOff,
  type RetryBackOff,
  type RetryPlan,
} from '../plan/retry-plan.ts';
import { step } from '../plan/step.ts';
import {
  RetryPolicySchema,
  RetryPolicy_ResetHeaderFormat as ResetHeaderFormat,
  type HeaderMatcher,
  type HedgePolicy,
  type RetryPolicy,
  type Route,
  type VirtualHost,
} from '../xds/gen/envoy/config/route/v3/route_components_pb.js';
import { unpack } from '../xds/unpack.ts';
import { durationMs } from './duration.ts';
import { hasRetryHeaders, doesAnything, withRetryHeaders, withoutRetries } from './retry-headers.ts';
import { compileRetryHosts } from './retry-hosts.ts';
import { readRetryWords } from './retry-words.ts';

export interface RetryContext {
  readonly env: CompileEnv;
  readonly origin: Origin;
  /** Requests may carry the fields of retry-headers.ts: somebody is internal, or an edit adds one. */
  readonly readsHeaders: boolean;
  /** Listener.per_connection_buffer_limit_bytes; 1 MiB by default. */
  readonly bufferBytesMax: number;
}

/** Null when the route has nothing to do with retries. */
export function compileRetry(
  route: Route,
  host: VirtualHost,
  context: RetryContext,
  { routePath, hostPath }: { readonly routePath: string; readonly hostPath: string },
): PlanPart | null {
  if (route.action.case !== 'route') return null;
  const action = route.action.value;
  const at = `${routePath}.route`;
  const { env } = context;
  const own = policyOf(action.retryPolicy, action.retryPolicyTypedConfig, env, `${at}.retry_policy`);
  const ofHost = policyOf(host.retryPolicy, host.retryPolicyTypedConfig, env, `${hostPath}.retry_policy`);
  const given: Rest = {
    isHedged: compileHedge(action.hedgePolicy ?? host.hedgePolicy, env, `${at}.hedge_policy`),
    bodyBytesMax: bodyBytesMax(route, host, context.bufferBytesMax),
    tellsTimeout: host.includeIsTimeoutRetryHeader,
  };
  const policy = own ?? ofHost;
  const compiled =
    policy === null
      ? { ...EMPTY_RETRY_PLAN, ...given }
      : compilePolicy(policy, given, env, own === null ? `${hostPath}.retry_policy` : `${at}.retry_policy`);
  const isMinimum = hasMinimumBackOff(route);
  const plan: RetryPlan = Object.freeze({ ...compiled, backOff: { ...compiled.backOff, isMinimum } });
  const isUsed = doesAnything(plan);
  if (!isUsed && !context.readsHeaders) return null;
  const arg: RetryStep = { plan, otherwise: withoutRetries(plan), isUsed };
  const run = context.readsHeaders ? runRetryByHeaders : runRetry;
  return { onRequest: [step('retry', context.origin, run, arg)] };
}

interface RetryStep {
  readonly plan: RetryPlan;
  /** Where the request lacks the headers that retries need; null: nothing is left of the plan. */
  readonly otherwise: RetryPlan | null;
  readonly isUsed: boolean;
}

function runRetry(x: Exchange, arg: RetryStep): Verdict {
  x.retry = isRetriable(x, arg.plan) ? arg.plan : arg.otherwise;
  return CONTINUE;
}

function runRetryByHeaders(x: Exchange, arg: RetryStep): Verdict {
  if (!hasRetryHeaders(x.request)) {
    if (arg.isUsed) runRetry(x, arg);
    return CONTINUE;
  }
  const plan = withRetryHeaders(arg.plan, x.request);
  if (!isRetriable(x, plan)) x.retry = withoutRetries(plan);
  else if (doesAnything(plan)) x.retry = plan;
  return CONTINUE;
}

/** retriable_request_headers: none, or one of them holds. */
function isRetriable(x: Exchange, plan: RetryPlan): boolean {
  const { requestHeaders } = plan;
  if (requestHeaders.length === 0) return true;
  for (let i = 0; i < requestHeaders.length; i++) if (requestHeaders[i]?.(x.request) === true) return true;
  return false;
}

function policyOf(
  policy: RetryPolicy | undefined,
  typed: Any | undefined,
  env: CompileEnv,
  path: string,
): RetryPolicy | null {
  if (policy !== undefined) return policy;
  if (typed === undefined) return null;
  const found = unpack(typed, RetryPolicySchema);
  if (found !== null) return found;
  const remedy = 'write an envoy.config.route.v3.RetryPolicy';
  env.problems.push(error(`${path}_typed_config`, 'is no retry policy', remedy));
  return null;
}

/**
 * Route metadata `outrigger: {retry: {backoff: minimum}}`: the back-off is a minimum, as the Gateway API has it
 * (HTTPRouteRetry.backoff). The control service writes it; Envoy passes it by.
 */
function hasMinimumBackOff(route: Route): boolean {
  const retry = route.metadata?.filterMetadata['outrigger']?.['retry'];
  return typeof retry === 'object' && retry !== null && !Array.isArray(retry) && retry['backoff'] === 'minimum';
}

type Rest = Pick<RetryPlan, 'isHedged' | 'bodyBytesMax' | 'tellsTimeout'>;

function compilePolicy(policy: RetryPolicy, rest: Rest, env: CompileEnv, path: string): RetryPlan {
  const { conditions, unknown } = readRetryWords(policy.retryOn, 'policy');
  for (const word of unknown) {
    env.problems.push(warning(`${path}.retry_on`, `${word} is no condition of a retry`, 'leave it out'));
  }
  if (policy.retryOptionsPredicates.length > 0) {
    const message = 'retry options predicates are not supported';
    env.problems.push(error(`${path}.retry_options_predicates`, message, 'remove them'));
  }
  return {
    conditions,
    retriesMax: policy.numRetries ?? 1,
    statuses: policy.retriableStatusCodes,
    responseHeaders: matchers(policy.retriableHeaders, env, `${path}.retriable_headers`),
    requestHeaders: matchers(policy.retriableRequestHeaders, env, `${path}.retriable_request_headers`),
    perTryTimeoutMs: durationMs(policy.perTryTimeout, OPTIONAL, env, `${path}.per_try_timeout`),
    perTryIdleTimeoutMs: durationMs(policy.perTryIdleTimeout, OPTIONAL, env, `${path}.per_try_idle_timeout`),
    hosts: compileRetryHosts(policy, env, path),
    backOff: compileBackOff(policy, env, `${path}.retry_back_off`),
    rateLimited: compileRateLimited(policy, env, `${path}.rate_limited_retry_back_off`),
    ...rest,
  };
}

const OPTIONAL = { absentMs: 0, aboveMs: null };

function matchers(configs: readonly HeaderMatcher[], env: CompileEnv, path: string): readonly HeaderPredicate[] {
  return configs.flatMap((config, i) => compileHeaderMatch(config, env.problems, `${path}[${i}]`) ?? []);
}

/** Runtime key of Envoy for the base interval where the policy gives none. */
const BASE_KEY = 'upstream.base_retry_backoff_ms';

function compileBackOff({ retryBackOff }: RetryPolicy, env: CompileEnv, path: string): RetryBackOff {
  if (retryBackOff === undefined) {
    const baseMs = Math.max(1, env.runtimeNumber(BASE_KEY, DEFAULT_BACK_OFF.baseMs));
    return baseMs === DEFAULT_BACK_OFF.baseMs ? DEFAULT_BACK_OFF : { baseMs, maxMs: baseMs * 10, isMinimum: false };
  }
  const { baseInterval, maxInterval } = retryBackOff;
  if (baseInterval === undefined) env.problems.push(error(`${path}.base_interval`, 'is required', 'write 0.025s'));
  const rule = { absentMs: DEFAULT_BACK_OFF.baseMs, aboveMs: 0 };
  const baseMs = Math.max(1, durationMs(baseInterval, rule, env, `${path}.base_interval`));
  const maxMs = durationMs(maxInterval, { absentMs: baseMs * 10, aboveMs: 0 }, env, `${path}.max_interval`);
  if (maxMs < baseMs && maxInterval !== undefined) {
    env.problems.push(error(`${path}.max_interval`, 'is less than base_interval', 'write at least as much'));
  }
  return { baseMs, maxMs: Math.max(baseMs, maxMs), isMinimum: false };
}

const RATE_LIMITED_MS_MAX = 300_000;

function compileRateLimited(policy: RetryPolicy, env: CompileEnv, path: string): RateLimitedBackOff | null {
  const config = policy.rateLimitedRetryBackOff;
  if (config === undefined) return null;
  if (config.resetHeaders.length === 0) {
    env.problems.push(error(`${path}.reset_headers`, 'must not be empty', 'name the header, such as Retry-After'));
  }
  const headers = config.resetHeaders.flatMap((header, i) => {
    const at = `${path}.reset_headers[${i}]`;
    if (header.name === '') env.problems.push(error(`${at}.name`, 'must not be empty', 'name the header'));
    else if (ResetHeaderFormat[header.format] === undefined) {
      env.problems.push(error(`${at}.format`, `${header.format} is no format`, 'write SECONDS or UNIX_TIMESTAMP'));
    } else {
      return { id: internHeader(header.name), isTimestamp: header.format === ResetHeaderFormat.UNIX_TIMESTAMP };
    }
    return [];
  });
  const rule = { absentMs: RATE_LIMITED_MS_MAX, aboveMs: 0 };
  return { headers, maxMs: durationMs(config.maxInterval, rule, env, `${path}.max_interval`) };
}

function compileHedge(policy: HedgePolicy | undefined, env: CompileEnv, path: string): boolean {
  if (policy === undefined) return false;
  const remedy = 'write hedge_on_per_try_timeout';
  if ((policy.initialRequests ?? 1) !== 1) {
    env.problems.push(error(`${path}.initial_requests`, 'is not supported', remedy));
  }
  if (policy.additionalRequestChance !== undefined && policy.additionalRequestChance.numerator > 0) {
    env.problems.push(error(`${path}.additional_request_chance`, 'is not supported', remedy));
  }
  return policy.hedgeOnPerTryTimeout;
}

/** request_body_buffer_limit wins over per_request_buffer_limit_bytes, the route over its host; the listener bounds the latter. */
function bodyBytesMax(route: Route, host: VirtualHost, bufferBytesMax: number): number {
  const own = route.requestBodyBufferLimit ?? host.requestBodyBufferLimit;
  if (own !== undefined) return Number(own);
  const request = route.perRequestBufferLimitBytes ?? host.perRequestBufferLimitBytes;
  return request === undefined ? bufferBytesMax : Math.min(request, bufferBytesMax);
}
