// Which endpoints take traffic, and how much: health, priorities, panic and localities as Envoy has them.
// The arithmetic of the shares is in priority-load.test.ts, the balancers are in pickers.test.ts.
import { describe, expect, it } from 'vitest';
import { Exchange } from '../../../src/plan/exchange.ts';
import { UNFIT, type Picker } from '../../../src/plan/cluster.ts';
import { DEFAULT_POLICY } from '../../../src/resilience/assignment-policy.ts';
import type { ConfiguredHealth } from '../../../src/resilience/cluster-settings.ts';
import type { Member } from '../../../src/resilience/host-set.ts';
import { localityKey, type LocalZone } from '../../../src/resilience/locality-build.ts';
import { zoneShareOf } from '../../../src/resilience/locality-share.ts';
import { buildPicker, type PickerSettings } from '../../../src/resilience/picker.ts';
import { priorityBit } from '../../../src/resilience/priority-picker.ts';
import { endpointsWithWeights, seeded } from './cluster-builders.ts';

interface Given {
  readonly health?: ConfiguredHealth;
  readonly priority?: number;
  readonly unfit?: number;
  readonly isDegraded?: boolean;
  readonly zone?: string;
  readonly localityWeight?: number;
  readonly weight?: number;
}

const SETTINGS: PickerSettings = {
  balancing: { kind: 'round-robin' },
  weighsLocalities: false,
  panicThresholdPercent: 50,
};

function membersOf(given: readonly Given[]): readonly Member[] {
  const endpoints = endpointsWithWeights(given.map(({ weight = 1 }) => weight));
  return endpoints.map((endpoint, index) => {
    const {
      priority = 0,
      unfit = 0,
      isDegraded = false,
      zone = '',
      health = 'healthy',
      localityWeight = 0,
    } = given[index] ?? {};
    endpoint.priority = priority;
    endpoint.unfit = unfit;
    endpoint.isDegraded = isDegraded;
    endpoint.locality = { region: 'r', zone, subZone: '' };
    return { endpoint, health, localityWeight };
  });
}

/** Picks of each member out of `picks`. */
function shares(
  members: readonly Member[],
  picker: Picker,
  picks: number,
  x: Exchange | null = null,
): readonly number[] {
  const picked = Array.from({ length: picks }, () => picker.pick(x));
  return members.map(({ endpoint }) => picked.filter((one) => one === endpoint).length);
}

/** Evenly spread "random" numbers: the shares of hundredths become exact. */
function evenly(): () => number {
  let next = -1;
  return () => (next = (next + 1) % 100) / 100;
}

/** Balancers draw too, so a share may be one off. */
function expectNear(found: readonly number[], expected: readonly number[]): void {
  const isNear = found.every((share, index) => Math.abs(share - (expected[index] ?? 0)) <= 1);
  expect(isNear ? expected : found).toEqual(expected);
}

const DOWN: Given = { health: 'unhealthy' };

describe('the choice of endpoints', () => {
  it.each<{
    readonly says: string;
    readonly given: readonly Given[];
    readonly panic?: number;
    readonly takes: readonly number[];
  }>([
    { says: 'takes all healthy endpoints', given: [{}, {}], takes: [50, 50] },
    { says: 'leaves out unhealthy ones', given: [{}, {}, DOWN], takes: [50, 50, 0] },
    { says: 'leaves out draining ones', given: [{}, {}, { health: 'draining' }], takes: [50, 50, 0] },
    { says: 'leaves out those that timed out', given: [{}, {}, { health: 'timeout' }], takes: [50, 50, 0] },
    {
      says: 'leaves out what outlier detection ejected',
      given: [{}, {}, { unfit: UNFIT.EJECTED }],
      takes: [50, 50, 0],
    },
    { says: 'takes degraded ones for what is missing only', given: [{}, { health: 'degraded' }], takes: [70, 30] },
    {
      says: 'takes none of the degraded while enough are healthy',
      given: [{}, {}, {}, { isDegraded: true }],
      takes: [34, 33, 33, 0],
    },
    { says: 'takes degraded ones when none is healthy', given: [DOWN, { health: 'degraded' }], takes: [0, 100] },
    {
      says: 'takes the word of a health check that one is degraded',
      given: [DOWN, { isDegraded: true }],
      takes: [0, 100],
    },
    { says: 'takes the first priority only', given: [{}, { priority: 1 }], takes: [100, 0] },
    {
      says: 'spills over as the first priority loses endpoints',
      given: [{}, DOWN, { priority: 1 }],
      takes: [70, 0, 30],
    },
    { says: 'fails over when the first priority is down', given: [DOWN, { priority: 1 }], takes: [0, 100] },
    { says: 'orders priorities by number', given: [{ priority: 2 }, { priority: 1 }], takes: [0, 100] },
    {
      says: 'prefers a healthy later priority to a degraded first',
      given: [{ health: 'degraded' }, { priority: 1 }],
      takes: [0, 100],
    },
    { says: 'panics below half, and takes everything', given: [{}, DOWN, DOWN, DOWN], takes: [25, 25, 25, 25] },
    { says: 'does not panic at exactly half', given: [{}, DOWN], takes: [100, 0] },
    {
      says: 'does not panic while a later priority makes up for it',
      given: [{}, DOWN, DOWN, { priority: 1 }],
      takes: [46, 0, 0, 54],
    },
    { says: 'panics when all are down', given: [DOWN, DOWN], takes: [50, 50] },
    { says: 'takes none when all are down and panic is off', given: [DOWN, DOWN], panic: 0, takes: [0, 0] },
    { says: 'keeps to the healthy one when panic is off', given: [{}, DOWN, DOWN], panic: 0, takes: [100, 0, 0] },
    { says: 'panics at the threshold that is set', given: [{}, DOWN, DOWN], panic: 30, takes: [100, 0, 0] },
    {
      says: 'counts what is not checked yet neither way',
      given: [{}, { unfit: UNFIT.UNCHECKED }, { priority: 1 }],
      takes: [100, 0, 0],
    },
    { says: 'takes nothing of nothing', given: [], takes: [] },
  ])('$says', ({ given, panic = 50, takes }) => {
    const members = membersOf(given);
    const picker = buildPicker(members, { ...SETTINGS, panicThresholdPercent: panic }, evenly());
    const total = takes.reduce((sum, one) => sum + one, 0);
    const found = shares(members, picker, 100);
    expectNear(found, takes);
    expect(found.reduce((sum, one) => sum + one, 0)).toBe(total);
  });

  it('answers nothing in a panic when it is told so', () => {
    const zoneAware = { enabledPercent: 100, sizeMin: 6, failsOnPanic: true };
    expect(buildPicker(membersOf([DOWN, DOWN]), { ...SETTINGS, zoneAware }, seeded(1)).pick(null)).toBeNull();
  });

  it('measures health by weight where the assignment says so', () => {
    const members = membersOf([{ weight: 9 }, { ...DOWN, weight: 1 }, { priority: 1 }]);
    const policy = { ...DEFAULT_POLICY, weighsHealth: true };
    expectNear(shares(members, buildPicker(members, SETTINGS, evenly(), { policy }), 100), [100, 0, 0]);
    expectNear(shares(members, buildPicker(members, SETTINGS, evenly()), 100), [70, 0, 30]);
  });

  it('spills over at the factor of the assignment', () => {
    const members = membersOf([{}, DOWN, { priority: 1 }]);
    const policy = { ...DEFAULT_POLICY, overprovisioningFactor: 100 };
    expectNear(shares(members, buildPicker(members, SETTINGS, evenly(), { policy }), 100), [50, 0, 50]);
  });

  it('leaves out the priorities that a retry has tried', () => {
    const members = membersOf([{}, { priority: 1 }, { priority: 40 }]);
    const picker = buildPicker(members, SETTINGS, evenly());
    const x = new Exchange();
    x.excludedPriorities = priorityBit(0) | priorityBit(1);
    expectNear(shares(members, picker, 100, x), [0, 0, 100]);
    x.excludedPriorities |= priorityBit(40);
    expectNear(shares(members, picker, 100, x), [100, 0, 0]);
  });

  it('is the balancer itself where there is nothing to choose', () => {
    const balancer = buildPicker(membersOf([{}, {}]), SETTINGS, seeded(1));
    expect(balancer.constructor.name).toBe('EvenRoundRobin');
    expect(buildPicker(membersOf([{}, DOWN]), SETTINGS, seeded(1)).constructor).toBe(balancer.constructor);
  });
});

/** Endpoints of two zones, with the weights of those. */
function twoZones(a: readonly Given[], b: readonly Given[], weights: readonly [number, number]): readonly Member[] {
  return membersOf([
    ...a.map((one) => ({ ...one, zone: 'a', localityWeight: weights[0] })),
    ...b.map((one) => ({ ...one, zone: 'b', localityWeight: weights[1] })),
  ]);
}

describe('locality weighting', () => {
  it.each<{
    readonly says: string;
    readonly a?: readonly Given[];
    readonly weights: readonly [number, number];
    readonly weighs?: boolean;
    readonly takes: readonly number[];
  }>([
    { says: 'shares by endpoint when it is off', weights: [1, 3], weighs: false, takes: [40, 40, 40] },
    { says: 'shares by locality first when it is on', weights: [1, 3], takes: [15, 15, 90] },
    { says: 'gives no load to a locality without a weight', weights: [1, 0], takes: [60, 60, 0] },
    { says: 'takes all alike when no locality has a weight', weights: [0, 0], takes: [40, 40, 40] },
    { says: 'lowers the weight of a locality that is half down', a: [{}, DOWN], weights: [1, 1], takes: [49, 0, 71] },
    {
      says: 'keeps the weight of one that is down within its reserve',
      a: [{}, {}, {}, DOWN],
      weights: [1, 1],
      takes: [20, 20, 20, 0, 60],
    },
  ])('$says', ({ a = [{}, {}], weights, weighs = true, takes }) => {
    const members = twoZones(a, [{}], weights);
    const picker = buildPicker(members, { ...SETTINGS, weighsLocalities: weighs, panicThresholdPercent: 0 }, seeded(5));
    const found = shares(members, picker, 120);
    expectNear(found, takes);
  });
});

const at = (zone: string) => ({ region: 'r', zone, subZone: '' });

function zoneOf(name: string, peers: Readonly<Record<string, number>>, fitPercent = 100): LocalZone {
  return {
    locality: at(name),
    peers: new Map(Object.entries(peers).map(([zone, count]) => [localityKey(at(zone)), count])),
    fitPercent,
  };
}

const endpoints = (a: number, b: number) =>
  twoZones(
    Array.from({ length: a }, () => ({})),
    Array.from({ length: b }, () => ({})),
    [0, 0],
  );

describe('zone awareness', () => {
  const zoneAware = { enabledPercent: 100, sizeMin: 6, failsOnPanic: false };
  const picked = (members: readonly Member[], zone: LocalZone, more: Partial<typeof zoneAware> = {}) => {
    const settings = { ...SETTINGS, zoneAware: { ...zoneAware, ...more } };
    const found = shares(members, buildPicker(members, settings, seeded(3), { zone }), 6000);
    return members.reduce((sum, { endpoint }, i) => sum + (endpoint.locality.zone === 'a' ? (found[i] ?? 0) : 0), 0);
  };

  it.each<{
    readonly says: string;
    readonly members: readonly Member[];
    readonly zone: LocalZone;
    readonly a: number;
    readonly more?: object;
  }>([
    {
      says: 'stays in its zone when that has the capacity',
      members: endpoints(4, 4),
      zone: zoneOf('a', { a: 2, b: 2 }),
      a: 6000,
    },
    {
      says: 'stays when the zone has more than its part',
      members: endpoints(6, 2),
      zone: zoneOf('a', { a: 2, b: 2 }),
      a: 6000,
    },
    {
      says: 'sends away what the zone cannot take',
      members: endpoints(2, 6),
      zone: zoneOf('a', { a: 2, b: 2 }),
      a: 3000,
    },
    {
      says: 'has no favourite in a cluster below the size',
      members: endpoints(3, 2),
      zone: zoneOf('a', { a: 2, b: 2 }),
      a: 3600,
    },
    {
      says: 'has no favourite while its own cluster is in doubt',
      members: endpoints(4, 4),
      zone: zoneOf('a', { a: 2, b: 2 }, 40),
      a: 3000,
    },
    {
      says: 'has no favourite when it is off',
      members: endpoints(4, 4),
      zone: zoneOf('a', { a: 2, b: 2 }),
      more: { enabledPercent: 0 },
      a: 3000,
    },
    {
      says: 'has no favourite when its own cluster is unknown',
      members: endpoints(4, 4),
      zone: zoneOf('a', {}),
      a: 3000,
    },
  ])('$says', ({ members, zone, a, more = {} }) => {
    expect(Math.abs(picked(members, zone, more) - a)).toBeLessThan(200);
  });

  it('answers nothing while its own cluster is in doubt and it is told so', () => {
    expect(picked(endpoints(4, 4), zoneOf('a', { a: 2, b: 2 }, 40), { failsOnPanic: true })).toBe(0);
  });

  it('shares what is left by the capacity of the others', () => {
    expect(zoneShareOf({ upstream: [1, 2, 1], local: [2, 2, 1], localTotal: 5, hasLocal: true })).toEqual({
      localTenThousandths: 6250,
      residual: [0, 1000, 1500],
    });
    expect(zoneShareOf({ upstream: [2, 2], local: [0, 0], localTotal: 3, hasLocal: false })).toEqual({
      localTenThousandths: 0,
      residual: [5000, 10_000],
    });
  });
});
