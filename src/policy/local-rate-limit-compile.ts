// Compiles Envoy's LocalRateLimit, as a filter and as settings of a route, into the steps of local-rate-limit.ts. Buckets
// are named by where their settings stand, so that they keep their tokens when the configuration comes again, and are the
// process's own: all threads take from the same. What Envoy refuses is refused.
import type { Any } from '@bufbuild/protobuf/wkt';
import { error, refuses } from '../base/problem.ts';
import { LocalLimits, type Limits } from '../base/shared-limits.ts';
import { compileHeaderEdits } from '../plan/header-edits-compile.ts';
import type { FilterScope, HttpFilter, PlacedSettings, RoutePlace } from '../plan/http-filter.ts';
import type { CompileEnv, PlanPart } from '../plan/plan.ts';
import { step } from '../plan/step.ts';
import { wireText } from '../plan/wire-text.ts';
import {
  XRateLimitHeadersRFCVersion as HeadersVersion,
  type LocalRateLimitDescriptor,
} from '../xds/gen/envoy/extensions/common/ratelimit/v3/ratelimit_pb.js';
import {
  LocalRateLimitSchema,
  type LocalRateLimit,
} from '../xds/gen/envoy/extensions/filters/http/local_ratelimit/v3/local_rate_limit_pb.js';
import type { TokenBucket } from '../xds/gen/envoy/type/v3/token_bucket_pb.js';
import { unpack } from '../xds/unpack.ts';
import { compileChance } from './chance.ts';
import {
  LOCAL_STATS,
  PerConnection,
  runLocalLimit,
  tellLimit,
  type LimitBuckets,
  type LocalLimit,
  type RatedBucket,
  type WildBuckets,
} from './local-rate-limit.ts';
import { compileRouteDescriptors } from './rate-descriptors-compile.ts';
import { entryText } from './rate-descriptors.ts';

const STATUS = 429;
const FILL_MS_MIN = 50;
const DESCRIPTORS_MAX = 1000;
const EDITS_MAX = 10;
const STAGE_MAX = 10;
/** The number of LocalRateLimit.rate_limits. */
const RATE_LIMITS_FIELD = 17;
/** Values of a descriptor that stands for any: Envoy's max_dynamic_descriptors unless it is told otherwise. */
const VALUES_MAX = 20;
const PREFIX_LABEL = 'envoy_local_http_ratelimit_prefix';

/** As a CompileHttpFilter. */
export function compileLocalLimit(config: Any, scope: FilterScope): HttpFilter | null {
  const message = unpack(config, LocalRateLimitSchema);
  if (message === null) {
    scope.env.problems.push(error(scope.path, 'is no LocalRateLimit', 'write its fields'));
    return null;
  }
  if (!isSound(message, { env: scope.env, path: scope.path, isOfRoute: false }, scope)) return null;
  const { env } = scope;
  const partOf = (settings: PlacedSettings | null, own: CompileEnv, place: RoutePlace | null): PlanPart | null => {
    const chosen = settings === null ? message : unpack(settings.any, LocalRateLimitSchema);
    if (chosen === null) return null;
    const rules =
      place === null
        ? []
        : compileRouteDescriptors(place, chosen.stage, chosen.vhRateLimits, {
            env: own,
            serviceCluster: scope.serviceCluster,
          });
    if (rules === null) return null;
    const name = `local ${scope.place}${settings === null ? '' : ` ${settings.place}`}`;
    return stepsOf(compileSettings(chosen, { scope, env: own, name }), rules, scope.name);
  };
  const part = partOf(null, env, null);
  if (part === null) return null;
  return {
    part,
    withSettings: (any, own, path) => {
      const settings = unpack(any, LocalRateLimitSchema);
      return settings !== null && isSound(settings, { env: own, path, isOfRoute: true }, scope) ? part : null;
    },
    onRoute: (place, settings, own) => partOf(settings, own, place),
  };
}

type Settings = Omit<LocalLimit, 'rules'>;

function stepsOf(settings: Settings, rules: LocalLimit['rules'], name: string): PlanPart {
  // A limit that is never asked for costs nothing.
  if (settings.enabled.share === 0 && settings.enabled.key === '') return {};
  const limit: LocalLimit = {
    ...settings,
    rules: settings.buckets.exact.size + settings.buckets.wild.length === 0 ? [] : rules,
  };
  const onRequest = [step('local-rate-limit', name, runLocalLimit, limit)];
  if (limit.deciding === null) return { onRequest };
  return { onRequest, onResponse: [step('local-rate-limit', name, tellLimit, limit)] };
}

interface Place {
  readonly env: CompileEnv;
  readonly path: string;
  readonly isOfRoute: boolean;
}

/** Reports what is wrong with the settings. */
function isSound(config: LocalRateLimit, { env, path, isOfRoute }: Place, scope: FilterScope): boolean {
  const { problems } = env;
  const before = problems.length;
  const refuse = (field: string, message: string, remedy: string): void => {
    problems.push(error(`${path}.${field}`, message, remedy));
  };
  if (config.statPrefix === '') refuse('stat_prefix', 'must not be empty', 'name the statistics');
  // Newer than our API version: without them there is no limit, so they are not passed by.
  if (config.$unknown?.some(({ no }) => no === RATE_LIMITS_FIELD) === true)
    refuse('rate_limits', 'is not supported', 'write rate_limits of the route');
  if (config.stage > STAGE_MAX) refuse('stage', `${config.stage} is out of range`, `write 0 to ${STAGE_MAX}`);
  if (config.tokenBucket !== undefined) checkBucket(config.tokenBucket, env, `${path}.token_bucket`);
  else if (isOfRoute) refuse('token_bucket', 'must be set in settings of a route', 'write token_bucket');
  if (config.tokenBucket === undefined && config.descriptors.length > 0) {
    refuse('token_bucket', 'must be set where there are descriptors', 'write token_bucket');
  }
  if (config.descriptors.length > DESCRIPTORS_MAX) {
    refuse('descriptors', 'are too many', `write at most ${DESCRIPTORS_MAX}`);
  }
  checkDescriptors(config, env, path);
  for (const field of ['responseHeadersToAdd', 'requestHeadersToAddWhenNotEnforced'] as const) {
    const name =
      field === 'responseHeadersToAdd' ? 'response_headers_to_add' : 'request_headers_to_add_when_not_enforced';
    if (config[field].length > EDITS_MAX) refuse(name, 'are too many', `write at most ${EDITS_MAX}`);
  }
  editsOf(config, env, path);
  compileChance(config.filterEnabled, 0, env, `${path}.filter_enabled`);
  compileChance(config.filterEnforced, 0, env, `${path}.filter_enforced`);
  if (config.localClusterRateLimit !== undefined) {
    if (config.localRateLimitPerDownstreamConnection) {
      refuse('local_cluster_rate_limit', 'cannot be of a connection', 'write one of the two');
    }
    if (scope.localCluster === undefined) {
      const remedy = 'name it in cluster_manager.local_cluster_name';
      refuse('local_cluster_rate_limit', 'there is no local cluster', remedy);
    }
  }
  return !refuses(problems.slice(before));
}

function checkDescriptors(config: LocalRateLimit, env: CompileEnv, path: string): void {
  const known = new Set<string>();
  for (const [i, descriptor] of config.descriptors.entries()) {
    const at = `${path}.descriptors[${i}]`;
    if (descriptor.entries.length === 0 || descriptor.entries.some(({ key }) => key === '')) {
      env.problems.push(error(`${at}.entries`, 'must have a key each, and there must be one', 'write key and value'));
    }
    if (descriptor.tokenBucket === undefined) {
      env.problems.push(error(`${at}.token_bucket`, 'must be set', 'write token_bucket'));
    } else checkBucket(descriptor.tokenBucket, env, `${at}.token_bucket`);
    const text = textOf(descriptor);
    if (known.has(text)) env.problems.push(error(at, 'is there twice', 'remove one of them'));
    known.add(text);
    const step = config.tokenBucket === undefined ? 0 : fillMsOf(config.tokenBucket);
    const own = descriptor.tokenBucket === undefined ? 0 : fillMsOf(descriptor.tokenBucket);
    if (step > 0 && own % step !== 0) {
      const remedy = 'write a multiple of the fill_interval of token_bucket';
      env.problems.push(error(`${at}.token_bucket.fill_interval`, 'does not fit that of the filter', remedy));
    }
  }
}

function checkBucket(bucket: TokenBucket, env: CompileEnv, path: string): void {
  const fillMs = fillMsOf(bucket);
  if (bucket.maxTokens === 0) env.problems.push(error(`${path}.max_tokens`, 'must be above 0', 'write 1 or more'));
  if (bucket.tokensPerFill === 0) {
    env.problems.push(error(`${path}.tokens_per_fill`, 'must be above 0', 'write 1 or more'));
  }
  if (fillMs < FILL_MS_MIN) {
    env.problems.push(error(`${path}.fill_interval`, `${fillMs} ms is too short`, `write 0.05s or more`));
  }
}

function fillMsOf({ fillInterval }: TokenBucket): number {
  return fillInterval === undefined ? 0 : Number(fillInterval.seconds) * 1000 + Math.floor(fillInterval.nanos / 1e6);
}

interface SettingsScope {
  readonly scope: FilterScope;
  readonly env: CompileEnv;
  /** Of the buckets. */
  readonly name: string;
}

function compileSettings(config: LocalRateLimit, { scope, env, name }: SettingsScope): Settings {
  const status: number = config.status?.code ?? STATUS;
  const wantsHeaders = config.enableXRatelimitHeaders === HeadersVersion.DRAFT_VERSION_03;
  const edits = editsOf(config, { ...env, problems: [] }, '');
  return {
    tally: scope.tally('http_local_rate_limit', LOCAL_STATS, {
      label: PREFIX_LABEL,
      value: config.statPrefix,
      root: '',
    }),
    clock: scope.clock,
    random: env.random,
    runtimeNumber: env.runtimeNumber,
    enabled: compileChance(config.filterEnabled, 0, env, ''),
    enforced: compileChance(config.filterEnforced, 0, env, ''),
    status: status < 400 ? STATUS : status,
    saysExhausted: config.rateLimitedAsResourceExhausted,
    ...edits,
    buckets: bucketsOf(config, scope.limits, name),
    perConnection: config.localRateLimitPerDownstreamConnection
      ? new PerConnection(() => bucketsOf(config, new LocalLimits(), ''))
      : null,
    alwaysTakesFallback: config.alwaysConsumeDefaultTokenBucket ?? true,
    sharedWith: config.localClusterRateLimit === undefined ? null : (scope.localCluster ?? null),
    deciding: wantsHeaders ? hidden(new WeakMap()) : null,
    bit: scope.bit,
  };
}

/** What plans are printed without. */
function hidden<Thing extends object>(thing: Thing): Thing {
  return Object.assign(thing, { toJSON: () => undefined });
}

function editsOf(
  config: LocalRateLimit,
  env: CompileEnv,
  path: string,
): Pick<Settings, 'responseEdits' | 'requestEdits'> {
  const edited = {
    requestHeadersToAdd: config.requestHeadersToAddWhenNotEnforced,
    requestHeadersToRemove: [],
    responseHeadersToAdd: config.responseHeadersToAdd,
    responseHeadersToRemove: [],
  };
  return {
    responseEdits: compileHeaderEdits(edited, 'response', env.problems, path),
    requestEdits: compileHeaderEdits(edited, 'request', env.problems, path),
  };
}

function bucketsOf(config: LocalRateLimit, limits: Limits, name: string): LimitBuckets {
  const exact = new Map<string, RatedBucket>();
  const wild: WildBuckets[] = [];
  for (const descriptor of config.descriptors) {
    const rate = rateOf(descriptor.tokenBucket);
    const text = textOf(descriptor);
    if (descriptor.entries.every(({ value }) => value !== '')) {
      exact.set(text, { bucket: limits.rate(`${name} ${text}`), rate });
      continue;
    }
    const keys = descriptor.entries.map(({ key }) => key);
    const values = descriptor.entries.map(({ value }) => wireText(value));
    wild.push({ keys, values, rate, buckets: limits.keyedRates(`${name} ${text}`, VALUES_MAX) });
  }
  return { fallback: { bucket: limits.rate(name), rate: rateOf(config.tokenBucket) }, exact, wild };
}

function textOf({ entries }: LocalRateLimitDescriptor): string {
  return entries.map(({ key, value }) => entryText(key, wireText(value))).join('');
}

/** No bucket is one that never has a token. */
function rateOf(bucket: TokenBucket | undefined): RatedBucket['rate'] {
  if (bucket === undefined) return { tokensMax: 0, tokensPerMs: 1 };
  return { tokensMax: bucket.maxTokens, tokensPerMs: (bucket.tokensPerFill ?? 1) / fillMsOf(bucket) };
}
