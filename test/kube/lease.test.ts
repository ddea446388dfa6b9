// Two processes and one lease of a real API server.
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { KubeClient } from '../../src/kube/client.ts';
import { recordOf } from '../../src/kube/json-record.ts';
import { KNOWN_KINDS } from '../../src/kube/known-kinds.ts';
import { startChild, type Child } from '../support/child.ts';
import { PROJECT_ROOT } from '../support/real-parts.ts';
import { until } from '../support/until.ts';
import { ApiServer } from './api-server.ts';

const LEASE_MS = 3000;

let kube: ApiServer;
let client: KubeClient;
let children: Child[] = [];
beforeAll(async () => {
  kube = await ApiServer.start();
  client = new KubeClient({ access: kube.access() });
});
afterAll(async () => {
  await Promise.all(children.map(async (child) => await child.stop()));
  await client?.close();
  await kube?.stop();
});

function elect(identity: string): Child {
  const script = join(PROJECT_ROOT, 'test/kube/elector-process.ts');
  const child = startChild(process.execPath, [script, join(kube.folder, 'kubeconfig'), identity, String(LEASE_MS)]);
  children.push(child);
  return child;
}

const says = (child: Child, word: string) => async () =>
  await until(`${child.pid} ${word}\n${child.output()}`, () => child.stdout().includes(word));

async function lease(): Promise<Readonly<Record<string, unknown>>> {
  const got = await client.get(KNOWN_KINDS.lease, { namespace: 'default', name: 'leader' });
  return got.kind === 'done' ? recordOf(got.value['spec']) : {};
}

/** Whoever holds the lease has renewed it for so long. */
async function renewedFor(ms: number): Promise<void> {
  const sinceMs = Date.now();
  await until('renewed', async () => Date.parse(String((await lease())['renewTime'])) > sinceMs + ms);
}

test('the duty of a leader that is killed passes to another within the time of the lease', async () => {
  const first = elect('first');
  await says(first, 'started')();
  const second = elect('second');
  await renewedFor(LEASE_MS);
  expect(second.stdout()).toBe('');
  first.kill('SIGKILL');
  const sinceMs = performance.now();
  await says(second, 'started')();
  expect(performance.now() - sinceMs).toBeLessThan(LEASE_MS * 1.3);
  expect(await lease()).toMatchObject({ holderIdentity: 'second', leaseTransitions: 1 });

  // One that ends in order gives it back, and nobody waits.
  const third = elect('third');
  await renewedFor(LEASE_MS / 2);
  second.kill('SIGTERM');
  const endedMs = performance.now();
  await says(third, 'started')();
  expect(performance.now() - endedMs).toBeLessThan(LEASE_MS / 2);
  expect(await second.exited).toBe(0);
  expect(second.stdout()).toBe('started\nstopped\n');
});
