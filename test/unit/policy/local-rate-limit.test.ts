// The local rate limit, step by step: what it counts and marks, what is refused, and whose buckets are whose. Which bucket a
// request takes from and what the client sees is compared with Envoy in test/peer.
import { create, fromJson, toBinary, type JsonObject } from '@bufbuild/protobuf';
import { AnySchema, type Any } from '@bufbuild/protobuf/wkt';
import { expect, test } from 'vitest';
import { clusterId } from '../../../src/base/brand.ts';
import { formatProblem } from '../../../src/base/problem.ts';
import { LocalLimits, type Limits } from '../../../src/base/shared-limits.ts';
import { internHeader } from '../../../src/http/header-name.ts';
import { ClusterRef, Endpoint, type Cluster } from '../../../src/plan/cluster.ts';
import { Exchange } from '../../../src/plan/exchange.ts';
import { FilterTally } from '../../../src/plan/filter-tally.ts';
import type { HttpFilter, RoutePlace } from '../../../src/plan/http-filter.ts';
import { CONTINUE, REPLY, type CompileEnv, type PlanPart } from '../../../src/plan/plan.ts';
import { flagLetters } from '../../../src/plan/response-flags.ts';
import { run, runThrough } from '../../../src/plan/run.ts';
import { compileLocalLimit } from '../../../src/policy/local-rate-limit-compile.ts';
import { RouteSchema, VirtualHostSchema } from '../../../src/xds/gen/envoy/config/route/v3/route_components_pb.js';
import { LocalRateLimitSchema } from '../../../src/xds/gen/envoy/extensions/filters/http/local_ratelimit/v3/local_rate_limit_pb.js';
import { NO_REMOTE } from '../../support/no-remote.ts';

const ALL = { defaultValue: { numerator: 100 } };
const LIMIT: JsonObject = {
  statPrefix: 'in',
  tokenBucket: { maxTokens: 1, fillInterval: '1s' },
  filterEnabled: ALL,
  filterEnforced: ALL,
};

const packed = (config: JsonObject): Any =>
  create(AnySchema, {
    typeUrl: `type.googleapis.com/${LocalRateLimitSchema.typeName}`,
    value: toBinary(LocalRateLimitSchema, fromJson(LocalRateLimitSchema, config)),
  });

class Bench {
  nowMs = 1000;
  readonly env: CompileEnv;
  readonly filter: HttpFilter | null;
  readonly #tallies = new Map<string, FilterTally>();

  constructor(config: JsonObject, limits: Limits = new LocalLimits(), members = 0) {
    const ref = new ClusterRef(clusterId('own'));
    ref.cluster = members === 0 ? null : aCluster(members);
    this.env = {
      problems: [],
      clusterRef: (name) => new ClusterRef(clusterId(name)),
      random: () => 0.5,
      runtimeNumber: (_key, fallback) => fallback,
    };
    this.filter = compileLocalLimit(packed(config), {
      env: this.env,
      path: 'limit',
      name: 'l',
      bit: 4,
      statPrefix: 'main',
      place: 'in',
      serviceCluster: 'web',
      ...(members === 0 ? {} : { localCluster: ref }),
      isInbound: false,
      isMesh: false,
      routeMatch: () => null,
      clock: { now: () => this.nowMs, wall: () => 0 },
      limits,
      remote: NO_REMOTE,
      tally: (name, stats, part) => {
        const key = `${part?.root ?? 'http.main.'}${part?.value}.${name}`;
        const tally = this.#tallies.get(key) ?? new FilterTally(stats);
        this.#tallies.set(key, tally);
        return tally;
      },
    });
  }

  get problems(): readonly string[] {
    return this.env.problems.map(formatProblem);
  }

  get counts(): readonly string[] {
    return [...this.#tallies].flatMap(([key, tally]) =>
      tally.stats.flatMap(({ name }, index) => (tally.of(index) === 0 ? [] : [`${key}.${name} ${tally.of(index)}`])),
    );
  }

  route(json: JsonObject, settings: JsonObject | null, place = 'r'): PlanPart {
    const at: RoutePlace = {
      route: fromJson(RouteSchema, { match: { prefix: '/' }, route: { cluster: 'a' }, ...json }),
      host: create(VirtualHostSchema),
      path: 'virtual_hosts[0].routes[0]',
      hostPath: 'virtual_hosts[0]',
      fetches: null,
    };
    const placed = settings === null ? null : { any: packed(settings), place };
    return this.filter?.onRoute?.(at, placed, this.env) ?? {};
  }
}

function aCluster(members: number): Cluster {
  const settings = { name: clusterId('own'), connectTimeoutMs: 1000, idleTimeoutMs: 0, maxRequestsPerConnection: 0 };
  const at = { hostname: '', locality: { region: '', zone: '', subZone: '' }, priority: 0, weight: 1 };
  const endpoints = Array.from(
    { length: members },
    (_, i) => new Endpoint({ ...at, address: '127.0.0.1', port: i + 1, metadata: new Map() }),
  );
  return { ...settings, picker: { pick: () => null }, endpoints, metadata: new Map(), isWarm: true };
}

const ask = (part: PlanPart | undefined, x = new Exchange()): number => run(x, part?.onRequest ?? []);

test('over the limit the answer is 429 with its flag, its details and its count', () => {
  const bench = new Bench(LIMIT);
  const x = new Exchange();
  expect([ask(bench.filter?.part), ask(bench.filter?.part, x)]).toEqual([CONTINUE, REPLY]);
  expect([x.response.status, x.replyBody, x.details, flagLetters(x.flags)]).toEqual([
    429,
    'local_rate_limited',
    'local_rate_limited',
    'RL',
  ]);
  bench.nowMs += 1000;
  expect(ask(bench.filter?.part)).toBe(CONTINUE);
  expect(bench.counts).toEqual([
    'in.http_local_rate_limit.enabled 3',
    'in.http_local_rate_limit.enforced 1',
    'in.http_local_rate_limit.ok 2',
    'in.http_local_rate_limit.rate_limited 1',
  ]);
});

test('in shadow mode the request passes, is marked and counted', () => {
  const { filterEnforced: _, ...rest } = LIMIT;
  const mark = [{ header: { key: 'x-over', value: 'yes' } }];
  const bench = new Bench({ ...rest, requestHeadersToAddWhenNotEnforced: mark });
  const x = new Exchange();
  expect([ask(bench.filter?.part), ask(bench.filter?.part, x)]).toEqual([CONTINUE, CONTINUE]);
  expect([x.request.get(internHeader('x-over')), x.flags]).toEqual(['yes', 0]);
  expect(bench.counts).toContain('in.http_local_rate_limit.rate_limited 1');
  expect(bench.counts.some((line) => line.includes('enforced'))).toBe(false);
});

test('a share of requests is asked', () => {
  const half = new Bench({ ...LIMIT, filterEnabled: { defaultValue: { numerator: 50 } } });
  const more = new Bench({ ...LIMIT, filterEnabled: { defaultValue: { numerator: 51 } } });
  expect([half, more].map(({ filter }) => [ask(filter?.part), ask(filter?.part)])).toEqual([
    [CONTINUE, CONTINUE],
    [CONTINUE, REPLY],
  ]);
});

test('a filter that is not switched on has no steps', () => {
  const { filterEnabled: _, ...rest } = LIMIT;
  expect(new Bench(rest).filter?.part).toEqual({});
});

test('buckets keep their tokens over a new version of the configuration, and places have their own', () => {
  const limits = new LocalLimits();
  const first = new Bench(LIMIT, limits);
  const [mine, other] = [first.route({}, LIMIT, 'a'), first.route({}, LIMIT, 'b')];
  expect([ask(mine), ask(mine), ask(other)]).toEqual([CONTINUE, REPLY, CONTINUE]);
  const newer = new Bench({ ...LIMIT, status: { code: 'TooManyRequests' } }, limits).route({}, LIMIT, 'a');
  expect(ask(newer)).toBe(REPLY);
});

test('the response tells how the bucket stands', () => {
  const bench = new Bench({ ...LIMIT, enableXRatelimitHeaders: 'DRAFT_VERSION_03' });
  const x = new Exchange();
  ask(bench.filter?.part, x);
  bench.nowMs += 100;
  runThrough(x, bench.filter?.part.onResponse ?? []);
  const told = ['limit', 'remaining', 'reset'].map((name) => x.response.get(internHeader(`x-ratelimit-${name}`)));
  expect(told).toEqual(['1', '0', '1']);
  const late = new Exchange();
  runThrough(late, bench.filter?.part.onResponse ?? []);
  expect(late.response.count).toBe(0);
});

test('a limit shared with the local cluster needs one', () => {
  const config = { ...LIMIT, localClusterRateLimit: {} };
  expect(new Bench(config).problems.join()).toContain('there is no local cluster');
  const tokenBucket = { maxTokens: 4, fillInterval: '1s' };
  const one = new Bench({ ...config, tokenBucket }, new LocalLimits(), 2);
  expect([one.problems, [0, 1, 2].map(() => ask(one.filter?.part))]).toEqual([[], [CONTINUE, CONTINUE, REPLY]]);
  one.nowMs += 2000;
  expect([ask(one.filter?.part), ask(one.filter?.part)]).toEqual([CONTINUE, REPLY]);
});

const refusals: readonly (readonly [string, JsonObject, string])[] = [
  ['no name', { statPrefix: '' }, 'stat_prefix'],
  ['a fast bucket', { tokenBucket: { maxTokens: 1, fillInterval: '0.049s' } }, 'token_bucket.fill_interval'],
  ['a bucket for nothing', { tokenBucket: { maxTokens: 0, fillInterval: '1s' } }, 'token_bucket.max_tokens'],
  [
    'nothing to fill',
    { tokenBucket: { maxTokens: 1, tokensPerFill: 0, fillInterval: '1s' } },
    'token_bucket.tokens_per_fill',
  ],
  ['a far stage', { stage: 11 }, 'stage'],
  [
    'a descriptor twice',
    {
      descriptors: [1, 2].map((maxTokens) => ({
        entries: [{ key: 'a', value: 'b' }],
        tokenBucket: { maxTokens, fillInterval: '1s' },
      })),
    },
    'descriptors[1]',
  ],
  [
    'a descriptor that fills between times',
    { descriptors: [{ entries: [{ key: 'a', value: 'b' }], tokenBucket: { maxTokens: 1, fillInterval: '1.5s' } }] },
    'descriptors[0].token_bucket.fill_interval',
  ],
  [
    'a descriptor without entries',
    { descriptors: [{ tokenBucket: { maxTokens: 1, fillInterval: '1s' } }] },
    'descriptors[0].entries',
  ],
  [
    'a header that is none',
    { responseHeadersToAdd: [{ header: { key: 'a b', value: 'c' } }] },
    'response_headers_to_add[0].header.key',
  ],
  [
    'both shares',
    { localClusterRateLimit: {}, localRateLimitPerDownstreamConnection: true },
    'local_cluster_rate_limit',
  ],
];

test.each(refusals)('%s is refused at its path', (_, extra, path) => {
  const bench = new Bench({ ...LIMIT, ...extra }, new LocalLimits(), 1);
  expect([bench.filter, bench.problems.length > 0]).toEqual([null, true]);
  expect(bench.env.problems.map((problem) => problem.path)).toContain(`limit.${path}`);
});

test('rate_limits of the filter, which our API version does not have, are not passed by', () => {
  const bench = new Bench(LIMIT);
  const settings = packed(LIMIT);
  // An empty message as field 17.
  settings.value = new Uint8Array([...settings.value, 0x8a, 0x01, 0x00]);
  expect(bench.filter?.withSettings(settings, bench.env, 'r')).toBeNull();
  expect(bench.env.problems.map(({ path }) => path)).toEqual(['r.rate_limits']);
});

test('settings of a route need a bucket', () => {
  const bench = new Bench(LIMIT);
  const { tokenBucket: _, ...rest } = LIMIT;
  expect(bench.filter?.withSettings(packed(rest), bench.env, 'r')).toBeNull();
  expect(bench.env.problems.map(({ path }) => path)).toEqual(['r.token_bucket']);
});

test.each([
  ['no action', {}],
  ['an empty key', { genericKey: {} }],
  ['no metadata', { metadata: { descriptorKey: 'k' } }],
  ['nothing to match', { headerValueMatch: { descriptorValue: 'v' } }],
])('an action with %s refuses the route', (_, action) => {
  const bench = new Bench({
    ...LIMIT,
    descriptors: [{ entries: [{ key: 'a', value: 'b' }], tokenBucket: { maxTokens: 1, fillInterval: '1s' } }],
  });
  bench.route({ route: { cluster: 'a', rateLimits: [{ actions: [action] }] } }, null);
  expect(
    bench.env.problems.map(({ path }) => path.startsWith('virtual_hosts[0].routes[0].route.rate_limits[0]')),
  ).toEqual([true]);
});
