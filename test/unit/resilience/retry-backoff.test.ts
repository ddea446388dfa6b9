// Back-offs against the distributions that they are stated to have, by Kolmogorov and Smirnov, and the waits that
// upstreams ask for. Chance is seeded and time is given.
import { describe, expect, test } from 'vitest';
import { internHeader } from '../../../src/http/header-name.ts';
import { Head } from '../../../src/http/head.ts';
import type { RetryBackOff } from '../../../src/plan/retry-plan.ts';
import { backOffMs, rateLimitedMs } from '../../../src/resilience/retry-backoff.ts';
import { seeded } from './cluster-builders.ts';

const SAMPLES = 10_000;
/** Of the statistic times the root of the sample's size: beyond it the distribution is another with 99.9 % certainty. */
const CRITICAL = 1.95;

/** The largest distance between the samples and the uniform distribution over [from, to), times the root of their number. */
function distanceFromUniform(samples: readonly number[], from: number, to: number): number {
  const sorted = samples.toSorted((a, b) => a - b);
  let distance = 0;
  for (const [i, sample] of sorted.entries()) {
    const expected = Math.min(1, Math.max(0, (sample - from) / (to - from)));
    distance = Math.max(distance, expected - i / sorted.length, (i + 1) / sorted.length - expected);
  }
  return distance * Math.sqrt(sorted.length);
}

function sample(backOff: RetryBackOff, retry: number, seed: number): number[] {
  const random = seeded(seed);
  return Array.from({ length: SAMPLES }, () => backOffMs(backOff, retry, random()));
}

const ENVOY: RetryBackOff = { baseMs: 25, maxMs: 250, isMinimum: false };
const GATEWAY: RetryBackOff = { baseMs: 100, maxMs: 1000, isMinimum: true };

describe('10,000 back-offs before', () => {
  test.each<[string, RetryBackOff, number, readonly [number, number]]>([
    ['retry 1 of Envoy', ENVOY, 1, [0, 25]],
    ['retry 2 of Envoy', ENVOY, 2, [0, 50]],
    ['retry 3 of Envoy', ENVOY, 3, [0, 100]],
    ['retry 4 of Envoy', ENVOY, 4, [0, 200]],
    ['retry 5 of Envoy, at the maximum', ENVOY, 5, [0, 250]],
    ['retry 500 of Envoy', ENVOY, 500, [0, 250]],
    ['retry 1 of the Gateway API', GATEWAY, 1, [100, 200]],
    ['retry 2 of the Gateway API', GATEWAY, 2, [200, 400]],
    ['retry 4 of the Gateway API', GATEWAY, 4, [800, 1600]],
    ['retry 9 of the Gateway API, at the maximum', GATEWAY, 9, [1000, 2000]],
  ])('%s are uniform', (_name, backOff, retry, [from, to]) => {
    const samples = sample(backOff, retry, retry + from);
    expect(Math.min(...samples)).toBeGreaterThanOrEqual(from);
    expect(Math.max(...samples)).toBeLessThan(to);
    expect(distanceFromUniform(samples, from, to)).toBeLessThan(CRITICAL);
  });

  test('another distribution is told from it', () => {
    expect(distanceFromUniform(sample(ENVOY, 1, 1), 0, 26)).toBeGreaterThan(CRITICAL);
    expect(distanceFromUniform(sample(GATEWAY, 1, 1), 0, 200)).toBeGreaterThan(CRITICAL);
  });
});

const RETRY_AFTER = { id: internHeader('retry-after'), isTimestamp: false };
const RESET_AT = { id: internHeader('x-ratelimit-reset'), isTimestamp: true };
const NOW_MS = 1_700_000_000_500;

function aHead(headers: Readonly<Record<string, string>>): Head {
  const head = new Head();
  head.status = 429;
  for (const [name, value] of Object.entries(headers)) head.add(internHeader(name), value);
  return head;
}

describe('an upstream that says when to come back', () => {
  test.each<[string, Readonly<Record<string, string>>, number]>([
    ['in seconds', { 'retry-after': '2' }, 2000],
    ['at a point in time', { 'x-ratelimit-reset': '1700000003' }, 3000],
    ['the first header counts', { 'retry-after': '2', 'x-ratelimit-reset': '1700000003' }, 2000],
    ['a first that is none is passed by', { 'retry-after': 'Mon', 'x-ratelimit-reset': '1700000003' }, 3000],
    ['a first that is too much is passed by', { 'retry-after': '11', 'x-ratelimit-reset': '1700000003' }, 3000],
    ['the most that is believed', { 'retry-after': '10' }, 10_000],
    ['nothing', {}, -1],
    ['now', { 'retry-after': '0' }, -1],
    ['a point in the past', { 'x-ratelimit-reset': '1600000000' }, -1],
    ['a fraction', { 'retry-after': '1.5' }, -1],
    ['less than nothing', { 'retry-after': '-1' }, -1],
    ['more digits than a number has', { 'retry-after': '99999999999999999999' }, -1],
  ])('%s', (_name, headers, expected) => {
    const limited = { headers: [RETRY_AFTER, RESET_AT], maxMs: 10_000 };
    expect(rateLimitedMs(limited, aHead(headers), NOW_MS, 0)).toBe(expected);
  });

  test('the wait is spread over half of it more', () => {
    const random = seeded(7);
    const limited = { headers: [RETRY_AFTER], maxMs: 300_000 };
    const samples = Array.from({ length: SAMPLES }, () =>
      rateLimitedMs(limited, aHead({ 'retry-after': '4' }), NOW_MS, random()),
    );
    expect(distanceFromUniform(samples, 4000, 6000)).toBeLessThan(CRITICAL);
  });
});
