// A live cluster over all four kinds of discovery: when it is warm, what it keeps when endpoints or
// settings change, what it tells as removed, and how lookups that fail or answer nothing are taken.
// Time and names are in the test's hands; resolver.test.ts has a real name server.
import { describe, expect, it } from 'vitest';
import type { Endpoint } from '../../../src/plan/cluster.ts';
import { LiveCluster } from '../../../src/resilience/cluster.ts';
import {
  aBench,
  anAssignment,
  assignmentJson,
  lbEndpoint,
  settingsOf,
  settled,
  type Bench,
} from './cluster-builders.ts';
import type { JsonObject } from '@bufbuild/protobuf';

const EDS = { type: 'EDS', eds_cluster_config: { eds_config: { ads: {} } } };

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

function started(json: JsonObject, bench: Bench = aBench()): LiveCluster {
  const cluster = new LiveCluster(settingsOf(json), bench.dependencies);
  cluster.start();
  return cluster;
}

function authorities(endpoints: readonly Endpoint[]): readonly string[] {
  return endpoints.map(({ authority }) => authority);
}

/** What was told as removed, list by list. */
function removals(cluster: LiveCluster): string[][] {
  const told: string[][] = [];
  cluster.onEndpoints((removed) => told.push([...authorities(removed)]));
  return told;
}

describe('a static cluster', () => {
  it('has no endpoints before it starts, and is warm when it has', () => {
    const cluster = new LiveCluster(settingsOf(), aBench().dependencies);
    expect({ isWarm: cluster.isWarm, picked: cluster.picker.pick(null) }).toEqual({ isWarm: false, picked: null });
    cluster.start();
    expect(cluster.isWarm).toBe(true);
    expect(cluster.picker.pick(null)).toBe(cluster.endpoints[0]);
  });

  it('gives an address that is written twice its double share, as Envoy does', () => {
    const cluster = started({
      load_assignment: assignmentJson([lbEndpoint(80), lbEndpoint(80), lbEndpoint(81)]),
    });
    expect(authorities(cluster.endpoints)).toEqual(['127.0.0.1:80', '127.0.0.1:80', '127.0.0.1:81']);
  });

  it('keeps endpoints whose address stays over an update, with their counters', () => {
    const cluster = started({ load_assignment: assignmentJson([lbEndpoint(80), lbEndpoint(81)]) });
    const told = removals(cluster);
    const [first, second] = cluster.endpoints;
    if (second !== undefined) second.requestsTotal = 7;
    cluster.update(
      settingsOf({
        connect_timeout: '1s',
        load_assignment: assignmentJson([lbEndpoint(82), lbEndpoint(81, { load_balancing_weight: 5 })]),
      }),
    );
    expect(authorities(cluster.endpoints)).toEqual(['127.0.0.1:82', '127.0.0.1:81']);
    expect(cluster.endpoints[1]).toBe(second);
    expect({ weight: second?.weight, requests: second?.requestsTotal }).toEqual({ weight: 5, requests: 7 });
    expect(told).toEqual([[first?.authority]]);
    expect(cluster.connectTimeoutMs).toBe(1000);
  });

  it('does not tell of endpoints when only other settings change', () => {
    const cluster = started({});
    const told = removals(cluster);
    cluster.update(settingsOf({ lb_policy: 'RANDOM', max_requests_per_connection: 2 }));
    expect(told).toEqual([]);
    expect(cluster.maxRequestsPerConnection).toBe(2);
  });

  it('leaves an endpoint that was marked unhealthy out after a refresh, and takes it back', () => {
    const cluster = started({ load_assignment: assignmentJson([lbEndpoint(80), lbEndpoint(81)]) });
    const [first, second] = cluster.endpoints;
    const picks = (): Set<Endpoint | null> => new Set(Array.from({ length: 10 }, () => cluster.picker.pick(null)));
    if (first !== undefined) first.isHealthy = false;
    cluster.refresh();
    expect(picks()).toEqual(new Set([second]));
    if (first !== undefined) first.isHealthy = true;
    cluster.refresh();
    expect(picks()).toEqual(new Set([first, second]));
  });

  it('tells all endpoints as removed when it closes, and picks none from then on', () => {
    const cluster = started({});
    const told = removals(cluster);
    cluster.close();
    cluster.close();
    expect(told).toEqual([['127.0.0.1:80']]);
    expect(cluster.picker.pick(null)).toBeNull();
  });
});

describe('an EDS cluster', () => {
  it('is cold until its first assignment, then warm for good', () => {
    const cluster = started(EDS);
    let warmed = 0;
    cluster.onWarm(() => warmed++);
    expect({ isWarm: cluster.isWarm, warmed }).toEqual({ isWarm: false, warmed: 0 });
    expect(cluster.updateEndpoints(anAssignment(assignmentJson([lbEndpoint(80)])))).toEqual([]);
    cluster.updateEndpoints(anAssignment(assignmentJson([])));
    cluster.onWarm(() => warmed++);
    expect({ isWarm: cluster.isWarm, warmed }).toEqual({ isWarm: true, warmed: 2 });
    expect(cluster.picker.pick(null)).toBeNull();
  });

  it('is warm when waiting is given up', () => {
    const cluster = started(EDS);
    cluster.giveUpWaiting();
    expect(cluster.isWarm).toBe(true);
  });

  it('refuses a bad assignment whole and keeps the last good one', () => {
    const cluster = started(EDS);
    cluster.updateEndpoints(anAssignment(assignmentJson([lbEndpoint(80)])));
    const problems = cluster.updateEndpoints(
      anAssignment(assignmentJson([lbEndpoint(81), lbEndpoint(82, {}, 'name.test')])),
    );
    expect(problems.map(({ message }) => message)).toEqual(['malformed IP address: name.test']);
    expect(authorities(cluster.endpoints)).toEqual(['127.0.0.1:80']);
  });

  it('keeps the first of duplicate addresses', () => {
    const cluster = started(EDS);
    cluster.updateEndpoints(
      anAssignment(assignmentJson([lbEndpoint(80, { load_balancing_weight: 3 }), lbEndpoint(80)])),
    );
    expect(cluster.endpoints.map(({ authority, weight }) => ({ authority, weight }))).toEqual([
      { authority: '127.0.0.1:80', weight: 3 },
    ]);
  });

  it('keeps identity, counters and requests in flight through churn', () => {
    const cluster = started(EDS);
    const told = removals(cluster);
    cluster.updateEndpoints(anAssignment(assignmentJson([lbEndpoint(80), lbEndpoint(81)])));
    const [, kept] = cluster.endpoints;
    if (kept !== undefined) {
      kept.active = 3;
      kept.requestsTotal = 10;
    }
    for (let port = 100; port < 150; port++) {
      cluster.updateEndpoints(
        anAssignment({
          cluster_name: 'c',
          endpoints: [
            { priority: port % 2, locality: { zone: `z${port}` }, lb_endpoints: [lbEndpoint(port), lbEndpoint(81)] },
          ],
        }),
      );
    }
    expect(cluster.endpoints[1]).toBe(kept);
    expect(kept).toMatchObject({ active: 3, requestsTotal: 10, priority: 1, locality: { zone: 'z149' } });
    expect(told.flat()).toEqual([
      '127.0.0.1:80',
      ...Array.from({ length: 49 }, (_, index) => `127.0.0.1:${100 + index}`),
    ]);
  });

  it('forgets the counters of an endpoint that left and came back', () => {
    const cluster = started(EDS);
    const one = anAssignment(assignmentJson([lbEndpoint(80)]));
    cluster.updateEndpoints(one);
    const [before] = cluster.endpoints;
    cluster.updateEndpoints(anAssignment(assignmentJson([])));
    cluster.updateEndpoints(one);
    expect(cluster.endpoints[0]).not.toBe(before);
  });

  it('shifts load when weights change live', () => {
    const cluster = started(EDS);
    const share = (): number => {
      const picked = Array.from({ length: 1000 }, () => cluster.picker.pick(null));
      return picked.filter((endpoint) => endpoint?.port === 80).length;
    };
    cluster.updateEndpoints(anAssignment(assignmentJson([lbEndpoint(80), lbEndpoint(81)])));
    const before = share();
    cluster.updateEndpoints(
      anAssignment(assignmentJson([lbEndpoint(80, { load_balancing_weight: 9 }), lbEndpoint(81)])),
    );
    expect({ before, after: share() }).toEqual({ before: 500, after: 900 });
  });

  it('says the configured health of each endpoint', () => {
    const cluster = started(EDS);
    cluster.updateEndpoints(
      anAssignment(assignmentJson([lbEndpoint(80, { health_status: 'DRAINING' }), lbEndpoint(81)])),
    );
    expect(cluster.endpoints.map((endpoint) => cluster.healthOf(endpoint))).toEqual(['draining', 'healthy']);
  });

  it('serves on the endpoints it had while a changed service name has no answer yet', () => {
    const cluster = started(EDS);
    cluster.updateEndpoints(anAssignment(assignmentJson([lbEndpoint(80)])));
    cluster.update(settingsOf({ ...EDS, eds_cluster_config: { eds_config: { ads: {} }, service_name: 'other' } }));
    expect(authorities(cluster.endpoints)).toEqual(['127.0.0.1:80']);
  });
});

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
