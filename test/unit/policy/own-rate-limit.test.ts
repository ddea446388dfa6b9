// Limits that Envoy has no words for: fairness among callers, parts of a divided limit, what a refusal costs and tells.
import { create, fromJson, toBinary, type JsonObject } from '@bufbuild/protobuf';
import { AnySchema, StructSchema, type Any } from '@bufbuild/protobuf/wkt';
import { array, assert, boolean, double, integer, property, record } from 'fast-check';
import { expect, test } from 'vitest';
import { clusterId } from '../../../src/base/brand.ts';
import { formatProblem } from '../../../src/base/problem.ts';
import { LocalLimits, SharedLimits, type Limits } from '../../../src/base/shared-limits.ts';
import { internHeader } from '../../../src/http/header-name.ts';
import { ClusterRef } from '../../../src/plan/cluster.ts';
import { Exchange, NO_CONNECTION } from '../../../src/plan/exchange.ts';
import { FilterTally } from '../../../src/plan/filter-tally.ts';
import type { HttpFilter } from '../../../src/plan/http-filter.ts';
import { REPLY, type CompileEnv, type PlanPart } from '../../../src/plan/plan.ts';
import { flagLetters } from '../../../src/plan/response-flags.ts';
import { run, runThrough } from '../../../src/plan/run.ts';
import { compileOwnLimits } from '../../../src/policy/own-rate-limit-compile.ts';
import { NO_REMOTE } from '../../support/no-remote.ts';

const RATE = { requests: 10, perMs: 1000, burst: 10 };
const ANN = 'spiffe://cluster.local/ns/default/sa/ann';
const BOB = 'spiffe://cluster.local/ns/default/sa/bob';

type Headers = Readonly<Record<string, string | readonly string[]>>;

type Asking = readonly [caller: string, headers: Headers];

function anyOf(config: JsonObject): Any {
  return create(AnySchema, {
    typeUrl: `type.googleapis.com/${StructSchema.typeName}`,
    value: toBinary(StructSchema, fromJson(StructSchema, config)),
  });
}

class Bench {
  nowMs = 1000;
  readonly problems: readonly string[];
  readonly part: PlanPart;
  readonly #env: CompileEnv;
  readonly #filter: HttpFilter | null;
  readonly #tallies = new Map<string, FilterTally>();

  constructor(config: JsonObject, limits: Limits = new LocalLimits()) {
    const env: CompileEnv = {
      problems: [],
      clusterRef: (name) => new ClusterRef(clusterId(name)),
      random: () => 0.5,
      runtimeNumber: (_key, fallback) => fallback,
    };
    const filter = compileOwnLimits(anyOf(config), {
      env,
      path: 'f',
      name: 'outrigger.ratelimit',
      bit: 4,
      statPrefix: 'in',
      place: 'in',
      serviceCluster: 'web',
      isInbound: true,
      isMesh: true,
      routeMatch: () => null,
      clock: { now: () => this.nowMs, wall: () => 0 },
      limits,
      remote: NO_REMOTE,
      tally: (_name, stats, part) => {
        const tally = this.#tallies.get(part?.value ?? '') ?? new FilterTally(stats);
        this.#tallies.set(part?.value ?? '', tally);
        return tally;
      },
    });
    this.#env = env;
    this.#filter = filter;
    this.problems = env.problems.map(formatProblem);
    this.part = filter?.part ?? {};
  }

  /** The steps of a route with these settings; null: they were refused. */
  routePart(settings: JsonObject): PlanPart | null {
    return this.#filter?.withSettings(anyOf(settings), this.#env, 'r') ?? null;
  }

  /** True when the request passes. */
  ask(peerPrincipal = '', headers: Headers = {}, x = new Exchange(), part = this.part): boolean {
    x.connection = { ...NO_CONNECTION, peerPrincipal };
    x.request.method = 'GET';
    for (const [name, values] of Object.entries(headers))
      for (const value of typeof values === 'string' ? [values] : values) x.request.add(internHeader(name), value);
    return run(x, part.onRequest ?? []) !== REPLY;
  }

  /** How many of `count` requests pass. */
  passed(count: number, peerPrincipal = '', headers: Headers = {}, part = this.part): number {
    let passed = 0;
    for (let i = 0; i < count; i++) if (this.ask(peerPrincipal, headers, new Exchange(), part)) passed++;
    return passed;
  }

  get counts(): readonly string[] {
    return [...this.#tallies].flatMap(([key, tally]) =>
      tally.stats.flatMap(({ name }, i) => (tally.of(i) === 0 ? [] : [`${key}.${name} ${tally.of(i)}`])),
    );
  }
}

const CALLERS = { name: 'callers', by: 'caller', ...RATE };

test('a greedy caller does not starve another, and those without an identity share one bucket', () => {
  const total = { name: 'all', requests: 100, perMs: 1000, burst: 30 };
  const bench = new Bench({ limits: [total, CALLERS] });
  expect([bench.passed(1000, ANN), bench.passed(5, BOB), bench.passed(6), bench.passed(6)]).toEqual([10, 5, 6, 4]);
  // What the limit of callers refused has taken nothing from the limit of all: 30 - 10 - 5 - 10 are left.
  expect(bench.passed(100, `${BOB}2`)).toBe(5);
  expect(bench.counts).toContain('callers.limited 992');
});

test('a service account may have a rate of its own', () => {
  const overrides = [{ callers: [BOB], requests: 2, perMs: 1000, burst: 3 }];
  const bench = new Bench({ limits: [{ ...CALLERS, overrides }] });
  expect([bench.passed(50, ANN), bench.passed(50, BOB)]).toEqual([10, 3]);
  bench.nowMs += 1000;
  expect([bench.passed(50, ANN), bench.passed(50, BOB)]).toEqual([10, 2]);
});

test('each value of a header has a bucket, and requests without it are not limited', () => {
  const bench = new Bench({ limits: [{ name: 'tenants', by: 'header', header: 'x-tenant', ...RATE }] });
  const passed = ['a', 'b'].map((tenant) => bench.passed(20, ANN, { 'x-tenant': tenant }));
  expect([...passed, bench.passed(20, ANN)]).toEqual([10, 10, 20]);
});

test('of several fields of the name the first one counts, and an empty one is a value too', () => {
  const bench = new Bench({ limits: [{ name: 'tenants', by: 'header', header: 'x-tenant', ...RATE }] });
  const passed = [['a', 'b'], 'a', 'b', 'a,b', ''].map((tenant) => bench.passed(20, ANN, { 'x-tenant': tenant }));
  expect(passed).toEqual([10, 0, 10, 10, 10]);
});

test.each([
  ['callers', { name: 'callers', by: 'caller' }, (i: number): Asking => [`${ANN}${i}`, {}]],
  ['values', { name: 'values', by: 'header', header: 'x-a' }, (i: number): Asking => ['', { 'x-a': `${i}` }]],
  [
    'long values',
    { name: 'values', by: 'header', header: 'x-a' },
    (i: number): Asking => ['', { 'x-a': 'a'.repeat(5000) + i }],
  ],
])('10,000 %s have 500 buckets at a time, and who is seen keeps its own', (_, limit, keyOf) => {
  const limits = new LocalLimits();
  const bench = new Bench({ limits: [{ ...limit, id: 'k', ...RATE }] }, limits);
  const [caller, headers] = keyOf(0);
  expect(bench.passed(20, caller, headers)).toBe(10);
  for (let i = 1; i <= 10_000; i++) {
    bench.ask(...keyOf(i));
    if (i % 400 === 0) expect(bench.passed(1, caller, headers)).toBe(0);
  }
  expect(bench.passed(20, ...keyOf(10_000))).toBe(9);
  // This one had to make room.
  expect(bench.passed(20, ...keyOf(5000))).toBe(10);
});

test('a filter without limits does nothing by itself, and routes bring theirs', () => {
  const bench = new Bench({});
  const part = bench.routePart({ policies: [{ limits: [{ name: 'a', id: 'a', ...RATE }] }] }) ?? {};
  expect([bench.problems, bench.passed(50), bench.passed(50, '', {}, part)]).toEqual([[], 50, 10]);
});

test('routes of one target share its buckets, which outlive another configuration', () => {
  const limits = new LocalLimits();
  const settings = {
    policies: [
      { limits: [{ name: 'a', id: 'a', ...RATE }] },
      { limits: [{ name: 'b', id: 'b', by: 'header', header: 'x', ...RATE, burst: 4 }] },
    ],
  };
  const bench = new Bench({}, limits);
  const [one, other] = [bench.routePart(settings) ?? {}, bench.routePart(settings) ?? {}];
  expect([bench.passed(3, '', { x: '1' }, one), bench.passed(3, '', { x: '1' }, other)]).toEqual([3, 1]);
  const changed = { policies: [{ limits: [{ name: 'new', id: 'new', ...RATE, burst: 100 }] }, ...settings.policies] };
  const later = new Bench({}, limits);
  const part = later.routePart(changed) ?? {};
  expect([later.passed(3, '', { x: '1' }, part), later.passed(10, '', { x: '2' }, part)]).toEqual([0, 4]);
  // What the limit b refused has taken nothing of a: 10 - 4 - 4.
  expect(later.passed(10, '', {}, part)).toBe(2);
});

test('each policy answers in its own way, and the fields tell of the closest limit that has some', () => {
  const bench = new Bench({
    policies: [
      { limits: [{ name: 'a', requests: 1, perMs: 1000, burst: 3 }], status: 503, headers: { 'x-why': 'a' } },
      { limits: [{ name: 'b', requests: 1, perMs: 1000, burst: 5 }], fields: 'ratelimit' },
    ],
  });
  const names = ['x-why', 'ratelimit'];
  const told = [0, 1, 2, 3].map(() => {
    const x = new Exchange();
    bench.ask('', {}, x);
    runThrough(x, bench.part.onResponse ?? []);
    return [x.response.status, ...names.map((name) => x.response.get(internHeader(name)))];
  });
  expect(told).toEqual([
    [0, null, '"b";r=4;t=0'],
    [0, null, '"b";r=3;t=0'],
    [0, null, '"b";r=2;t=0'],
    [503, 'a', null],
  ]);
});

test('a part that was moved elsewhere in between is known to all who have the bucket', () => {
  const limits = new LocalLimits();
  const limit = { name: 'a', id: 's', share: 's', requests: 100, perMs: 1000, burst: 100 };
  const [idle, busy] = [new Bench({ limits: [limit] }, limits), new Bench({ limits: [limit] }, limits)];
  const share = limits.share('s');
  share.set(0.9);
  for (const bench of [idle, busy]) bench.ask();
  busy.nowMs = idle.nowMs += 2000;
  share.set(0.1);
  expect(busy.passed(200)).toBe(10);
  share.set(0.9);
  // Nothing is left of the part, so nothing is there to begin from.
  expect(idle.passed(200)).toBe(0);
});

test('a limit holds for what it matches', () => {
  const match = [{ name: ':method', stringMatch: { safeRegex: { regex: 'POST|PUT' } } }];
  const bench = new Bench({ limits: [{ name: 'writes', ...RATE, match }] });
  expect(bench.passed(50)).toBe(50);
});

test('in shadow mode nothing is refused, and it is counted', () => {
  const bench = new Bench({ limits: [{ name: 'all', shadow: true, ...RATE }] });
  expect([bench.passed(15), bench.counts]).toEqual([15, ['all.allowed 10', 'all.shadow_limited 5']]);
});

test('a refusal says when to come again, and how the limit stands', () => {
  const limits = [{ name: 'all', requests: 1, perMs: 10_000, burst: 1 }];
  const bench = new Bench({ limits, status: 503, headers: { 'x-why': 'so' }, fields: 'ratelimit' });
  const told = [new Exchange(), new Exchange()].map((x) => {
    bench.ask('', { 'content-type': 'application/grpc' }, x);
    runThrough(x, bench.part.onResponse ?? []);
    const names = ['retry-after', 'x-why', 'grpc-status', 'ratelimit', 'ratelimit-policy'];
    return [x.response.status, flagLetters(x.flags), ...names.map((name) => x.response.get(internHeader(name)))];
  });
  expect(told).toEqual([
    [0, '-', null, null, null, '"all";r=0;t=10', '"all";q=1;w=10'],
    [503, 'RL', '10', 'so', '8', '"all";r=0;t=10', '"all";q=1;w=10'],
  ]);
});

test('an instance without a part admits nothing; its part fills from empty, and a smaller part keeps no more than it may', () => {
  const limits = new LocalLimits();
  const bench = new Bench({ limits: [{ name: 'all', share: 's', ...RATE, requests: 100, burst: 100 }] }, limits);
  const share = limits.share('s');
  expect([bench.passed(5), share.demand]).toEqual([0, 5]);
  share.set(0.5);
  expect(bench.passed(5)).toBe(0);
  bench.nowMs += 200;
  expect(bench.passed(50)).toBe(10);
  bench.nowMs += 1000;
  share.set(0.1);
  expect(bench.passed(50)).toBe(10);
  share.set(0);
  expect(bench.passed(50)).toBe(0);
});

test('instances among whom a limit is divided admit no more than it, however its parts move', () => {
  const step = record({
    afterMs: double({ min: 0, max: 60, noNaN: true }),
    who: integer({ min: 0, max: 1 }),
    asks: integer({ min: 0, max: 8 }),
    part: integer({ min: 0, max: 10 }),
    moves: boolean(),
  });
  assert(
    property(array(step, { minLength: 1, maxLength: 80 }), boolean(), (steps, isShared) => {
      const config = { limits: [{ name: 'all', share: 's', requests: 100, perMs: 1000, burst: 20 }] };
      const limits = [0, 1].map(() => (isShared ? new SharedLimits(2, 0) : new LocalLimits()));
      const benches = limits.map((own) => new Bench(config, own));
      let admitted = 0;
      let nowMs = 1000;
      for (const { afterMs, who, asks, part, moves } of steps) {
        nowMs += afterMs;
        for (const bench of benches) bench.nowMs = nowMs;
        if (moves) {
          for (const [i, own] of limits.entries()) own.share('s').set(i === 0 ? part / 10 : 1 - part / 10);
          // Both hear of it: each has a request, which may pass.
          for (const bench of benches) admitted += bench.passed(1);
        }
        admitted += benches[who]?.passed(asks) ?? 0;
      }
      // Each instance may have room for one request of its own.
      expect(admitted).toBeLessThanOrEqual(20 + 2 + (nowMs - 1000) * 0.1 + 1e-3);
    }),
    { numRuns: 100 },
  );
});

test('settings of a route that say nothing are refused', () => {
  const bench = new Bench({});
  expect(
    [{}, { policies: [] }, { policies: [{}] }, { policies: [{ limits: [] }] }].map((one) => bench.routePart(one)),
  ).toEqual([null, null, null, null]);
});

test.each([
  ['no limits', { limits: [] }],
  ['a list of no policies', { policies: [] }],
  ['a limit without a rate', { limits: [{ name: 'a' }] }],
  ['a limit without a name', { limits: [RATE] }],
  ['a match that is none', { limits: [{ name: 'a', ...RATE, match: [{ nonsense: 1 }] }] }],
])('%s is refused', (_, config) => {
  expect(new Bench(config).problems.length).toBeGreaterThan(0);
});
