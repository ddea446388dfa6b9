// Which endpoints may take traffic at all: health, priorities and panic as Envoy has them,
// and how locality weights divide it.
// The balancers themselves are tested in pickers.test.ts.
import { describe, expect, it } from 'vitest';
import { UNFIT } from '../../../src/plan/cluster.ts';
import type { ConfiguredHealth } from '../../../src/resilience/cluster-settings.ts';
import { buildPicker, selectMembers, type Member } from '../../../src/resilience/picker.ts';
import { endpointsWithWeights, seeded } from './cluster-builders.ts';

interface Given {
  readonly health?: ConfiguredHealth;
  readonly priority?: number;
  readonly isHealthy?: boolean;
}

function membersOf(given: readonly Given[]): readonly Member[] {
  const endpoints = endpointsWithWeights(given.map(() => 1));
  return endpoints.map((endpoint, index) => {
    endpoint.priority = given[index]?.priority ?? 0;
    endpoint.unfit = (given[index]?.isHealthy ?? true) ? 0 : UNFIT.EJECTED;
    return { endpoint, health: given[index]?.health ?? 'healthy', localityWeight: 0 };
  });
}

/** Indexes of the members that take traffic. */
function selected(given: readonly Given[], panicThresholdPercent = 50): readonly number[] {
  const members = membersOf(given);
  return selectMembers(members, panicThresholdPercent).map((member) => members.indexOf(member));
}

const DOWN: Given = { health: 'unhealthy' };

describe('selectMembers', () => {
  it.each<{
    readonly says: string;
    readonly given: readonly Given[];
    readonly panic?: number;
    readonly takes: readonly number[];
  }>([
    { says: 'takes all healthy endpoints', given: [{}, {}], takes: [0, 1] },
    { says: 'leaves out unhealthy ones', given: [{}, {}, DOWN], takes: [0, 1] },
    { says: 'leaves out draining ones', given: [{}, {}, { health: 'draining' }], takes: [0, 1] },
    { says: 'leaves out those that timed out', given: [{}, {}, { health: 'timeout' }], takes: [0, 1] },
    { says: 'leaves out what outlier detection ejected', given: [{}, {}, { isHealthy: false }], takes: [0, 1] },
    { says: 'leaves out degraded ones while others are healthy', given: [{}, { health: 'degraded' }], takes: [0] },
    { says: 'takes degraded ones when none is healthy', given: [DOWN, { health: 'degraded' }], takes: [1] },
    { says: 'takes the first priority only', given: [{}, { priority: 1 }], takes: [0] },
    { says: 'fails over when the first priority is down', given: [DOWN, { priority: 1 }], takes: [1] },
    { says: 'orders priorities by number', given: [{ priority: 2 }, { priority: 1 }], takes: [1] },
    {
      says: 'prefers a healthy later priority to a degraded first',
      given: [{ health: 'degraded' }, { priority: 1 }],
      takes: [1],
    },
    { says: 'panics below half, and takes everything', given: [{}, DOWN, DOWN], takes: [0, 1, 2] },
    { says: 'does not panic at exactly half', given: [{}, DOWN], takes: [0] },
    {
      says: 'does not panic while a later priority makes up for it',
      given: [{}, DOWN, DOWN, { priority: 1 }],
      takes: [0],
    },
    { says: 'panics when all are down', given: [DOWN, DOWN], takes: [0, 1] },
    { says: 'takes none when all are down and panic is off', given: [DOWN, DOWN], panic: 0, takes: [] },
    { says: 'keeps to the healthy one when panic is off', given: [{}, DOWN, DOWN], panic: 0, takes: [0] },
    { says: 'panics at the threshold that is set', given: [{}, DOWN, DOWN], panic: 30, takes: [0] },
    { says: 'takes nothing of nothing', given: [], takes: [] },
  ])('$says', ({ given, panic, takes }) => {
    expect(selected(given, panic)).toEqual(takes);
  });
});

/** Two endpoints in zone a, one in zone b. */
function zones(weightOfA: number, weightOfB: number): readonly Member[] {
  return membersOf([{}, {}, {}]).map((member, index) => {
    member.endpoint.locality = { region: 'r', zone: index < 2 ? 'a' : 'b', subZone: '' };
    return { ...member, localityWeight: index < 2 ? weightOfA : weightOfB };
  });
}

describe('locality weighting', () => {
  const settings = { balancing: { kind: 'round-robin' }, panicThresholdPercent: 50 } as const;

  function sharesOf(members: readonly Member[], weighsLocalities: boolean, picks: number): readonly number[] {
    const picker = buildPicker(members, { ...settings, weighsLocalities }, seeded(5));
    const picked = Array.from({ length: picks }, () => picker.pick(null));
    return members.map(({ endpoint }) => picked.filter((one) => one === endpoint).length);
  }

  it.each([
    { says: 'shares by endpoint when it is off', weights: [1, 3], weighs: false, shares: [40, 40, 40] },
    { says: 'shares by locality first when it is on', weights: [1, 3], weighs: true, shares: [15, 15, 90] },
    { says: 'gives no load to a locality without a weight', weights: [1, 0], weighs: true, shares: [60, 60, 0] },
    { says: 'gives no load at all when no locality has a weight', weights: [0, 0], weighs: true, shares: [0, 0, 0] },
  ])('$says', ({ weights: [a = 0, b = 0], weighs, shares }) => {
    expect(sharesOf(zones(a, b), weighs, 120)).toEqual(shares);
  });
});
