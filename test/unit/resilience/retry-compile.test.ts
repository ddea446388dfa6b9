// Every field of RetryPolicy and HedgePolicy: what it becomes, what its default is, and what is refused.
import { fromJson, type JsonObject } from '@bufbuild/protobuf';
import { describe, expect, test } from 'vitest';
import { internHeader } from '../../../src/http/header-name.ts';
import { Endpoint } from '../../../src/plan/cluster.ts';
import { Exchange } from '../../../src/plan/exchange.ts';
import { runThrough } from '../../../src/plan/run.ts';
import { EMPTY_RETRY_PLAN, RETRY_ON, type RetryPlan } from '../../../src/plan/retry-plan.ts';
import { compileRetry } from '../../../src/resilience/retry-compile.ts';
import { extensions } from '../../../src/sidecar/bootstrap-registry.ts';
import { RouteSchema, VirtualHostSchema } from '../../../src/xds/gen/envoy/config/route/v3/route_components_pb.js';
import { anEnv } from './cluster-builders.ts';

interface Given {
  readonly action?: JsonObject;
  readonly route?: JsonObject;
  readonly host?: JsonObject;
  readonly headers?: Readonly<Record<string, string>>;
  readonly readsHeaders?: boolean;
}

const BUFFER = 5000;

function compiled(given: Given): { plan: RetryPlan | null; problems: string[]; left: string[] } {
  const env = anEnv();
  const registry = extensions;
  const action = { cluster: 'c', ...given.action };
  const route = fromJson(RouteSchema, { match: { prefix: '/' }, route: action, ...given.route }, { registry });
  const host = fromJson(VirtualHostSchema, { name: 'v', domains: ['*'], ...given.host }, { registry });
  const context = { env, origin: 'o', readsHeaders: given.readsHeaders ?? false, bufferBytesMax: BUFFER };
  const part = compileRetry(route, host, context, { routePath: 'routes[0]', hostPath: 'v' });
  const x = new Exchange();
  for (const [name, value] of Object.entries(given.headers ?? {})) x.request.add(internHeader(name), value);
  runThrough(x, part?.onRequest ?? []);
  const left = Object.keys(given.headers ?? {}).filter((name) => x.request.has(internHeader(name)));
  return { plan: x.retry, problems: env.problems.map(({ path }) => path), left };
}

const withPolicy = (policy: JsonObject): Given => ({ action: { retry_policy: { retry_on: '5xx', ...policy } } });
const typed = (name: string, rest: JsonObject = {}): JsonObject => ({
  name: 'n',
  typed_config: { '@type': `type.googleapis.com/envoy.extensions.retry.${name}`, ...rest },
});
const PREVIOUS_HOSTS = typed('host.previous_hosts.v3.PreviousHostsPredicate');
const PREVIOUS_PRIORITIES = 'priority.previous_priorities.v3.PreviousPrioritiesConfig';

describe('a field becomes', () => {
  test.each<[string, Given, Partial<RetryPlan>]>([
    ['the defaults', withPolicy({}), { ...EMPTY_RETRY_PLAN, conditions: RETRY_ON.FIVE_XX, bodyBytesMax: BUFFER }],
    [
      'retry_on',
      withPolicy({ retry_on: 'reset, cancelled' }),
      { conditions: RETRY_ON.RESET | RETRY_ON.GRPC_CANCELLED },
    ],
    ['num_retries', withPolicy({ num_retries: 0 }), { retriesMax: 0 }],
    ['retriable_status_codes', withPolicy({ retriable_status_codes: [418] }), { statuses: [418] }],
    ['per_try_timeout', withPolicy({ per_try_timeout: '0.25s' }), { perTryTimeoutMs: 250 }],
    ['per_try_idle_timeout', withPolicy({ per_try_idle_timeout: '2s' }), { perTryIdleTimeoutMs: 2000 }],
    [
      'retry_back_off',
      withPolicy({ retry_back_off: { base_interval: '0.1s' } }),
      { backOff: { baseMs: 100, maxMs: 1000, isMinimum: false } },
    ],
    [
      'retry_back_off.max_interval',
      withPolicy({ retry_back_off: { base_interval: '0.0001s', max_interval: '0.5s' } }),
      { backOff: { baseMs: 1, maxMs: 500, isMinimum: false } },
    ],
    [
      'rate_limited_retry_back_off',
      withPolicy({
        rate_limited_retry_back_off: {
          reset_headers: [{ name: 'Retry-After' }, { name: 'X-Reset', format: 'UNIX_TIMESTAMP' }],
        },
      }),
      {
        rateLimited: {
          maxMs: 300_000,
          headers: [
            { id: internHeader('retry-after'), isTimestamp: false },
            { id: internHeader('x-reset'), isTimestamp: true },
          ],
        },
      },
    ],
    [
      'previous_hosts',
      withPolicy({ retry_host_predicate: [PREVIOUS_HOSTS], host_selection_retry_max_attempts: 5 }),
      { hosts: { avoidsTried: true, rejects: null, picksMax: 5, priorityFrequency: 0 } },
    ],
    [
      'previous_hosts without a number',
      withPolicy({ retry_host_predicate: [PREVIOUS_HOSTS] }),
      { hosts: { avoidsTried: true, rejects: null, picksMax: 1, priorityFrequency: 0 } },
    ],
    [
      'previous_priorities',
      withPolicy({ retry_priority: typed(PREVIOUS_PRIORITIES, { update_frequency: 2 }) }),
      { hosts: { avoidsTried: false, rejects: null, picksMax: 1, priorityFrequency: 2 } },
    ],
    [
      'hedge_policy',
      { action: { retry_policy: { retry_on: '5xx' }, hedge_policy: { hedge_on_per_try_timeout: true } } },
      { isHedged: true },
    ],
    [
      'the buffer of the route',
      { ...withPolicy({}), route: { per_request_buffer_limit_bytes: 9 } },
      { bodyBytesMax: 9 },
    ],
    [
      'no more than that of the listener',
      { ...withPolicy({}), route: { per_request_buffer_limit_bytes: 9999 } },
      { bodyBytesMax: BUFFER },
    ],
    ['the buffer of the host', { ...withPolicy({}), host: { per_request_buffer_limit_bytes: 8 } }, { bodyBytesMax: 8 }],
    [
      'the newer buffer, beyond the listener',
      { ...withPolicy({}), host: { request_body_buffer_limit: 99_999, per_request_buffer_limit_bytes: 8 } },
      { bodyBytesMax: 99_999 },
    ],
    ['the policy of the host', { host: { retry_policy: { retry_on: 'reset' } } }, { conditions: RETRY_ON.RESET }],
    [
      'the typed policy of the host',
      {
        host: {
          retry_policy_typed_config: {
            '@type': 'type.googleapis.com/envoy.config.route.v3.RetryPolicy',
            retry_on: 'reset',
          },
        },
      },
      { conditions: RETRY_ON.RESET },
    ],
    [
      'the policy of the route alone',
      { ...withPolicy({}), host: { retry_policy: { retry_on: 'reset', num_retries: 9 } } },
      { conditions: RETRY_ON.FIVE_XX, retriesMax: 1 },
    ],
    [
      'the hedge of the host',
      { ...withPolicy({}), host: { hedge_policy: { hedge_on_per_try_timeout: true } } },
      { isHedged: true },
    ],
    [
      'include_is_timeout_retry_header',
      { ...withPolicy({}), host: { include_is_timeout_retry_header: true } },
      { tellsTimeout: true },
    ],
    [
      'the minimum of the Gateway API',
      { ...withPolicy({}), route: { metadata: { filter_metadata: { outrigger: { retry: { backoff: 'minimum' } } } } } },
      { backOff: { baseMs: 25, maxMs: 250, isMinimum: true } },
    ],
    [
      'times without a condition',
      { action: { retry_policy: { per_try_timeout: '1s' } } },
      { conditions: 0, perTryTimeoutMs: 1000 },
    ],
  ])('%s', (_name, given, expected) => {
    const { plan, problems } = compiled(given);
    expect(problems).toEqual([]);
    expect(plan).toMatchObject(expected);
  });

  test.each<[string, Given]>([
    ['no policy', {}],
    ['a policy without conditions and times', { action: { retry_policy: {} } }],
    ['a hedge alone', { action: { hedge_policy: { hedge_on_per_try_timeout: true } } }],
  ])('nothing: %s', (_name, given) => {
    expect(compiled(given)).toEqual({ plan: null, problems: [], left: [] });
  });
});

const anEndpoint = (metadata: Readonly<Record<string, string>>): Endpoint =>
  new Endpoint({
    address: '127.0.0.1',
    port: 1,
    hostname: '',
    locality: { region: '', zone: '', subZone: '' },
    priority: 0,
    metadata: new Map(Object.entries(metadata)),
    weight: 1,
  });

describe('predicates of hosts', () => {
  const CANARY = typed('host.omit_canary_hosts.v3.OmitCanaryHostsPredicate');
  const STAGE = typed('host.omit_host_metadata.v3.OmitHostMetadataConfig', {
    metadata_match: { filter_metadata: { 'envoy.lb': { stage: 'dev', old: true } } },
  });
  test.each<[string, JsonObject, Readonly<Record<string, string>>, boolean]>([
    ['a canary', CANARY, { canary: 'true' }, true],
    ['no canary', CANARY, { canary: 'false' }, false],
    ['nothing known', CANARY, {}, false],
    ['all the metadata', STAGE, { stage: 'dev', old: 'true', more: 'x' }, true],
    ['some of the metadata', STAGE, { stage: 'dev' }, false],
  ])('%s', (_name, predicate, metadata, isRejected) => {
    const { plan } = compiled(withPolicy({ retry_host_predicate: [predicate] }));
    expect(plan?.hosts.rejects?.(anEndpoint(metadata))).toBe(isRejected);
  });
});

describe('is refused, or named:', () => {
  const AT = 'routes[0].route.retry_policy';
  test.each<[string, Given, readonly string[]]>([
    ['an unknown condition', withPolicy({ retry_on: '5xx,sometimes' }), [`${AT}.retry_on`]],
    ['a negative time', withPolicy({ per_try_timeout: '-1s' }), [`${AT}.per_try_timeout`]],
    ['no base', withPolicy({ retry_back_off: {} }), [`${AT}.retry_back_off.base_interval`]],
    ['a base of 0', withPolicy({ retry_back_off: { base_interval: '0s' } }), [`${AT}.retry_back_off.base_interval`]],
    [
      'a maximum below the base',
      withPolicy({ retry_back_off: { base_interval: '2s', max_interval: '1s' } }),
      [`${AT}.retry_back_off.max_interval`],
    ],
    [
      'no reset header',
      withPolicy({ rate_limited_retry_back_off: {} }),
      [`${AT}.rate_limited_retry_back_off.reset_headers`],
    ],
    [
      'a reset header without a name',
      withPolicy({ rate_limited_retry_back_off: { reset_headers: [{}] } }),
      [`${AT}.rate_limited_retry_back_off.reset_headers[0].name`],
    ],
    [
      'a predicate without a type',
      withPolicy({ retry_host_predicate: [{ name: 'x' }] }),
      [`${AT}.retry_host_predicate[0]`],
    ],
    [
      'another priority',
      withPolicy({ retry_priority: typed('host.previous_hosts.v3.PreviousHostsPredicate') }),
      [`${AT}.retry_priority`],
    ],
    [
      'a frequency of 0',
      withPolicy({ retry_priority: typed(PREVIOUS_PRIORITIES) }),
      [`${AT}.retry_priority.update_frequency`],
    ],
    ['retry options', withPolicy({ retry_options_predicates: [PREVIOUS_HOSTS] }), [`${AT}.retry_options_predicates`]],
    [
      'two initial requests',
      { action: { hedge_policy: { initial_requests: 2 } } },
      ['routes[0].route.hedge_policy.initial_requests'],
    ],
    [
      'an additional request by chance',
      { action: { hedge_policy: { additional_request_chance: { numerator: 1 } } } },
      ['routes[0].route.hedge_policy.additional_request_chance'],
    ],
    ['a header matcher without a name', withPolicy({ retriable_headers: [{}] }), [`${AT}.retriable_headers[0].name`]],
    ['the host', { host: { retry_policy: { retry_on: 'x' } } }, ['v.retry_policy.retry_on']],
  ])('%s', (_name, given, paths) => {
    expect(compiled(given).problems).toEqual(paths);
  });
});

describe('a request asks by its fields:', () => {
  const asks = (headers: Readonly<Record<string, string>>, given: Given = {}): Given => ({
    ...given,
    readsHeaders: true,
    headers,
  });
  test.each<[string, Given, Partial<RetryPlan> | null]>([
    ['nothing', asks({}), null],
    ['conditions', asks({ 'x-envoy-retry-on': 'reset,bogus' }), { conditions: RETRY_ON.RESET, retriesMax: 1 }],
    ['conditions of gRPC', asks({ 'x-envoy-retry-grpc-on': 'cancelled' }), { conditions: RETRY_ON.GRPC_CANCELLED }],
    [
      'more conditions than the route has',
      asks({ 'x-envoy-retry-on': 'reset' }, withPolicy({})),
      { conditions: RETRY_ON.RESET | RETRY_ON.FIVE_XX },
    ],
    ['how often', asks({ 'x-envoy-max-retries': '7' }, withPolicy({})), { retriesMax: 7 }],
    ['how often, in nonsense', asks({ 'x-envoy-max-retries': '7x' }, withPolicy({})), { retriesMax: 1 }],
    [
      'statuses',
      asks({ 'x-envoy-retriable-status-codes': '401, x, 402' }, withPolicy({ retriable_status_codes: [400] })),
      { statuses: [400, 401, 402] },
    ],
    ['the time of an attempt', asks({ 'x-envoy-upstream-rq-per-try-timeout-ms': '70' }), { perTryTimeoutMs: 70 }],
    ['a hedge', asks({ 'x-envoy-hedge-on-per-try-timeout': 'true' }, withPolicy({})), { isHedged: true }],
    ['how often without a condition', asks({ 'x-envoy-max-retries': '7' }), null],
  ])('%s', (_name, given, expected) => {
    const { plan, left } = compiled(given);
    if (expected === null) expect(plan).toBeNull();
    else expect(plan).toMatchObject(expected);
    expect(left).toEqual([]);
  });

  test('a request without the header that retries need keeps its times only', () => {
    const given = withPolicy({
      per_try_timeout: '1s',
      retriable_request_headers: [{ name: 'x-me', present_match: true }],
    });
    expect(compiled(given).plan).toMatchObject({ conditions: 0, perTryTimeoutMs: 1000 });
    expect(compiled({ ...given, headers: { 'x-me': '1' } }).plan).toMatchObject({ conditions: RETRY_ON.FIVE_XX });
  });
});
