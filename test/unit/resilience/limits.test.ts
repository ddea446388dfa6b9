// Circuit breakers as gates: each field of Thresholds on a fake clock, for one thread and for several, and what a budget
// of retries allows.
import { fromJson, type JsonObject } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import type { Problem } from '../../../src/base/problem.ts';
import { LocalLimits, SharedLimits, type Limits } from '../../../src/base/shared-limits.ts';
import { LimitTally, type ClusterLimits, type Gate, type PriorityLimits } from '../../../src/plan/cluster.ts';
import { readConcurrencyShare } from '../../../src/resilience/concurrency-share.ts';
import { compileLimits } from '../../../src/resilience/limits.ts';
import { readRetryConstraint } from '../../../src/resilience/retry-constraint.ts';
import { CircuitBreakersSchema } from '../../../src/xds/gen/envoy/config/cluster/v3/circuit_breaker_pb.js';
import { aCluster, endpointsWithWeights } from './cluster-builders.ts';
import { Endpoint } from '../../../src/plan/cluster.ts';

interface Bench {
  readonly limits: ClusterLimits;
  readonly problems: readonly Problem[];
  /** Lets time pass. */
  readonly pass: (ms: number) => void;
}

function aBench(breakers: JsonObject | null, metadata: JsonObject = {}, counted: Limits = new LocalLimits()): Bench {
  let nowMs = 1_000_000;
  const problems: Problem[] = [];
  const endpoints = endpointsWithWeights([1]);
  const cluster = aCluster({ metadata: { filter_metadata: { outrigger: metadata } } });
  const limits = compileLimits(breakers === null ? undefined : fromJson(CircuitBreakersSchema, breakers), {
    clusterName: 'c',
    endpoints: () => {
      // Something always goes well: outages are for outage-gate.test.ts.
      for (const endpoint of endpoints) endpoint.requestsTotal++;
      return endpoints;
    },
    limits: counted,
    clock: { now: () => nowMs, wall: () => nowMs },
    tally: new LimitTally(),
    problems,
    path: 'circuit_breakers',
    constraint: readRetryConstraint(cluster, problems, 'c'),
    concurrency: readConcurrencyShare(cluster, problems, 'c'),
  });
  const pass = (ms: number): void => {
    nowMs += ms;
  };
  return { limits, problems, pass };
}

/** How many it gives at a time. */
function capacity(gate: Gate, most = 5000): number {
  let taken = 0;
  while (taken < most && gate.acquire()) taken++;
  for (let i = 0; i < taken; i++) gate.release();
  return taken;
}

function take(gate: Gate, count: number): void {
  for (let i = 0; i < count; i++) gate.take();
}

function capacities({ connections, pending, requests, retries, pools }: PriorityLimits): readonly number[] {
  return [connections, pending, requests, retries, pools].map((gate) => capacity(gate));
}

const ALL = 5000;
const DEFAULTS = [1024, 1024, 1024, 3, ALL];

const FIELDS: readonly (readonly [title: string, thresholds: JsonObject[], normal: number[], high: number[]])[] = [
  ['nothing written', [], DEFAULTS, DEFAULTS],
  ['max_connections', [{ max_connections: 2 }], [2, 1024, 1024, 3, ALL], DEFAULTS],
  ['max_pending_requests', [{ max_pending_requests: 0 }], [1024, 0, 1024, 3, ALL], DEFAULTS],
  ['max_requests', [{ max_requests: 7 }], [1024, 1024, 7, 3, ALL], DEFAULTS],
  ['max_retries', [{ max_retries: 1 }], [1024, 1024, 1024, 1, ALL], DEFAULTS],
  ['max_connection_pools', [{ max_connection_pools: 4 }], [1024, 1024, 1024, 3, 4], DEFAULTS],
  ['2³²-1 is no limit', [{ max_requests: 4_294_967_295 }], [1024, 1024, ALL, 3, ALL], DEFAULTS],
  ['the high priority', [{ priority: 'HIGH', max_requests: 9 }], DEFAULTS, [1024, 1024, 9, 3, ALL]],
  ['the first of a priority', [{ max_requests: 9 }, { max_requests: 1 }], [1024, 1024, 9, 3, ALL], DEFAULTS],
  [
    'a budget, which beats max_retries',
    [{ max_retries: 900, retry_budget: { min_retry_concurrency: 5 } }],
    [1024, 1024, 1024, 5, ALL],
    DEFAULTS,
  ],
  ['a budget of nothing', [{ retry_budget: { min_retry_concurrency: 0 } }], [1024, 1024, 1024, 0, ALL], DEFAULTS],
];

test.each(FIELDS)('%s: so many connections, waiting, requests, retries and pools', (_, thresholds, normal, high) => {
  const { limits, problems } = aBench(thresholds.length === 0 ? null : { thresholds });
  expect([capacities(limits.default), capacities(limits.high), problems]).toEqual([normal, high, []]);
});

const BUDGETS: readonly (readonly [
  title: string,
  budget: JsonObject | null,
  used: readonly [active: number, pending: number],
  allowed: number,
])[] = [
  ['20 percent and at least 3 by default', null, [14, 5], 3],
  ['by default', null, [15, 5], 4],
  ['by default, of many', null, [180, 20], 40],
  ['a budget without fields', {}, [20, 0], 4],
  ['budget_percent', { budget_percent: { value: 50 } }, [10, 3], 6],
  ['a fraction of a percent', { budget_percent: { value: 0.5 } }, [1000, 0], 5],
  ['all of them', { budget_percent: { value: 100 }, min_retry_concurrency: 0 }, [2, 1], 3],
  ['min_retry_concurrency', { min_retry_concurrency: 10 }, [20, 0], 10],
];

test.each(BUDGETS)('retries are bounded by what is active and waits: %s', (_, budget, [active, pending], allowed) => {
  const { limits } = aBench(budget === null ? null : { thresholds: [{ retry_budget: budget }] });
  take(limits.default.requests, active);
  take(limits.default.pending, pending);
  expect([limits.default.retries.max, capacity(limits.default.retries)]).toEqual([allowed, allowed]);
});

test('budget_interval counts what began in the last interval, for as long as it lasts', () => {
  const { limits, pass } = aBench({ thresholds: [{ retry_budget: { budget_interval: '10s' } }] });
  const { requests, retries } = limits.default;
  for (let i = 0; i < 100; i++) {
    requests.acquire();
    requests.release();
  }
  expect(capacity(retries)).toBe(20);
  pass(8900);
  expect(capacity(retries)).toBe(20);
  pass(1200);
  expect(capacity(retries)).toBe(3);
});

test('a retry constraint bounds what begins in its interval, never below its rate, and what is over does not come back', () => {
  const retryConstraint = { percent: 20, intervalMs: 10_000, minCount: 2, minIntervalMs: 1000 };
  const { limits, pass, problems } = aBench(null, { retryConstraint });
  const { requests, retries, refusesOverBudget } = limits.default;
  const retry = (): boolean => {
    if (!retries.acquire()) return false;
    requests.acquire();
    requests.release();
    retries.release();
    return true;
  };
  const count = (): number => {
    let granted = 0;
    while (retry()) granted++;
    return granted;
  };
  for (let i = 0; i < 50; i++) {
    requests.acquire();
    requests.release();
  }
  // A fifth of fifty; retries are requests too, but earn none.
  expect([refusesOverBudget, problems, count(), count()]).toEqual([true, [], 10, 0]);
  pass(1000);
  // The rate that is always allowed.
  expect(count()).toBe(2);
  pass(20_000);
  expect(count()).toBe(2);
});

test('a retry constraint has the defaults of the Gateway API', () => {
  const { limits } = aBench(null, { retryConstraint: {} });
  expect(capacity(limits.default.retries)).toBe(10);
});

test('per_host_thresholds bound the connections to each endpoint', () => {
  const { limits } = aBench({ per_host_thresholds: [{ max_connections: 2 }] });
  const [one, other] = [anEndpoint(1), anEndpoint(2)];
  const gate = limits.default.endpointGate;
  expect(gate === null ? null : [capacity(gate(one)), capacity(gate(other)), gate(one) === gate(one)]).toEqual([
    2,
    2,
    true,
  ]);
  expect(limits.high.endpointGate).toBeNull();
});

test('limits hold for all threads, and a newer version of a cluster goes on counting', () => {
  const first = new SharedLimits(2, 0);
  const second = new SharedLimits(2, 1, first.memory);
  const breakers = { thresholds: [{ max_requests: 3 }] };
  const [one, other] = [aBench(breakers, {}, first).limits.default, aBench(breakers, {}, second).limits.default];
  expect([one.requests.acquire(), other.requests.acquire(), one.requests.acquire()]).toEqual([true, true, true]);
  expect([one.requests.acquire(), other.requests.acquire()]).toEqual([false, false]);
  const newer = aBench({ thresholds: [{ max_requests: 4 }] }, {}, second).limits.default;
  expect([newer.requests.acquire(), newer.requests.acquire(), one.requests.used]).toEqual([true, false, 4]);
});

test('clusters with a share of one service are counted together, in both priorities', () => {
  const counted = new LocalLimits();
  const metadata = { concurrencyLimit: { name: 'reviews', requests: 3 } };
  const [one, other] = [
    aBench(null, metadata, counted).limits,
    aBench({ thresholds: [{ max_requests: 1 }] }, metadata, counted).limits,
  ];
  expect([one.default.requests.acquire(), one.high.requests.acquire(), other.high.requests.acquire()]).toEqual([
    true,
    true,
    true,
  ]);
  expect([one.default.requests.acquire(), other.default.requests.acquire(), one.default.requests.used]).toEqual([
    false,
    false,
    1,
  ]);
  one.default.requests.release();
  expect([one.high.requests.acquire(), one.high.requests.acquire()]).toEqual([true, false]);
});

const WRONG: readonly (readonly [breakers: JsonObject, metadata: JsonObject, at: string])[] = [
  [
    { thresholds: [{ retry_budget: { budget_percent: { value: 101 } } }] },
    {},
    'thresholds[0].retry_budget.budget_percent',
  ],
  [
    { thresholds: [{ retry_budget: { budget_percent: { value: -1 } } }] },
    {},
    'thresholds[0].retry_budget.budget_percent',
  ],
  [{ thresholds: [{ retry_budget: { budget_interval: '-1s' } }] }, {}, 'thresholds[0].retry_budget.budget_interval'],
  [{ per_host_thresholds: [{ max_requests: 1 }] }, {}, 'per_host_thresholds[0]'],
  [{}, { retryConstraint: 1 }, 'retryConstraint'],
  [{}, { concurrencyLimit: { name: 'a' } }, 'concurrencyLimit'],
  [{}, { retryConstraint: { percent: '20' } }, 'retryConstraint.percent'],
];

test.each(WRONG)('refuses %j with %j', (breakers, metadata, at) => {
  const { problems } = aBench(breakers, metadata);
  expect(problems.map(({ severity }) => severity)).toEqual(['error']);
  expect(problems[0]?.path.endsWith(`.${at}`)).toBe(true);
});

function anEndpoint(port: number): Endpoint {
  const locality = { region: '', zone: '', subZone: '' };
  return new Endpoint({
    address: '127.0.0.1',
    port,
    hostname: '',
    locality,
    priority: 0,
    metadata: new Map(),
    weight: 1,
  });
}
