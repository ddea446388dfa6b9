// All objects of a cluster, to compare what there was before something with what there is after it; Events and Leases of
// others, which come and go by themselves, are left out.
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import type { KubeClient } from '../../src/kube/client.ts';
import { servedKinds } from '../../src/kube/discovery.ts';
import { resourceName } from '../../src/kube/kind-path.ts';

const RESTLESS = new Set(['events', 'events.events.k8s.io', 'leases.coordination.k8s.io', 'componentstatuses']);

const LOOK_MS = 500;
/** So often in a row nothing has changed. */
const LOOKS = 6;
const WAIT_MS = 20_000;

/** Of a cluster that has just begun: its controllers make what every cluster has, for some seconds. */
export async function settledObjects(client: KubeClient): Promise<readonly string[]> {
  let objects = await clusterObjects(client);
  for (let same = 0; same < LOOKS; same++) {
    await sleep(LOOK_MS);
    const next = await clusterObjects(client);
    if (next.join() !== objects.join()) same = -1;
    objects = next;
  }
  return objects;
}

/** What belongs to what was removed goes a moment later: a server's groups, the revisions of a set. */
export async function expectObjects(client: KubeClient, objects: readonly string[]): Promise<void> {
  const deadlineMs = performance.now() + WAIT_MS;
  let found = await clusterObjects(client);
  while (found.join() !== objects.join() && performance.now() < deadlineMs) {
    await sleep(LOOK_MS);
    found = await clusterObjects(client);
  }
  expect(found).toEqual(objects);
}

/** Lines such as `configmaps default/kube-root-ca.crt`, sorted. */
export async function clusterObjects(client: KubeClient): Promise<readonly string[]> {
  const served = await servedKinds(client);
  if (served.kind === 'failed') throw new Error(served.failure.message);
  const lines = new Set<string>();
  for (const kind of served.value) {
    if (!kind.verbs.includes('list') || RESTLESS.has(resourceName(kind))) continue;
    const listed = await client.list(kind);
    if (listed.kind === 'failed') throw new Error(`${kind.plural}: ${listed.failure.message}`);
    for (const { metadata } of listed.value.items)
      lines.add(`${resourceName(kind)} ${metadata.namespace}/${metadata.name}`);
  }
  return [...lines].toSorted();
}
