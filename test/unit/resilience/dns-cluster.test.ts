// Clusters whose endpoints come from names: what a lookup that answers, fails or finds nothing does to
// the endpoints, when the next one is due, and that an update of the settings loses nothing.
// Time and names are in the test's hands; resolver.test.ts has a real name server.
import type { JsonObject } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import { LiveCluster } from '../../../src/resilience/cluster.ts';
import {
  aBench,
  assignmentJson,
  authorities,
  lbEndpoint,
  removals,
  settingsOf,
  settled,
  started,
} from './cluster-builders.ts';

function strictDns(names: readonly string[], extra: JsonObject = {}): JsonObject {
  return {
    type: 'STRICT_DNS',
    dns_lookup_family: 'V4_ONLY',
    load_assignment: assignmentJson(names.map((name) => lbEndpoint(80, {}, name))),
    ...extra,
  };
}

function logicalDns(name: string, extra: JsonObject = {}): JsonObject {
  return { ...strictDns([name], extra), type: 'LOGICAL_DNS' };
}

describe('a STRICT_DNS cluster', () => {
  it('makes an endpoint of every address of every name, and is warm then', async () => {
    const bench = aBench();
    bench.resolver.answer('a.test', 4, ['10.0.0.1', '10.0.0.2']);
    bench.resolver.answer('b.test', 4, ['10.0.0.3']);
    const cluster = started(strictDns(['a.test', 'b.test', '10.9.9.9']), bench);
    expect(cluster.isWarm).toBe(false);
    await settled();
    expect(cluster.isWarm).toBe(true);
    expect(cluster.endpoints.map(({ authority, hostname }) => `${authority} ${hostname}`)).toEqual([
      '10.0.0.1:80 a.test',
      '10.0.0.2:80 a.test',
      '10.0.0.3:80 b.test',
      '10.9.9.9:80 10.9.9.9',
    ]);
    expect(bench.resolver.asked).toEqual(['a.test/4', 'b.test/4']);
  });

  it('follows the addresses on refresh, and tells what left', async () => {
    const bench = aBench();
    bench.resolver.answer('a.test', 4, ['10.0.0.1', '10.0.0.2']);
    const cluster = started(strictDns(['a.test']), bench);
    await settled();
    const told = removals(cluster);
    const [, kept] = cluster.endpoints;
    bench.resolver.answer('a.test', 4, ['10.0.0.2', '10.0.0.3']);
    await bench.delays.pass();
    expect(authorities(cluster.endpoints)).toEqual(['10.0.0.2:80', '10.0.0.3:80']);
    expect(cluster.endpoints[0]).toBe(kept);
    expect(told).toEqual([['10.0.0.1:80']]);
  });

  it('keeps the last good addresses while lookups fail, and backs off by the failure rate', async () => {
    const bench = aBench();
    bench.resolver.answer('a.test', 4, ['10.0.0.1']);
    const rate = { base_interval: '0.1s', max_interval: '0.3s' };
    const cluster = started(strictDns(['a.test'], { dns_refresh_rate: '2s', dns_failure_refresh_rate: rate }), bench);
    await settled();
    const waited = [...bench.delays.waiting];
    bench.resolver.fail('a.test', 4);
    for (let round = 0; round < 4; round++) {
      await bench.delays.pass();
      waited.push(...bench.delays.waiting);
    }
    bench.resolver.answer('a.test', 4, ['10.0.0.1']);
    await bench.delays.pass();
    waited.push(...bench.delays.waiting);
    expect(authorities(cluster.endpoints)).toEqual(['10.0.0.1:80']);
    // The random of the bench is 0: no jitter on refresh, half of each back-off.
    expect(waited).toEqual([2000, 50, 100, 150, 150, 2000]);
  });

  it('has no endpoints when the name has no addresses any more', async () => {
    const bench = aBench();
    bench.resolver.answer('a.test', 4, ['10.0.0.1']);
    const cluster = started(strictDns(['a.test']), bench);
    await settled();
    bench.resolver.answer('a.test', 4, []);
    await bench.delays.pass();
    expect(cluster.endpoints).toEqual([]);
  });

  it('is warm without endpoints when the first lookup fails, and takes them when they come', async () => {
    const bench = aBench();
    bench.resolver.fail('a.test', 4);
    const cluster = started(strictDns(['a.test']), bench);
    await settled();
    expect({ isWarm: cluster.isWarm, count: cluster.endpoints.length }).toEqual({ isWarm: true, count: 0 });
    bench.resolver.answer('a.test', 4, ['10.0.0.1']);
    await bench.delays.pass();
    expect(authorities(cluster.endpoints)).toEqual(['10.0.0.1:80']);
  });

  it.each([
    { says: 'waits for the shortest TTL when told to', respect: true, ttl: 30, waits: 30_000 },
    { says: 'waits for the refresh rate when the TTL is 0', respect: true, ttl: 0, waits: 2000 },
    { says: 'does not mind the TTL unless told to', respect: false, ttl: 30, waits: 2000 },
  ])('$says', async ({ respect, ttl, waits }) => {
    const bench = aBench();
    bench.resolver.answer('a.test', 4, ['10.0.0.1'], ttl);
    started(strictDns(['a.test'], { dns_refresh_rate: '2s', respect_dns_ttl: respect }), bench);
    await settled();
    expect(bench.delays.waiting).toEqual([waits]);
  });

  it('spreads refreshes by up to a tenth', async () => {
    const bench = aBench();
    const cluster = new LiveCluster(settingsOf(strictDns(['a.test'])), { ...bench.dependencies, random: () => 0.5 });
    cluster.start();
    await settled();
    expect(bench.delays.waiting).toEqual([5250]);
  });

  it.each([
    { family: 'V4_ONLY', v4: ['10.0.0.1'], v6: ['fd00::1'], finds: ['10.0.0.1:80'] },
    { family: 'V6_ONLY', v4: ['10.0.0.1'], v6: ['fd00::1'], finds: ['[fd00::1]:80'] },
    { family: 'AUTO', v4: ['10.0.0.1'], v6: ['fd00::1'], finds: ['[fd00::1]:80'] },
    { family: 'AUTO', v4: ['10.0.0.1'], v6: [], finds: ['10.0.0.1:80'] },
    { family: 'AUTO', v4: ['10.0.0.1'], v6: null, finds: ['10.0.0.1:80'] },
    { family: 'V4_PREFERRED', v4: ['10.0.0.1'], v6: ['fd00::1'], finds: ['10.0.0.1:80'] },
    { family: 'V4_PREFERRED', v4: [], v6: ['fd00::1'], finds: ['[fd00::1]:80'] },
    { family: 'ALL', v4: ['10.0.0.1'], v6: ['fd00::1'], finds: ['10.0.0.1:80', '[fd00::1]:80'] },
    { family: 'ALL', v4: null, v6: ['fd00::1'], finds: ['[fd00::1]:80'] },
  ])('looks up by $family: $v4 and $v6', async ({ family, v4, v6, finds }) => {
    const bench = aBench();
    for (const [number, addresses] of [
      [4, v4],
      [6, v6],
    ] as const) {
      if (addresses === null) bench.resolver.fail('a.test', number);
      else bench.resolver.answer('a.test', number, addresses);
    }
    const cluster = started(strictDns(['a.test'], { dns_lookup_family: family }), bench);
    await settled();
    expect(authorities(cluster.endpoints)).toEqual(finds);
  });

  it('serves on its old endpoints until every name of an update was asked', async () => {
    const bench = aBench();
    bench.resolver.answer('a.test', 4, ['10.0.0.1']);
    bench.resolver.answer('b.test', 4, ['10.0.0.2']);
    const cluster = started(strictDns(['a.test']), bench);
    await settled();
    cluster.update(settingsOf(strictDns(['a.test', 'b.test'])));
    expect(authorities(cluster.endpoints)).toEqual(['10.0.0.1:80']);
    await settled();
    expect(authorities(cluster.endpoints)).toEqual(['10.0.0.1:80', '10.0.0.2:80']);
    expect(bench.delays.pending.size).toBe(2);
  });

  it('keeps what it knows of a name over an update while lookups fail', async () => {
    const bench = aBench();
    bench.resolver.answer('a.test', 4, ['10.0.0.1']);
    const cluster = started(strictDns(['a.test']), bench);
    await settled();
    bench.resolver.fail('a.test', 4);
    cluster.update(settingsOf(strictDns(['a.test'], { dns_refresh_rate: '1s' })));
    await settled();
    expect(authorities(cluster.endpoints)).toEqual(['10.0.0.1:80']);
  });

  it('asks no more after it closed, not even when an answer is under way', async () => {
    const bench = aBench();
    bench.resolver.answer('a.test', 4, ['10.0.0.1']);
    const cluster = started(strictDns(['a.test']), bench);
    cluster.close();
    await settled();
    expect({ count: cluster.endpoints.length, waiting: bench.delays.waiting }).toEqual({ count: 0, waiting: [] });
  });
});

describe('a LOGICAL_DNS cluster', () => {
  it('uses the first address only', async () => {
    const bench = aBench();
    bench.resolver.answer('a.test', 4, ['10.0.0.1', '10.0.0.2']);
    const cluster = started(logicalDns('a.test'), bench);
    await settled();
    expect(authorities(cluster.endpoints)).toEqual(['10.0.0.1:80']);
  });

  it('turns to the new first address, and lets connections be while the old one is still answered', async () => {
    const bench = aBench();
    bench.resolver.answer('a.test', 4, ['10.0.0.1', '10.0.0.2']);
    const cluster = started(logicalDns('a.test'), bench);
    await settled();
    const [first] = cluster.endpoints;
    const told = removals(cluster);
    bench.resolver.answer('a.test', 4, ['10.0.0.2', '10.0.0.1']);
    await bench.delays.pass();
    expect({ now: authorities(cluster.endpoints), told: told.flat() }).toEqual({ now: ['10.0.0.2:80'], told: [] });
    bench.resolver.answer('a.test', 4, ['10.0.0.1', '10.0.0.2']);
    await bench.delays.pass();
    expect(cluster.endpoints[0]).toBe(first);
    bench.resolver.answer('a.test', 4, ['10.0.0.1']);
    await bench.delays.pass();
    expect(told.flat()).toEqual(['10.0.0.2:80']);
  });

  it.each([{ how: 'fails' }, { how: 'is empty' }])('keeps its address when a lookup $how', async ({ how }) => {
    const bench = aBench();
    bench.resolver.answer('a.test', 4, ['10.0.0.1']);
    const cluster = started(logicalDns('a.test'), bench);
    await settled();
    if (how === 'fails') bench.resolver.fail('a.test', 4);
    else bench.resolver.answer('a.test', 4, []);
    await bench.delays.pass();
    expect(authorities(cluster.endpoints)).toEqual(['10.0.0.1:80']);
  });
});
