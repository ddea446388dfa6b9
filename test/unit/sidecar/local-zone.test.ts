// Zone aware routing from the bootstrap's local cluster: a cluster divides its traffic anew when the number of
// sidecars in a zone changes, and has no favourite before it knows them.
import type { JsonObject } from '@bufbuild/protobuf';
import { expect, it } from 'vitest';
import { TimerWheel } from '../../../src/base/timer-wheel.ts';
import { homeOf, StateStore } from '../../../src/sidecar/state-store.ts';
import { PoolRegistry } from '../../../src/sidecar/upstream-pool.ts';
import { aBench, lbEndpoint, seeded, settingsOf } from '../resilience/cluster-builders.ts';
import { aBootstrap } from './manager-builders.ts';

function zones(name: string, counts: Readonly<Record<string, number>>): JsonObject {
  const endpoints = Object.entries(counts).map(([zone, count], place) => ({
    locality: { zone },
    lb_endpoints: Array.from({ length: count }, (_one, index) => lbEndpoint(1000 * (place + 1) + index)),
  }));
  return { name, load_assignment: { cluster_name: name, endpoints } };
}

it('keeps in its zone what that can take, as the sidecars there come and go', () => {
  const bench = aBench();
  const { clock } = bench.dependencies;
  const pools = new PoolRegistry(clock, new TimerWheel(clock, 10));
  const bootstrap = aBootstrap({
    node: { id: 'n', locality: { zone: 'a' } },
    cluster_manager: { local_cluster_name: 'self' },
  });
  const store = new StateStore({ ...bench.dependencies, random: seeded(9) }, pools, homeOf(bootstrap));
  const common = { common_lb_config: { zone_aware_lb_config: {} } };
  const cluster = store.put(settingsOf({ ...zones('web', { a: 3, b: 7 }), ...common }));
  const inZone = (): number => {
    const picked = Array.from({ length: 2000 }, () => cluster.picker.pick(null)?.locality.zone);
    return Math.round(picked.filter((zone) => zone === 'a').length / 200) * 10;
  };
  const found = [inZone()];
  for (const counts of [{ a: 3, b: 7 }, { a: 3, b: 2 }, { b: 2 }]) {
    store.put(settingsOf(zones('self', counts)));
    found.push(inZone());
  }
  store.close();
  // Not known: by endpoints. As many sidecars as endpoints in the zone: all stays. Twice as many: half of it. None: all
  // of what comes from here may stay.
  expect(found).toEqual([30, 100, 50, 100]);
});
