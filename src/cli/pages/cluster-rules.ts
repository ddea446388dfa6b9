// Everything of a cluster that the mesh is made of, read once, through the readers that the control service has. Kinds that
// are not served count as empty; those that we may not read are named, because what is found without them is a guess.
import { parseObject, type ParsedFile } from '../../config/parse.ts';
import { resourceKey } from '../../config/resource.ts';
import { objectName, shownObject, shownPod } from '../../control/kubernetes/object-text.ts';
import { watchedKinds, type WatchedKind } from '../../control/kubernetes/watched-kinds.ts';
import { resourceName } from '../../kube/kind-path.ts';
import { formatFailure } from '../../kube/kube-answer.ts';
import { KNOWN_KINDS } from '../../kube/known-kinds.ts';
import type { Cluster } from '../kube-flags.ts';

export type ClusterRules =
  | {
      readonly kind: 'done';
      readonly rules: readonly (readonly [string, ParsedFile])[];
      /** Kinds that we may not list, and why. */
      readonly skipped: readonly string[];
    }
  | { readonly kind: 'failed'; readonly message: string };

const FORBIDDEN = 403;
const NOT_FOUND = 404;

/** `replaced`: keys of objects that are left out, because something else stands in for them. */
export async function readClusterRules(
  { client, namespace }: Cluster,
  replaced: ReadonlySet<string>,
): Promise<ClusterRules> {
  const rules: (readonly [string, ParsedFile])[] = [];
  const skipped: string[] = [];
  const pods: WatchedKind = { kind: KNOWN_KINDS.pod, selection: {}, otherVersions: [], isRule: false };
  for (const watched of [...watchedKinds(namespace), pods]) {
    const { kind } = watched;
    const listed = await listServed(client, watched);
    if (listed.kind === 'failed') {
      const { failure } = listed;
      if (failure.status === NOT_FOUND) continue;
      if (failure.status !== FORBIDDEN) return { kind: 'failed', message: formatFailure(failure) };
      skipped.push(`${resourceName(kind)}: ${formatFailure(failure)}`);
      continue;
    }
    for (const object of listed.value.items) {
      if (replaced.has(resourceKey(kind.kind, object.metadata))) continue;
      const name = objectName(object);
      rules.push([name, parseObject(name, kind === KNOWN_KINDS.pod ? shownPod(object, '') : shownObject(object))]);
    }
  }
  return { kind: 'done', rules, skipped };
}

/** In the version that is served. */
async function listServed(
  client: Cluster['client'],
  { kind, selection, otherVersions }: WatchedKind,
): ReturnType<Cluster['client']['list']> {
  let listed = await client.list(kind, selection);
  for (const version of otherVersions) {
    if (listed.kind === 'done' || listed.failure.status !== NOT_FOUND) break;
    listed = await client.list({ ...kind, version }, selection);
  }
  return listed;
}
