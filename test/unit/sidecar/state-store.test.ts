// The references that routes hold to clusters: there for as long as somebody has them, and no longer.
import { setTimeout as sleep } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import { systemClock } from '../../../src/base/clock.ts';
import { silentLog } from '../../../src/base/log.ts';
import { TimerWheel } from '../../../src/base/timer-wheel.ts';
import type { ClusterRef } from '../../../src/plan/cluster.ts';
import { createNodeResolver } from '../../../src/resilience/resolver.ts';
import { compileClusterSettings } from '../../../src/sidecar/compile.ts';
import { StateStore } from '../../../src/sidecar/state-store.ts';
import { PoolRegistry } from '../../../src/sidecar/upstream-pool.ts';
import { anExchange, begin, compileTable } from '../routing/routing-table.ts';
import { oneHost } from '../routing/routing-case.ts';
import { aCluster, aClusterJson, aContext } from './manager-builders.ts';

const MEBIBYTE = 1024 * 1024;

setFlagsFromString('--expose-gc');
const collect: unknown = runInNewContext('gc');

/** The bytes that are in use, once what nobody has is gone and the news of it has been heard. */
async function bytesInUse(): Promise<number> {
  for (let round = 0; round < 3; round++) {
    if (typeof collect === 'function') collect();
    await sleep(1);
  }
  return process.memoryUsage().heapUsed;
}

function aStore(): StateStore {
  const clock = systemClock;
  const pools = new PoolRegistry(clock, new TimerWheel(clock));
  return new StateStore({ clock, random: Math.random, resolver: createNodeResolver(), log: silentLog }, pools);
}

function put(store: StateStore, name: string): void {
  const { value } = compileClusterSettings(aCluster(aClusterJson(name, 1234)), aContext());
  if (value !== null) store.put(value);
}

test('names that only requests know leave nothing behind', async () => {
  const store = aStore();
  const before = await bytesInUse();
  for (let i = 0; i < 100_000; i++) store.ref(`invented-${i}-${'x'.repeat(200)}`);
  expect((await bytesInUse()) - before).toBeLessThan(4 * MEBIBYTE);
  expect(store.ref('invented-1').cluster).toBe(null);
});

test('a route by cluster_header keeps no name that no cluster has', async () => {
  const store = aStore();
  put(store, 'web');
  const config = oneHost({ match: { prefix: '/' }, route: { clusterHeader: 'x-cluster' } });
  const { table } = compileTable(config, { clusterRef: store.ref });
  const ask = (name: string): string | undefined => {
    const x = anExchange(`GET h / | x-cluster: ${name}`);
    if (table !== null) begin(table, x);
    return x.cluster?.cluster?.name;
  };
  expect([ask('web'), ask('invented')]).toEqual(['web', undefined]);
  const before = await bytesInUse();
  for (let i = 0; i < 1000; i++) ask(`invented-${i}-${'x'.repeat(10_000)}`);
  expect((await bytesInUse()) - before).toBeLessThan(2 * MEBIBYTE);
  put(store, 'invented');
  expect(ask('invented')).toBe('invented');
});

test('a cluster is found by its name although nobody had its reference for a while', async () => {
  const store = aStore();
  put(store, 'web');
  await bytesInUse();
  expect(store.ref('web').cluster?.name).toBe('web');
});

test('a route that has a reference sees its cluster come, go and come again', async () => {
  const store = aStore();
  const ref: ClusterRef = store.ref('web');
  const seen: (string | undefined)[] = [];
  for (const step of ['put', 'remove', 'put']) {
    await bytesInUse();
    if (step === 'put') put(store, 'web');
    else store.remove('web');
    seen.push(ref.cluster?.name);
  }
  expect(seen).toEqual(['web', undefined, 'web']);
});
