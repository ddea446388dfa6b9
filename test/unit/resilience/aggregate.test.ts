// Aggregate clusters: who takes a request as the health of the members changes, and what is refused. And the
// endpoints that sessions may keep, which no aggregate has.
import type { JsonObject } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import { clusterId } from '../../../src/base/brand.ts';
import { ClusterRef, UNFIT } from '../../../src/plan/cluster.ts';
import { Exchange } from '../../../src/plan/exchange.ts';
import { LiveCluster } from '../../../src/resilience/cluster.ts';
import { pickEndpoint } from '../../../src/resilience/endpoint-pick.ts';
import { memberOf } from '../../../src/sidecar/cluster-choice.ts';
import { aBench, assignmentJson, compiled, lbEndpoint, seeded, settingsOf, started } from './cluster-builders.ts';

const TYPE = 'type.googleapis.com/envoy.extensions.clusters.aggregate.v3.ClusterConfig';
const aggregate = (clusters: readonly string[], extra: JsonObject = {}): JsonObject => ({
  lb_policy: 'CLUSTER_PROVIDED',
  cluster_type: { name: 'envoy.clusters.aggregate', typed_config: { '@type': TYPE, clusters: [...clusters] } },
  ...extra,
});

/** Members by name, each with so many endpoints, and how many of those are out. */
function aMesh(members: Readonly<Record<string, readonly [count: number, out: number]>>) {
  const refs = new Map<string, ClusterRef>();
  const clusterRef = (name: string): ClusterRef => {
    const known = refs.get(name) ?? new ClusterRef(clusterId(name));
    refs.set(name, known);
    return known;
  };
  for (const [name, [count, out]] of Object.entries(members)) {
    const lbEndpoints = Array.from({ length: count }, (_one, index) =>
      lbEndpoint(1000 + index, index < out ? { health_status: 'UNHEALTHY' } : {}),
    );
    const ref = clusterRef(name);
    ref.cluster = started({ name, load_assignment: assignmentJson(lbEndpoints, name) });
  }
  const make = (names: readonly string[], extra: JsonObject = {}): LiveCluster => {
    const settings = settingsOf(aggregate(names, extra));
    const cluster = new LiveCluster(settings, { ...aBench().dependencies, random: seeded(4), clusterRef });
    cluster.start();
    return cluster;
  };
  return { clusterRef, make };
}

function sharesOf(cluster: LiveCluster): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (let index = 0; index < 2000; index++) {
    const name = memberOf(cluster)?.name ?? 'nobody';
    counts[name] = (counts[name] ?? 0) + 1;
  }
  return Object.fromEntries(Object.entries(counts).map(([name, count]) => [name, Math.round(count / 200) * 10]));
}

describe('an aggregate cluster', () => {
  it.each<{
    readonly says: string;
    readonly members: Readonly<Record<string, readonly [number, number]>>;
    readonly names?: readonly string[];
    readonly shares: Readonly<Record<string, number>>;
  }>([
    { says: 'goes to the first while it is well', members: { a: [4, 1], b: [4, 0] }, shares: { a: 100 } },
    { says: 'goes to the second when the first is down', members: { a: [4, 4], b: [4, 0] }, shares: { b: 100 } },
    { says: 'spills over what the first cannot take', members: { a: [2, 1], b: [4, 0] }, shares: { a: 70, b: 30 } },
    { says: 'passes by what has no endpoints', members: { a: [0, 0], b: [1, 0] }, shares: { b: 100 } },
    { says: 'passes by what does not exist', members: { b: [1, 0] }, shares: { b: 100 } },
    { says: 'shares by number when all are down', members: { a: [1, 1], b: [1, 1] }, shares: { a: 50, b: 50 } },
    { says: 'has nobody when nobody is there', members: {}, shares: { nobody: 100 } },
  ])('$says', ({ members, names = ['a', 'b'], shares }) => {
    expect(sharesOf(aMesh(members).make(names))).toEqual(shares);
  });

  it('follows the health of its members, and counts who fell back', () => {
    const { make, clusterRef } = aMesh({ a: [1, 0], b: [1, 0] });
    const both = make(['a', 'b']);
    const first = clusterRef('a').cluster;
    const endpoint = first?.endpoints[0];
    expect(sharesOf(both)).toEqual({ a: 100 });
    if (first instanceof LiveCluster && endpoint !== undefined) first.setUnfit(endpoint, UNFIT.EJECTED, true);
    expect([sharesOf(both), both.aggregate?.fallbacksTotal]).toEqual([{ b: 100 }, 2000]);
    if (first instanceof LiveCluster && endpoint !== undefined) first.setUnfit(endpoint, UNFIT.EJECTED, false);
    expect(sharesOf(both)).toEqual({ a: 100 });
  });

  it('may stand inside of another, and never goes round in circles', () => {
    const { make, clusterRef } = aMesh({ a: [1, 1], b: [1, 0] });
    const inner = make(['a', 'b']);
    clusterRef('inner').cluster = inner;
    expect(sharesOf(make(['a', 'inner']))).toEqual({ b: 100 });
    clusterRef('loop').cluster = make(['loop2']);
    clusterRef('loop2').cluster = make(['loop']);
    expect(sharesOf(make(['loop']))).toEqual({ nobody: 100 });
  });

  it('has no endpoints of its own', () => {
    const cluster = aMesh({ a: [1, 0] }).make(['a']);
    expect([cluster.isWarm, cluster.endpoints, cluster.picker.pick(null)]).toEqual([true, [], null]);
  });

  it.each([
    { says: 'no member', json: aggregate([]), at: 'cluster_type.typed_config.clusters' },
    { says: 'itself', json: aggregate(['c']), at: 'cluster_type.typed_config.clusters' },
    { says: 'a balancer', json: aggregate(['a'], { lb_policy: 'RANDOM' }), at: 'lb_policy' },
    { says: 'another type', json: { cluster_type: { name: 'envoy.clusters.redis' } }, at: 'cluster_type' },
  ])('refuses $says', ({ json, at }) => {
    const { settings, problems } = compiled(json);
    expect([settings, problems.map(({ path }) => path)]).toEqual([null, [`clusters[0].${at}`]]);
  });
});

const health = (status: string): JsonObject => ({ health_status: status });

describe('a session', () => {
  const given: JsonObject = {
    load_assignment: assignmentJson([
      lbEndpoint(1),
      lbEndpoint(2, health('DEGRADED')),
      lbEndpoint(3, health('DRAINING')),
      lbEndpoint(4, health('UNHEALTHY')),
      lbEndpoint(5),
    ]),
  };

  it.each<{
    readonly says: string;
    readonly port: number;
    readonly statuses?: readonly string[];
    readonly keeps: boolean;
  }>([
    { says: 'keeps a healthy endpoint', port: 1, keeps: true },
    { says: 'keeps a degraded one', port: 2, keeps: true },
    { says: 'loses one that drains', port: 3, keeps: false },
    { says: 'loses an unhealthy one', port: 4, keeps: false },
    { says: 'loses one that was ejected', port: 5, keeps: false },
    { says: 'loses one that is gone', port: 9, keeps: false },
    { says: 'keeps one that drains where that is allowed', port: 3, statuses: ['DRAINING'], keeps: true },
    { says: 'keeps only what is allowed', port: 1, statuses: ['DRAINING'], keeps: false },
    { says: 'keeps nothing where nothing is allowed', port: 1, statuses: [], keeps: false },
  ])('$says', ({ port, statuses, keeps }) => {
    const allowed: JsonObject =
      statuses === undefined ? {} : { common_lb_config: { override_host_status: { statuses: [...statuses] } } };
    const cluster = started({ ...given, ...allowed });
    const ejected = cluster.endpoints[4];
    if (ejected !== undefined) cluster.setUnfit(ejected, UNFIT.EJECTED, true);
    const x = new Exchange();
    x.sessionEndpoint = `127.0.0.1:${port}`;
    x.isSessionStrict = true;
    expect(pickEndpoint(cluster, x)?.port ?? null).toBe(keeps ? port : null);
    x.isSessionStrict = false;
    expect(pickEndpoint(cluster, x)).not.toBeNull();
    // A retry goes where the balancer says.
    x.attempts = 1;
    x.sessionEndpoint = '127.0.0.1:9';
    x.isSessionStrict = true;
    expect(pickEndpoint(cluster, x)).not.toBeNull();
  });
});
