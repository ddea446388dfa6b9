// A live cluster over static and EDS discovery: when it is warm, what it keeps when endpoints or
// settings change, and what it tells as removed.
// Names are for dns-cluster.test.ts.
import { describe, expect, it } from 'vitest';
import { UNFIT, type Endpoint } from '../../../src/plan/cluster.ts';
import { LiveCluster } from '../../../src/resilience/cluster.ts';
import {
  aBench,
  anAssignment,
  assignmentJson,
  authorities,
  lbEndpoint,
  removals,
  settingsOf,
  started,
} from './cluster-builders.ts';

const EDS = { type: 'EDS', eds_cluster_config: { eds_config: { ads: {} } } };

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
    if (first !== undefined) first.unfit = UNFIT.EJECTED;
    cluster.refresh();
    expect(picks()).toEqual(new Set([second]));
    if (first !== undefined) first.unfit = 0;
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
