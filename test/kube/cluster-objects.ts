// All objects of a cluster, to compare what there was before something with what there is after it; Events and Leases of
// others, which come and go by themselves, are left out.
import type { KubeClient } from '../../src/kube/client.ts';
import { servedKinds } from '../../src/kube/discovery.ts';
import { resourceName } from '../../src/kube/kind-path.ts';

const RESTLESS = new Set(['events', 'events.events.k8s.io', 'leases.coordination.k8s.io', 'componentstatuses']);

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
