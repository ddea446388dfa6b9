// Slow start and peak EWMA on a fake clock: the law of a weight, the shares that follow from it, when the
// ordinary picker comes back, and how latency and failures move traffic.
import { create } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import { OUTCOME, type Endpoint, type Picker } from '../../../src/plan/cluster.ts';
import { makeBalancer } from '../../../src/resilience/balancer.ts';
import type { Balancing } from '../../../src/resilience/cluster-settings.ts';
import { compileOutlier } from '../../../src/resilience/outlier-settings.ts';
import { warmingReturns } from '../../../src/resilience/return-warmth.ts';
import { warmth } from '../../../src/resilience/warming.ts';
import { Warmup } from '../../../src/resilience/warmup.ts';
import { OutlierDetectionSchema } from '../../../src/xds/gen/envoy/config/cluster/v3/outlier_detection_pb.js';
import { anEnv, compiled, endpointsWithWeights, HandDelays, seeded } from './cluster-builders.ts';

const SLOW = { windowMs: 60_000, aggression: 1, shareMin: 0.1 };
const ROUND_ROBIN: Balancing = { kind: 'round-robin', slowStart: SLOW };
const LEAST: Balancing = {
  kind: 'least-request',
  choiceCount: 2,
  activeRequestBias: 1,
  scansAll: false,
  slowStart: SLOW,
};
const EWMA: Balancing = { kind: 'peak-ewma', decayMs: 10_000, defaultLatencyMs: 30, penaltyMs: 5000 };

class HandClock {
  nowMs = 1000;
  now = (): number => this.nowMs;
  wall = (): number => this.nowMs;
}

function over(endpoints: readonly Endpoint[], balancing: Balancing, clock: HandClock): Picker {
  const members = endpoints.map((endpoint) => ({ endpoint, health: 'healthy', localityWeight: 0 }) as const);
  return makeBalancer(members, { balancing, weighsLocalities: false, random: seeded(3), now: clock.now });
}

function shareOf(endpoint: Endpoint, picker: Picker, picks = 3000): number {
  let count = 0;
  for (let i = 0; i < picks; i++) if (picker.pick(null) === endpoint) count++;
  return count / picks;
}

function answered(endpoint: Endpoint, outcome: number, latencyMs: number): void {
  for (const watch of endpoint.watches) watch.onOutcome(endpoint, outcome, latencyMs, null);
}

const typed = (name: string, config: Record<string, string | number>) => ({
  typed_extension_config: {
    name,
    typed_config: {
      '@type': 'type.googleapis.com/xds.type.v3.TypedStruct',
      type_url: `type.googleapis.com/envoy.extensions.load_balancing_policies.${name}`,
      value: config,
    },
  },
});

describe('the warmth of an endpoint', () => {
  it.each([
    { ageMs: 0, slow: SLOW, is: 0.1 },
    { ageMs: 500, slow: { ...SLOW, shareMin: 0 }, is: 1 / 60 },
    { ageMs: 1000, slow: { ...SLOW, shareMin: 0 }, is: 1 / 60 },
    { ageMs: 30_000, slow: SLOW, is: 0.5 },
    { ageMs: 30_000, slow: { ...SLOW, aggression: 2 }, is: Math.SQRT1_2 },
    { ageMs: 59_999, slow: SLOW, is: 59_999 / 60_000 },
    { ageMs: 60_000, slow: SLOW, is: 1 },
  ])('is $is after $ageMs ms of $slow.windowMs', ({ ageMs, slow, is }) => {
    const [endpoint] = endpointsWithWeights([1]);
    if (endpoint === undefined) throw new Error('one endpoint');
    endpoint.warmSinceMs = 5000;
    expect(warmth(endpoint, 5000 + ageMs, slow)).toBeCloseTo(is, 10);
  });
});

describe.each([ROUND_ROBIN, LEAST])('slow start of $kind', (balancing) => {
  it('gives a newcomer its share little by little', () => {
    const clock = new HandClock();
    const endpoints = endpointsWithWeights([1, 1, 1]);
    const [newcomer] = endpoints;
    if (newcomer === undefined) throw new Error('three endpoints');
    clock.nowMs = 500_000;
    newcomer.warmSinceMs = clock.nowMs;
    const picker = over(endpoints, balancing, clock);
    expect(shareOf(newcomer, picker)).toBeCloseTo(0.1 / 2.1, 1);
    clock.nowMs += 30_000;
    expect(shareOf(newcomer, picker)).toBeCloseTo(0.5 / 2.5, 1);
    clock.nowMs += 30_000;
    expect(shareOf(newcomer, picker)).toBeCloseTo(1 / 3, 1);
  });

  it('costs nothing for endpoints that began together', () => {
    const clock = new HandClock();
    const endpoints = endpointsWithWeights([1, 1]);
    for (const endpoint of endpoints) endpoint.warmSinceMs = clock.nowMs;
    expect(over(endpoints, balancing, clock).constructor.name).not.toBe('WarmingPicker');
  });
});

describe('Warmup', () => {
  it('dates what is new and what comes back, and refreshes once when all are warm', async () => {
    const clock = new HandClock();
    const delays = new HandDelays();
    let refreshes = 0;
    const warmup = new Warmup(clock, delays.delay, () => refreshes++);
    const [first, second] = endpointsWithWeights([1, 1]);
    if (first === undefined || second === undefined) throw new Error('two endpoints');
    warmup.watch([first], ROUND_ROBIN);
    clock.nowMs = 20_000;
    second.unfit = 1;
    warmup.watch([first, second], ROUND_ROBIN);
    expect([first.warmSinceMs, second.warmSinceMs, ...delays.waiting]).toEqual([1000, 0, 41_000]);
    second.unfit = 0;
    warmup.watch([first, second], ROUND_ROBIN);
    expect([first.warmSinceMs, second.warmSinceMs, ...delays.waiting]).toEqual([1000, 20_000, 60_000]);
    await delays.pass();
    expect(refreshes).toBe(1);
    warmup.watch([first, second], { kind: 'random' });
    expect(delays.waiting).toEqual([]);
  });
});

describe('peak EWMA', () => {
  it.each([
    { says: 'a slow endpoint', outcome: 200, latencyMs: 400 },
    { says: 'an endpoint that fails fast', outcome: 503, latencyMs: 1 },
    { says: 'an endpoint that cannot be reached', outcome: OUTCOME.CONNECT_FAILED, latencyMs: -1 },
    { says: 'an endpoint that is told to be left alone', outcome: 429, latencyMs: 1 },
  ])('keeps away from $says, and tries it again later', ({ outcome, latencyMs }) => {
    const clock = new HandClock();
    const endpoints = endpointsWithWeights([1, 1, 1]);
    const picker = over(endpoints, EWMA, clock);
    const [bad, ...good] = endpoints;
    if (bad === undefined) throw new Error('three endpoints');
    for (const endpoint of good) answered(endpoint, 200, 10);
    answered(bad, outcome, latencyMs);
    expect(shareOf(bad, picker)).toBe(0);
    bad.active = 0;
    for (const endpoint of good) endpoint.active = 400;
    expect(shareOf(bad, picker)).toBeGreaterThan(0.6);
    for (const endpoint of good) endpoint.active = 3;
    clock.nowMs += 120_000;
    expect(shareOf(bad, picker)).toBeGreaterThan(0.6);
  });

  it('keeps what it knows over a new picker, and forgets it with another balancer', () => {
    const clock = new HandClock();
    const endpoints = endpointsWithWeights([1, 1]);
    over(endpoints, EWMA, clock);
    const watches = endpoints.map((endpoint) => endpoint.watches);
    over(endpoints, EWMA, clock);
    expect(endpoints.map((endpoint) => endpoint.watches)).toEqual(watches);
    over(endpoints, { kind: 'random' }, clock);
    expect(endpoints.map((endpoint) => endpoint.watches.length)).toEqual([0, 0]);
  });

  it('is read from a TypedStruct, which goes before other policies', () => {
    const peak = typed('peak_ewma.v3alpha.PeakEwma', { decay_time: '5s', default_rtt: '0.02s', penalty_value: 100 });
    const { settings, problems } = compiled({ load_balancing_policy: { policies: [typed('x', {}), peak] } });
    expect(problems).toEqual([]);
    expect(settings?.balancing).toEqual({ kind: 'peak-ewma', decayMs: 5000, defaultLatencyMs: 20, penaltyMs: 100 });
  });
});

describe.each([{ kind: 'round-robin' }, { ...LEAST, slowStart: null }, { kind: 'random' }] as const)(
  'after an ejection, $kind',
  (plain) => {
    it('deals what returns its share little by little, and a newcomer all at once', () => {
      const clock = new HandClock();
      const balancing = warmingReturns(
        plain,
        compileOutlier(create(OutlierDetectionSchema), anEnv(), 'outlier_detection'),
      );
      const endpoints = endpointsWithWeights([1, 1, 1]);
      const [returned, newcomer] = endpoints;
      if (returned === undefined || newcomer === undefined) throw new Error('three endpoints');
      clock.nowMs = 500_000;
      newcomer.warmSinceMs = clock.nowMs;
      expect(over(endpoints, balancing, clock).constructor.name).not.toBe('WarmingPicker');
      returned.returnedMs = clock.nowMs;
      const picker = over(endpoints, balancing, clock);
      expect(shareOf(returned, picker)).toBeCloseTo(0.1 / 2.1, 1);
      clock.nowMs += 5000;
      expect(shareOf(returned, picker)).toBeCloseTo(0.5 / 2.5, 1);
      clock.nowMs += 5000;
      expect(over(endpoints, balancing, clock).constructor.name).not.toBe('WarmingPicker');
    });
  },
);
