// The clusters that a sidecar needs which fetches virtual hosts: its own, those that its listeners and routes name, and those
// that these name in turn (members of fallbacks, services that filters ask).
import type { NamedResources } from '../../xds/resource-change.ts';
import type { EncodedResource } from '../../xds/resource.ts';
import { mentionsOf } from './cluster-mentions.ts';

/** Those of `all` that are `own`, or that something in `users` needs. */
export function usedClusters(
  all: NamedResources,
  own: NamedResources,
  users: readonly NamedResources[],
): NamedResources {
  const used = new Map<string, EncodedResource>(own);
  const wanted = users.flatMap((resources) => [...resources.values()].flatMap((resource) => mentionsOf(resource)));
  for (let name = wanted.pop(); name !== undefined; name = wanted.pop()) {
    const cluster = used.has(name) ? undefined : all.get(name);
    if (cluster === undefined) continue;
    used.set(name, cluster);
    wanted.push(...mentionsOf(cluster));
  }
  return used;
}
