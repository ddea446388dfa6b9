// Ring hash, Maglev and bounded load as laws: the same key finds the same endpoint, shares follow weights, and
// little moves when an endpoint leaves. That the choices are Envoy's own is compared in test/peer.
import { describe, expect, it } from 'vitest';
import type { Endpoint, Picker } from '../../../src/plan/cluster.ts';
import { Exchange } from '../../../src/plan/exchange.ts';
import { Hash64 } from '../../../src/base/hash64.ts';
import { makeBalancer } from '../../../src/resilience/balancer.ts';
import type { Balancing } from '../../../src/resilience/cluster-settings.ts';
import { isPrime } from '../../../src/resilience/maglev.ts';
import { Twister } from '../../../src/resilience/twister.ts';
import { endpointsWithWeights, seeded } from './cluster-builders.ts';

const RING = { kind: 'ring-hash', sizeMin: 1024, sizeMax: 8_388_608, hash: 'xx', usesHostname: false } as const;
const MAGLEV = { kind: 'maglev', tableSize: 65_537, usesHostname: false } as const;
const TABLES: readonly Balancing[] = [
  { ...RING, boundPercent: 0 },
  { ...RING, boundPercent: 0, hash: 'murmur' },
  { ...MAGLEV, boundPercent: 0 },
];

function pickerOver(endpoints: readonly Endpoint[], balancing: Balancing): Picker {
  const members = endpoints.map((endpoint) => ({ endpoint, health: 'healthy', localityWeight: 0 }) as const);
  return makeBalancer(members, { balancing, weighsLocalities: false, random: seeded(3), now: () => 0 });
}

const hash = new Hash64();

function keyed(key: string, pickRound = 0): Exchange {
  const x = new Exchange();
  hash.xx(key);
  x.hasHash = true;
  x.hashHigh = hash.high;
  x.hashLow = hash.low;
  x.pickRound = pickRound;
  return x;
}

const KEYS = Array.from({ length: 2000 }, (_, index) => `user-${index}`);

describe.each(TABLES)('$kind $hash', (balancing) => {
  it('gives each endpoint the share of its weight', () => {
    const endpoints = endpointsWithWeights([1, 2, 3, 4]);
    const picker = pickerOver(endpoints, balancing);
    const counts = endpoints.map(() => 0);
    for (const key of KEYS) {
      const at = endpoints.indexOf(picked(picker, key));
      counts[at] = (counts[at] ?? 0) + 1;
    }
    for (const [index, count] of counts.entries()) expect(count / 200 / (index + 1)).toBeCloseTo(1, 0);
  });

  it('moves little more than the keys of an endpoint that leaves', () => {
    const endpoints = endpointsWithWeights([1, 1, 1, 1, 1]);
    const before = pickerOver(endpoints, balancing);
    const after = pickerOver(endpoints.slice(1), balancing);
    const stayed = KEYS.filter((key) => picked(before, key) === picked(after, key)).length;
    expect(stayed / KEYS.length).toBeGreaterThan(0.7);
  });

  it('looks elsewhere in each round of a retry', () => {
    const picker = pickerOver(endpointsWithWeights([1, 1, 1, 1, 1]), balancing);
    const found = new Set(Array.from({ length: 50 }, (_, round) => picker.pick(keyed('a', round))));
    expect(found.size).toBe(5);
  });

  it('picks at random without a hash', () => {
    const picker = pickerOver(endpointsWithWeights([1, 1, 1]), balancing);
    expect(new Set(Array.from({ length: 60 }, () => picker.pick(new Exchange()))).size).toBe(3);
  });
});

function picked(picker: Picker, key: string): Endpoint {
  const endpoint = picker.pick(keyed(key));
  if (endpoint === null) throw new Error('no endpoint');
  return endpoint;
}

describe('bounded load', () => {
  it('passes on what is above the bound, for one key always to the same', () => {
    const endpoints = endpointsWithWeights([1, 1, 1, 1]);
    const picker = pickerOver(endpoints, { ...MAGLEV, boundPercent: 125 });
    const home = picked(picker, 'a');
    home.active = 10;
    const other = picked(picker, 'a');
    expect(other).not.toBe(home);
    expect(picked(picker, 'a')).toBe(other);
    for (const endpoint of endpoints) endpoint.active = 10;
    expect(picked(picker, 'a')).toBe(home);
  });

  it('takes the endpoint least over its bound when all are over it', () => {
    const endpoints = endpointsWithWeights([1, 3]);
    const picker = pickerOver(endpoints, { ...RING, boundPercent: 100 });
    const [light, heavy] = endpoints;
    if (light === undefined || heavy === undefined) throw new Error('two endpoints');
    light.active = 9;
    heavy.active = 1;
    for (const key of KEYS.slice(0, 20)) expect(picked(picker, key)).toBe(heavy);
  });

  it('has the numbers of std::mt19937', () => {
    const twister = new Twister();
    twister.seed(5489);
    let last = 0;
    for (let i = 0; i < 10_000; i++) last = twister.next();
    expect(last).toBe(4_123_659_995);
  });
});

it.each([
  [1, false],
  [2, true],
  [65_537, true],
  [65_536, false],
  [5_000_011, true],
  [25, false],
])('knows whether %d is a prime', (value, is) => {
  expect(isPrime(value)).toBe(is);
});
