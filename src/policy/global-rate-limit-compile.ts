// Compiles Envoy's RateLimit filter, a client of a rate limit service, and what routes say of it (RateLimitPerRoute), into
// the steps of global-rate-limit.ts. The service is a cluster of the configuration.
import type { Any, Duration } from '@bufbuild/protobuf/wkt';
import { error, refuses, type Problem } from '../base/problem.ts';
import { compileHeaderEdits } from '../plan/header-edits-compile.ts';
import type { Exchange } from '../plan/exchange.ts';
import type { FilterScope, HttpFilter, PlacedSettings, RoutePlace } from '../plan/http-filter.ts';
import type { CompileEnv, PlanPart } from '../plan/plan.ts';
import { step } from '../plan/step.ts';
import { waitingSteps } from '../plan/waiting-step.ts';
import {
  RateLimitPerRouteSchema,
  RateLimitSchema,
  RateLimit_XRateLimitHeadersRFCVersion as HeadersVersion,
  type RateLimit,
} from '../xds/gen/envoy/extensions/filters/http/ratelimit/v3/rate_limit_pb.js';
import { unpack } from '../xds/unpack.ts';
import { GLOBAL_LIMIT, GLOBAL_STATS, layAdded, type GlobalLimit } from './global-rate-limit.ts';
import { compileRouteDescriptors, VH_OVERRIDE } from './rate-descriptors-compile.ts';

const TIMEOUT_MS = 20;
const STATUS = 429;
const STATUS_ON_ERROR = 500;
const STAGE_MAX = 10;
const EDITS_MAX = 10;
const TYPES: readonly string[] = ['', 'both', 'internal', 'external'];

/** As a CompileHttpFilter. */
export function compileGlobalLimit(config: Any, scope: FilterScope): HttpFilter | null {
  const { env, path, name } = scope;
  const message = unpack(config, RateLimitSchema);
  if (message === null) {
    env.problems.push(error(path, 'is no RateLimit', 'write its fields'));
    return null;
  }
  const before = env.problems.length;
  const settings = compileSettings(message, scope);
  if (settings === null || refuses(env.problems.slice(before))) return null;
  const onRoute = (place: RoutePlace, said: PlacedSettings | null, own: CompileEnv): PlanPart | null => {
    const route = said === null ? null : unpack(said.any, RateLimitPerRouteSchema);
    const option = route?.vhRateLimits ?? VH_OVERRIDE;
    const { serviceCluster } = scope;
    const rules = compileRouteDescriptors(place, message.stage, option, { env: own, serviceCluster });
    if (rules === null) return null;
    return rules.length === 0 ? {} : stepsOf({ ...settings, rules, domain: route?.domain || settings.domain }, name);
  };
  // Without a route there is nothing to ask about.
  return { part: {}, withSettings: () => ({}), onRoute };
}

function stepsOf(limit: GlobalLimit, name: string): PlanPart {
  const waiting = waitingSteps('rate-limit', name, GLOBAL_LIMIT, limit);
  return { ...waiting, onResponse: [step('rate-limit', name, layAdded, limit)] };
}

function compileSettings(config: RateLimit, scope: FilterScope): GlobalLimit | null {
  const { env, path } = scope;
  const { problems } = env;
  const refuse = (field: string, message: string, remedy: string): void => {
    problems.push(error(`${path}.${field}`, message, remedy));
  };
  if (config.domain === '') refuse('domain', 'must not be empty', 'name the domain of the limits');
  if (config.stage > STAGE_MAX) refuse('stage', `${config.stage} is out of range`, `write 0 to ${STAGE_MAX}`);
  if (!TYPES.includes(config.requestType)) {
    refuse('request_type', `"${config.requestType}" is none`, 'write internal, external or both');
  }
  if (config.responseHeadersToAdd.length > EDITS_MAX) {
    refuse('response_headers_to_add', 'are too many', `write at most ${EDITS_MAX}`);
  }
  const service = serviceOf(config, problems, `${path}.rate_limit_service`);
  const edited = {
    requestHeadersToAdd: [],
    requestHeadersToRemove: [],
    responseHeadersToAdd: config.responseHeadersToAdd,
    responseHeadersToRemove: [],
  };
  const responseEdits = compileHeaderEdits(edited, 'response', problems, path);
  if (service === null) return null;
  const status: number = config.rateLimitedStatus?.code ?? STATUS;
  const name = `ratelimit${config.statPrefix === '' ? '' : `.${config.statPrefix}`}`;
  return Object.freeze({
    remote: scope.remote,
    ...service,
    timeoutMs: config.timeout === undefined ? TIMEOUT_MS : msOf(config.timeout),
    domain: config.domain,
    takesInternal: config.requestType !== 'external',
    takesExternal: config.requestType !== 'internal',
    rules: [],
    deniesOnFailure: config.failureModeDeny,
    status: status < 400 ? STATUS : status,
    statusOnError: config.statusOnError?.code ?? STATUS_ON_ERROR,
    saysExhausted: config.rateLimitedAsResourceExhausted,
    marksLimited: !config.disableXEnvoyRatelimitedHeader,
    tellsLimits: config.enableXRatelimitHeaders === HeadersVersion.DRAFT_VERSION_03,
    responseEdits,
    tallyOf: (value: string) =>
      scope.tally(name, GLOBAL_STATS, { label: 'envoy_cluster_name', value, root: 'cluster.' }),
    random: env.random,
    runtimeNumber: env.runtimeNumber,
    added: new WeakMap<Exchange, readonly (readonly [name: string, value: string])[]>(),
    bit: scope.bit,
    toJSON: () => ({ domain: config.domain, ...service }),
  });
}

function serviceOf(
  config: RateLimit,
  problems: Problem[],
  path: string,
): Pick<GlobalLimit, 'cluster' | 'authority'> | null {
  const target = config.rateLimitService?.grpcService?.targetSpecifier;
  if (target?.case === 'envoyGrpc' && target.value.clusterName !== '') {
    return { cluster: target.value.clusterName, authority: target.value.authority || null };
  }
  const remedy = 'write grpc_service: { envoy_grpc: { cluster_name: … } }';
  problems.push(error(`${path}.grpc_service`, 'names no cluster', remedy));
  return null;
}

function msOf({ seconds, nanos }: Duration): number {
  return Number(seconds) * 1000 + Math.floor(nanos / 1e6);
}
