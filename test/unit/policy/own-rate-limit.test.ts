// Limits that Envoy has no words for: fairness among callers, parts of a divided limit, what a refusal costs and tells.
import { create, fromJson, toBinary, type JsonObject } from '@bufbuild/protobuf';
import { AnySchema, StructSchema } from '@bufbuild/protobuf/wkt';
import { array, assert, boolean, double, integer, property, record } from 'fast-check';
import { expect, test } from 'vitest';
import { clusterId } from '../../../src/base/brand.ts';
import { formatProblem } from '../../../src/base/problem.ts';
import { LocalLimits, SharedLimits, type Limits } from '../../../src/base/shared-limits.ts';
import { internHeader } from '../../../src/http/header-name.ts';
import { ClusterRef } from '../../../src/plan/cluster.ts';
import { Exchange, NO_CONNECTION } from '../../../src/plan/exchange.ts';
import { FilterTally } from '../../../src/plan/filter-tally.ts';
import { REPLY, type CompileEnv, type PlanPart } from '../../../src/plan/plan.ts';
import { flagLetters } from '../../../src/plan/response-flags.ts';
import { run, runThrough } from '../../../src/plan/run.ts';
import { compileOwnLimits } from '../../../src/policy/own-rate-limit-compile.ts';
import { NO_REMOTE } from '../../support/no-remote.ts';

const RATE = { requests: 10, perMs: 1000, burst: 10 };
const ANN = 'spiffe://cluster.local/ns/default/sa/ann';
const BOB = 'spiffe://cluster.local/ns/default/sa/bob';

class Bench {
  nowMs = 1000;
  readonly problems: readonly string[];
  readonly part: PlanPart;
  readonly #tallies = new Map<string, FilterTally>();

  constructor(config: JsonObject, limits: Limits = new LocalLimits()) {
    const env: CompileEnv = {
      problems: [],
      clusterRef: (name) => new ClusterRef(clusterId(name)),
      random: () => 0.5,
      runtimeNumber: (_key, fallback) => fallback,
    };
    const any = create(AnySchema, {
      typeUrl: `type.googleapis.com/${StructSchema.typeName}`,
      value: toBinary(StructSchema, fromJson(StructSchema, config)),
    });
    const filter = compileOwnLimits(any, {
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
    this.problems = env.problems.map(formatProblem);
    this.part = filter?.part ?? {};
  }

  /** True when the request passes. */
  ask(peerPrincipal = '', headers: Readonly<Record<string, string>> = {}, x = new Exchange()): boolean {
    x.connection = { ...NO_CONNECTION, peerPrincipal };
    x.request.method = 'GET';
    for (const [name, value] of Object.entries(headers)) x.request.add(internHeader(name), value);
    return run(x, this.part.onRequest ?? []) !== REPLY;
  }

  /** How many of `count` requests pass. */
  passed(count: number, peerPrincipal = '', headers: Readonly<Record<string, string>> = {}): number {
    let passed = 0;
    for (let i = 0; i < count; i++) if (this.ask(peerPrincipal, headers)) passed++;
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

test.each([
  ['no limits', { limits: [] }],
  ['a limit without a rate', { limits: [{ name: 'a' }] }],
  ['a limit without a name', { limits: [RATE] }],
  ['a match that is none', { limits: [{ name: 'a', ...RATE, match: [{ nonsense: 1 }] }] }],
])('%s is refused', (_, config) => {
  expect(new Bench(config).problems.length).toBeGreaterThan(0);
});
