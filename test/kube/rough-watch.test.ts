// A reflector over a bad network to a real API server that is compacted, killed and started again, while objects change:
// at the end it knows exactly what a list says, it was told of every object that is gone, and nothing was told out of order.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { systemClock } from '../../src/base/clock.ts';
import { silentLog } from '../../src/base/log.ts';
import { KubeClient } from '../../src/kube/client.ts';
import { keyOf, type KubeObject } from '../../src/kube/kube-object.ts';
import { KNOWN_KINDS } from '../../src/kube/known-kinds.ts';
import { Reflector } from '../../src/kube/reflector.ts';
import { until } from '../support/until.ts';
import { ApiServer } from './api-server.ts';
import { RoughNetwork } from './rough-network.ts';

const { configMap } = KNOWN_KINDS;
const shown = (object: KubeObject): string => JSON.stringify([object.metadata.uid, object['data']]);

let kube: ApiServer;
let network: RoughNetwork;
let direct: KubeClient;
let client: KubeClient;
let reflector: Reflector<string>;
/** What somebody knows who only listens. */
const mirror = new Map<string, string>();
const faults: string[] = [];

beforeAll(async () => {
  kube = await ApiServer.start();
  network = await RoughNetwork.start(kube.port);
  direct = new KubeClient({ access: kube.access() });
  client = new KubeClient({ access: { ...kube.access(), url: network.url } });
  reflector = new Reflector<string>({
    client,
    kind: configMap,
    namespace: 'default',
    keep: shown,
    onChange: ({ key, old, next }) => {
      if ((mirror.get(key) ?? null) !== old) faults.push(`${key}: told of ${old}, knew ${mirror.get(key)}`);
      if (next === null) mirror.delete(key);
      else mirror.set(key, next);
    },
    log: silentLog,
    clock: systemClock,
    timing: { backoffMaxMs: 1000 },
  });
  reflector.start();
  await until('synced', () => reflector.isSynced);
});
afterAll(async () => {
  await reflector?.stop();
  await Promise.all([client?.close(), direct?.close()]);
  await network?.stop();
  await kube?.stop();
});

let step = 0;

/** Makes, changes and removes some of forty objects; deterministic. */
async function change(count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    step++;
    const name = `o${(step * 7) % 40}`;
    const isRemoval = step % 5 === 0;
    if (isRemoval) await direct.remove(configMap, { namespace: 'default', name });
    else {
      const draft = { metadata: { name, namespace: 'default' }, data: { step: String(step) } };
      const applied = await direct.apply(configMap, draft, { fieldManager: 'test' });
      expect(applied.kind).toBe('done');
    }
  }
}

async function dump(): Promise<Readonly<Record<string, string>>> {
  const listed = await direct.list(configMap, { namespace: 'default' });
  if (listed.kind === 'failed') throw new Error(listed.failure.message);
  return Object.fromEntries(listed.value.items.map((item) => [keyOf(item.metadata), shown(item)]));
}

const sorted = (record: Iterable<readonly [string, string]>): string =>
  JSON.stringify([...record].toSorted(([left], [right]) => left.localeCompare(right)));

/** The same as a list, for the reflector and for who only listens. */
async function same(timeoutMs = 10_000): Promise<void> {
  const wanted = await dump();
  const list = sorted(Object.entries(wanted));
  await until('the same as a list', () => sorted(reflector.objects) === list, timeoutMs);
  expect(Object.fromEntries(mirror)).toEqual(wanted);
  expect(faults).toEqual([]);
}

test('resets every half second lose nothing and need no list', async () => {
  const before = reflector.counters();
  network.cutEvery(500);
  const sinceMs = performance.now();
  while (performance.now() - sinceMs < 4000) await change(20);
  network.calm();
  await same();
  const after = reflector.counters();
  expect(after.resumes - before.resumes).toBeGreaterThanOrEqual(5);
  expect(after.lists).toBe(before.lists);
});

test('after a compaction, with all that was missed forgotten, it is listed again', async () => {
  network.isBlocked = true;
  network.cut();
  await change(60);
  // The restart empties the cache of the API server, which would still know what etcd does not.
  await kube.halt();
  await kube.compact();
  await kube.resume();
  await change(30);
  network.calm();
  await same();
  expect(reflector.counters().failures['Expired']).toBeGreaterThanOrEqual(1);
});

test('a server that was away is found again', async () => {
  await change(20);
  await same();
  await kube.halt();
  await until(
    'unreachable',
    () => (reflector.counters().failures['Unreachable'] ?? 0) + (reflector.counters().failures['Closed'] ?? 0) >= 3,
  );
  expect([reflector.isSynced, reflector.objects.size > 10]).toEqual([true, true]);
  await kube.resume();
  await change(40);
  await same();
  expect(reflector.complaint).toBe('');
});
