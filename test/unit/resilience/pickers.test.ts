// The balancers: exact shares where they are promised, chi-square against the promised chances where
// they are random (seeded, at the 0.999 quantile),
// and a bound on the garbage that picks make.
import { describe, expect, it } from 'vitest';
import type { Endpoint, Picker } from '../../../src/plan/cluster.ts';
import type { Balancing } from '../../../src/resilience/cluster-settings.ts';
import type { Member } from '../../../src/resilience/host-set.ts';
import { buildPicker } from '../../../src/resilience/picker.ts';
import { endpointsWithWeights, seeded } from './cluster-builders.ts';

const ROUND_ROBIN: Balancing = { kind: 'round-robin' };
const RANDOM: Balancing = { kind: 'random' };
const LEAST: Balancing = { kind: 'least-request', choiceCount: 2, activeRequestBias: 1, scansAll: false };
const ALL: readonly Balancing[] = [ROUND_ROBIN, RANDOM, LEAST, { ...LEAST, scansAll: true }];

function pickerOver(endpoints: readonly Endpoint[], balancing: Balancing, random = seeded(7)): Picker {
  const members = endpoints.map((endpoint): Member => ({ endpoint, health: 'healthy', localityWeight: 0 }));
  return buildPicker(members, { balancing, weighsLocalities: false, panicThresholdPercent: 50 }, random);
}

function shares(picker: Picker, endpoints: readonly Endpoint[], picks: number): readonly number[] {
  const counts = new Map<Endpoint, number>();
  for (let index = 0; index < picks; index++) {
    const endpoint = picker.pick(null);
    if (endpoint !== null) counts.set(endpoint, (counts.get(endpoint) ?? 0) + 1);
  }
  return endpoints.map((endpoint) => counts.get(endpoint) ?? 0);
}

/** Pearson's statistic of counts against the shares that the weights promise. */
function chiSquare(counts: readonly number[], weights: readonly number[]): number {
  const total = counts.reduce((sum, count) => sum + count, 0);
  const weight = weights.reduce((sum, one) => sum + one, 0);
  return counts.reduce((sum, count, index) => {
    const expected = (total * (weights[index] ?? 0)) / weight;
    return sum + (count - expected) ** 2 / expected;
  }, 0);
}

describe('every balancer', () => {
  it.each(ALL)('answers null without endpoints: $kind', (balancing) => {
    expect(pickerOver([], balancing).pick(null)).toBeNull();
  });

  it.each(ALL)('always picks the only endpoint: $kind', (balancing) => {
    const endpoints = endpointsWithWeights([5]);
    expect(shares(pickerOver(endpoints, balancing), endpoints, 10)).toEqual([10]);
  });

  it.each([
    { balancing: ROUND_ROBIN, weights: [1, 1, 1] },
    { balancing: ROUND_ROBIN, weights: [5, 1, 3] },
    { balancing: RANDOM, weights: [1, 2, 3] },
    { balancing: LEAST, weights: [1, 1, 1] },
    { balancing: LEAST, weights: [1, 2, 3] },
    { balancing: { ...LEAST, activeRequestBias: 0.5 }, weights: [1, 2, 3] },
  ])('makes no garbage: $balancing.kind $weights', ({ balancing, weights }) => {
    const picker = pickerOver(endpointsWithWeights(weights), balancing, () => 0.4);
    const picks = 200_000;
    for (let index = 0; index < picks; index++) picker.pick(null);
    const before = process.memoryUsage().heapUsed;
    for (let index = 0; index < picks; index++) picker.pick(null);
    // One object of the smallest size per pick would be 3.2 MB; what is seen is noise of the runtime.
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(picks * 4);
  });
});

describe('round robin', () => {
  it('takes equal endpoints one after the other, from a random place', () => {
    const endpoints = endpointsWithWeights([1, 1, 1]);
    const picker = pickerOver(endpoints, ROUND_ROBIN, () => 0.5);
    const order = orderOf(picker, endpoints, 6);
    expect(order).toEqual([1, 2, 0, 1, 2, 0]);
  });

  it.each([
    { weights: [1, 2, 3] },
    { weights: [1, 99] },
    { weights: [7, 3, 3, 1, 11] },
    { weights: [1_000_000, 1, 500_000] },
    { weights: [3, 3, 9] },
  ])('gives exactly the weights over each run of their sum: $weights', ({ weights }) => {
    const endpoints = endpointsWithWeights(weights);
    const picker = pickerOver(endpoints, ROUND_ROBIN, () => 0);
    const sum = weights.reduce((total, weight) => total + weight, 0);
    const runs = sum > 10_000 ? 1 : 5;
    for (let run = 0; run < runs; run++) expect(shares(picker, endpoints, sum)).toEqual(weights);
  });

  it('spreads a heavy endpoint instead of bursting', () => {
    const endpoints = endpointsWithWeights([3, 1, 1]);
    const picker = pickerOver(endpoints, ROUND_ROBIN, () => 0);
    const order = orderOf(picker, endpoints, 10);
    expect(order).toEqual([0, 0, 0, 1, 2, 0, 0, 0, 1, 2]);
    expect(longestRun(order)).toBe(3);
  });

  it('starts at differing places over many pickers', () => {
    const endpoints = endpointsWithWeights([1, 2, 3]);
    const random = seeded(3);
    const first = Array.from({ length: 60 }, () => pickerOver(endpoints, ROUND_ROBIN, random).pick(null));
    expect(new Set(first).size).toBeGreaterThan(1);
  });
});

function orderOf(picker: Picker, endpoints: readonly Endpoint[], picks: number): readonly number[] {
  const picked = Array.from({ length: picks }, () => picker.pick(null));
  return picked.map((endpoint) => endpoints.findIndex((one) => one === endpoint));
}

function longestRun(order: readonly number[]): number {
  let longest = 0;
  let run = 0;
  order.forEach((one, index) => {
    run = one === order[index - 1] ? run + 1 : 1;
    longest = Math.max(longest, run);
  });
  return longest;
}

describe('random', () => {
  it.each([{ weights: [1, 1, 1, 1] }, { weights: [1, 2, 3, 4] }, { weights: [1, 99] }])(
    'gives shares in proportion to the weights: $weights',
    ({ weights }) => {
      const endpoints = endpointsWithWeights(weights);
      const counts = shares(pickerOver(endpoints, RANDOM), endpoints, 40_000);
      // 0.999 quantile of chi-square with 3 degrees of freedom.
      expect(chiSquare(counts, weights)).toBeLessThan(16.27);
    },
  );

  it('reaches the first and the last endpoint at the ends of the random range', () => {
    const endpoints = endpointsWithWeights([1, 2, 1]);
    expect(pickerOver(endpoints, RANDOM, () => 0).pick(null)).toBe(endpoints[0]);
    expect(pickerOver(endpoints, RANDOM, () => 1 - 2 ** -32).pick(null)).toBe(endpoints[2]);
  });
});

describe('least request', () => {
  it('is uniform among idle endpoints of equal weight', () => {
    const weights = [1, 1, 1, 1];
    const endpoints = endpointsWithWeights(weights);
    expect(chiSquare(shares(pickerOver(endpoints, LEAST), endpoints, 40_000), weights)).toBeLessThan(16.27);
  });

  it('picks the busier of two in a quarter of the cases, as two draws with repetition do', () => {
    const endpoints = endpointsWithWeights([1, 1]);
    for (const [index, endpoint] of endpoints.entries()) endpoint.active = index;
    expect(chiSquare(shares(pickerOver(endpoints, LEAST), endpoints, 40_000), [3, 1])).toBeLessThan(10.83);
  });

  it('looks at more endpoints with a larger choice_count', () => {
    const endpoints = endpointsWithWeights([1, 1]);
    for (const [index, endpoint] of endpoints.entries()) endpoint.active = index;
    const counts = shares(pickerOver(endpoints, { ...LEAST, choiceCount: 4 }), endpoints, 40_000);
    expect(chiSquare(counts, [15, 1])).toBeLessThan(10.83);
  });

  it('finds the least busy of all by a full scan, and breaks ties evenly', () => {
    const endpoints = endpointsWithWeights([1, 1, 1, 1]);
    for (const [index, endpoint] of endpoints.entries()) endpoint.active = index === 0 ? 9 : 2;
    const counts = shares(pickerOver(endpoints, { ...LEAST, scansAll: true }), endpoints, 30_000);
    expect(counts[0]).toBe(0);
    expect(chiSquare(counts.slice(1), [1, 1, 1])).toBeLessThan(13.82);
  });

  it('follows the weights exactly while everything is idle', () => {
    const weights = [1, 2, 5];
    const endpoints = endpointsWithWeights(weights);
    const counts = shares(pickerOver(endpoints, LEAST), endpoints, 8000);
    counts.forEach((count, index) => expect(Math.abs(count - (weights[index] ?? 0) * 1000)).toBeLessThanOrEqual(2));
  });

  it.each([
    // weight / (active + 1)^bias with weights 4 and 2, three requests in flight on the first
    { activeRequestBias: 1, share: [1, 2] },
    { activeRequestBias: 0, share: [2, 1] },
    { activeRequestBias: 0.5, share: [1, 1] },
    { activeRequestBias: 2, share: [1, 8] },
  ])('divides unequal weights by the load to the power of $activeRequestBias', ({ activeRequestBias, share }) => {
    const endpoints = endpointsWithWeights([4, 2]);
    for (const [index, endpoint] of endpoints.entries()) endpoint.active = index === 0 ? 3 : 0;
    const counts = shares(pickerOver(endpoints, { ...LEAST, activeRequestBias }), endpoints, 9000);
    const sum = share.reduce((total, one) => total + one, 0);
    counts.forEach((count, index) => expect(Math.abs(count - (9000 * (share[index] ?? 0)) / sum)).toBeLessThan(5));
  });

  it('moves away from an endpoint that becomes slow', () => {
    const endpoints = endpointsWithWeights([1, 1, 1]);
    const slow = endpoints[2];
    const picker = pickerOver(endpoints, LEAST);
    for (let index = 0; index < 3000; index++) {
      const endpoint = picker.pick(null);
      // Only the slow one keeps its requests.
      if (endpoint !== null && endpoint === slow) endpoint.active++;
    }
    // With repetition the slow one is picked when it is drawn twice: a ninth of the time.
    expect(slow?.active).toBeLessThan(3000 / 9 + 100);
  });
});
