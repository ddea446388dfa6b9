// The shares of priorities: the tables of Envoy's documentation (priority levels, degraded endpoints,
// panic threshold), with the whole-number remainders that Envoy's program gives to the first priority.
import { describe, expect, it } from 'vitest';
import type { PriorityHealth } from '../../../src/plan/cluster.ts';
import { availabilityOf, loadsOf, loadsWithout } from '../../../src/resilience/priority-load.ts';

/** `healthy/degraded` percent of 100 endpoints. */
function priority(text: string): PriorityHealth {
  const [healthy = 0, degraded = 0] = text.split('/').map(Number);
  return {
    health: availabilityOf(healthy, 100, 140),
    degraded: availabilityOf(degraded, 100, 140),
    size: 100,
    fitPercent: healthy + degraded,
  };
}

function loads(given: readonly string[], panicThresholdPercent = 50) {
  return loadsOf(
    given.map((text) => priority(text)),
    panicThresholdPercent,
  );
}

describe('priority levels', () => {
  it.each<[readonly string[], readonly number[]]>([
    [
      ['100', '100'],
      [100, 0],
    ],
    [
      ['72', '72'],
      [100, 0],
    ],
    [
      ['71', '71'],
      [99, 1],
    ],
    [
      ['50', '50'],
      [70, 30],
    ],
    [
      ['25', '100'],
      [35, 65],
    ],
    [
      ['25', '25'],
      [50, 50],
    ],
    [
      ['0', '100'],
      [0, 100],
    ],
    [
      ['100', '100', '100'],
      [100, 0, 0],
    ],
    [
      ['72', '72', '100'],
      [100, 0, 0],
    ],
    [
      ['71', '71', '100'],
      [99, 1, 0],
    ],
    [
      ['50', '50', '100'],
      [70, 30, 0],
    ],
    [
      ['25', '100', '100'],
      [35, 65, 0],
    ],
    [
      ['25', '25', '100'],
      [35, 35, 30],
    ],
    [
      ['25', '25', '20'],
      [37, 35, 28],
    ],
  ])('%j of the priorities healthy: %j', (given, expected) => {
    expect(loads(given, 0).healthy).toEqual(expected);
  });
});

describe('degraded endpoints', () => {
  it.each<[readonly string[], readonly number[], readonly number[]]>([
    [['100/0'], [100], [0]],
    [['71/0'], [100], [0]],
    [['71/29'], [99], [1]],
    [['25/65'], [35], [65]],
    [['5/0'], [100], [0]],
    [
      ['10/20', '20/10', '10/0'],
      [16, 28, 14],
      [28, 14, 0],
    ],
  ])('%j healthy and degraded: %j and %j', (given, healthy, degraded) => {
    const found = loads(given, 0);
    expect([found.healthy, found.degraded]).toEqual([healthy, degraded]);
  });
});

describe('panic', () => {
  it.each<[readonly string[], number, readonly number[], readonly boolean[]]>([
    [['72', '72'], 50, [100, 0], [false, false]],
    [['71', '71'], 50, [99, 1], [false, false]],
    [['50', '60'], 50, [70, 30], [false, false]],
    [['25', '100'], 50, [35, 65], [false, false]],
    [['25', '25'], 50, [50, 50], [true, true]],
    [['5', '65'], 50, [8, 92], [true, false]],
    [['0', '0'], 50, [50, 50], [true, true]],
    [['0', '0'], 0, [100, 0], [false, false]],
    [['5', '65'], 0, [8, 92], [false, false]],
    [['0/10', '0'], 0, [0, 0], [false, false]],
    [['40/20', '0'], 50, [67, 0], [false, true]],
  ])('%j at a threshold of %d: %j %j', (given, threshold, healthy, isPanicking) => {
    const found = loads(given, threshold);
    expect([found.healthy, found.isPanicking]).toEqual([healthy, isPanicking]);
  });

  it('shares by number of endpoints when all priorities panic, and the remainder goes to the first', () => {
    const sizes = [1, 1, 1].map((size) => ({ health: 0, degraded: 0, size, fitPercent: 0 }));
    expect(loadsOf(sizes, 50).healthy).toEqual([34, 33, 33]);
  });
});

describe('a retry without the priorities tried', () => {
  const priorities = ['100', '50', '25'].map((text) => priority(text));

  it.each<[readonly number[], readonly number[] | null]>([
    [[0], [0, 70, 30]],
    [
      [0, 1],
      [0, 0, 100],
    ],
    [[1], [100, 0, 0]],
    [[0, 1, 2], null],
  ])('without %j: %j', (excluded, expected) => {
    expect(loadsWithout(priorities, (index) => excluded.includes(index))?.healthy ?? null).toEqual(expected);
  });
});
