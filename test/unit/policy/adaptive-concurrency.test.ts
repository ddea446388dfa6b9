// Adaptive concurrency: what it learns from the idle app, how the limit follows, and what is refused.
import type { JsonObject } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import { compileAdaptive } from '../../../src/policy/adaptive-compile.ts';
import { AdaptiveConcurrencySchema } from '../../../src/xds/gen/envoy/extensions/filters/http/adaptive_concurrency/v3/adaptive_concurrency_pb.js';
import { LoadBench, type LoadBenchOptions } from './load-bench.ts';

const UPDATE = { concurrencyUpdateInterval: '0.1s' };

function gradient(minimum: JsonObject = {}, limits: JsonObject = {}, more: JsonObject = {}): JsonObject {
  return {
    gradientControllerConfig: {
      concurrencyLimitParams: { ...UPDATE, ...limits },
      minRttCalcParams: { interval: '60s', requestCount: 5, jitter: { value: 0 }, ...minimum },
      ...more,
    },
  };
}

function aBench(config: JsonObject = gradient(), options: LoadBenchOptions = {}): LoadBench {
  return new LoadBench(compileAdaptive, [AdaptiveConcurrencySchema, config], options);
}

/** So many requests, one after the other, that take so long. */
function serve(bench: LoadBench, count: number, durationMs: number): void {
  for (let i = 0; i < count; i++) {
    const x = bench.begin();
    bench.nowMs += durationMs;
    bench.end(x, 200);
  }
}

/** How many requests are let in at a time. */
function room(bench: LoadBench): number {
  const inside = [];
  for (;;) {
    const x = bench.begin();
    if (x.response.status !== 0) break;
    inside.push(x);
    if (inside.length > 2000) break;
  }
  for (const x of inside) bench.end(x, 0);
  return inside.length;
}

describe('at the beginning', () => {
  it('lets three in, and refuses the fourth with 503', () => {
    const bench = aBench();
    const inside = [bench.begin(), bench.begin(), bench.begin()];
    expect(inside.map(({ response }) => response.status)).toEqual([0, 0, 0]);
    const x = bench.begin();
    expect([x.response.status, x.replyBody, x.details]).toEqual([503, 'reached concurrency limit', 'reached_concurrency_limit']);
    expect([bench.stat('rq_blocked'), bench.stat('min_rtt_calculation_active')]).toEqual([1, 1]);
    for (const one of inside) bench.end(one, 200);
    expect(bench.begin().response.status).toBe(0);
  }); // prettier-ignore

  it.each([
    ['as many as it is told', gradient({ minConcurrency: 7 }), 7],
    ['as many as it is told, with a fixed minimum', gradient({ fixedValue: '0.01s', minConcurrency: 4 }), 4],
  ])('lets in %s', (_says, config, count) => {
    expect(room(aBench(config))).toBe(count);
  }); // prettier-ignore

  it.each([
    ['a status of its own', { concurrencyLimitExceededStatus: { code: 'TooManyRequests' } }, 429],
    ['503 where the status is no refusal', { concurrencyLimitExceededStatus: { code: 'OK' } }, 503],
  ])('answers %s', (_says, more, status) => {
    const bench = aBench({ ...gradient(), ...more });
    for (let i = 0; i < 3; i++) bench.begin();
    expect(bench.begin().response.status).toBe(status);
  });

  it('lets everything in when it is off', () => {
    expect(room(aBench({ ...gradient(), enabled: { defaultValue: false } }))).toBeGreaterThan(1000);
    const off = { ...gradient(), enabled: { defaultValue: true, runtimeKey: 'k' } };
    expect(room(aBench(off, { runtime: { k: 0 } }))).toBeGreaterThan(1000);
  });
});

describe('the limit', () => {
  it('grows while requests take no longer than at rest', () => {
    const bench = aBench();
    serve(bench, 5, 10);
    // Told by the last answer, not only by the next request.
    expect([bench.stat('min_rtt_msecs'), bench.stat('min_rtt_calculation_active')]).toEqual([10, 0]);
    expect(bench.begin().response.status).toBe(0);
    for (let round = 0; round < 20; round++) serve(bench, 11, 10);
    expect(bench.stat('min_rtt_msecs')).toBe(10);
    expect(bench.stat('gradient')).toBe(1250);
    expect(bench.stat('concurrency_limit')).toBeGreaterThan(100);
  });

  it('never grows above its maximum', () => {
    const bench = aBench(gradient({}, { maxConcurrencyLimit: 20 }));
    for (let round = 0; round < 50; round++) serve(bench, 11, 10);
    expect(bench.stat('concurrency_limit')).toBe(20);
  });

  it('shrinks when they take longer, by no more than a half at once', () => {
    const bench = aBench();
    for (let round = 0; round < 20; round++) serve(bench, 11, 10);
    const before = bench.stat('concurrency_limit');
    // An interval may end in the middle of the first ones; two of them are slow for certain.
    serve(bench, 4, 101);
    expect(bench.stat('gradient')).toBe(500);
    expect(bench.stat('concurrency_limit')).toBeLessThan(before);
  });

  it('follows the law', () => {
    const bench = aBench(gradient({ fixedValue: '0.02s', minConcurrency: 10, buffer: { value: 50 } }, {}, { sampleAggregatePercentile: { value: 90 } }));
    for (let i = 0; i < 10; i++) {
      const x = bench.begin();
      bench.nowMs += i === 9 ? 40 : 6;
      bench.end(x, 200);
    }
    bench.nowMs += 10;
    bench.end(bench.begin(), 0);
    // 0.02 s × 1.5 over the 90th percentile of nine of 6 ms and one of 40 ms: 30 / 40.
    expect(bench.stat('gradient')).toBe(750);
    expect(bench.stat('concurrency_limit')).toBe(10);
    expect(bench.stat('burst_queue_size')).toBe(2);
    expect(bench.stat('sample_rtt_msecs')).toBe(40);
  }); // prettier-ignore

  it('learns again what the app needs at rest, and then goes on where it was', () => {
    const bench = aBench();
    for (let round = 0; round < 20; round++) serve(bench, 11, 10);
    const before = bench.stat('concurrency_limit');
    bench.nowMs += 60_000;
    bench.end(bench.begin(), 0);
    expect([bench.stat('min_rtt_calculation_active'), bench.stat('concurrency_limit')]).toEqual([1, 3]);
    serve(bench, 5, 12);
    bench.end(bench.begin(), 0);
    expect(bench.stat('min_rtt_calculation_active')).toBe(0);
    expect(bench.stat('concurrency_limit')).toBeGreaterThanOrEqual(before);
    expect(bench.stat('min_rtt_msecs')).toBe(12);
  });

  it('does not learn from requests that had begun before, or that were given up', () => {
    const bench = aBench(gradient({ requestCount: 1 }));
    const early = bench.begin();
    bench.end(bench.begin(), 0);
    expect(bench.stat('min_rtt_msecs')).toBe(0);
    serve(bench, 1, 10);
    bench.nowMs += 60_000;
    bench.end(bench.begin(), 0);
    bench.end(early, 200);
    bench.end(bench.begin(), 0);
    expect(bench.stat('min_rtt_calculation_active')).toBe(1);
  });

  it('looks at the app at rest again when five updates in a row end at the minimum', () => {
    const bench = aBench(gradient({ requestCount: 4 }));
    serve(bench, 4, 10);
    for (let update = 0; update < 12 && bench.stat('min_rtt_calculation_active') === 0; update++) serve(bench, 2, 101);
    expect(bench.stat('min_rtt_calculation_active')).toBe(1);
  });
});

it.each([
  ['f', {}, 'gradient_controller_config'],
  ['f.gradient_controller_config.concurrency_limit_params.concurrency_update_interval', { gradientControllerConfig: { minRttCalcParams: { interval: '60s' } } }, '0.1s'],
  ['f.gradient_controller_config.min_rtt_calc_params', { gradientControllerConfig: { concurrencyLimitParams: UPDATE } }, 'fixed_value'],
  ['f.gradient_controller_config.sample_aggregate_percentile', gradient({}, {}, { sampleAggregatePercentile: { value: 101 } }), 'percentage'],
  ['f.gradient_controller_config.min_rtt_calc_params.buffer', gradient({ buffer: { value: -1 } }), 'percentage'],
  ['f.gradient_controller_config.min_rtt_calc_params.min_concurrency', gradient({ minConcurrency: 0 }), '1 or more'],
])('refuses what is wrong at %s', (path, config, remedy) => {
  const { filter, problems } = new LoadBench(compileAdaptive, [AdaptiveConcurrencySchema, config]);
  expect(filter).toBe(null);
  expect(problems).toHaveLength(1);
  expect(problems[0]).toContain(`${path}: `);
  expect(problems[0]).toContain(remedy);
}); // prettier-ignore
