// What an API server serves: whether a kind is there at all, and which kinds there are. The difference between "there is
// none of it" and "there is no such kind" matters: a CRD may come later, or go.
import { listOf, recordOf, textOf, textsOf } from './json-record.ts';
import { done, ownFailure, type KubeAnswer } from './kube-answer.ts';
import { apiVersionOf, groupPath, type KubeKind } from './kind-path.ts';
import type { KubeClient } from './client.ts';

type Caller = Pick<KubeClient, 'call'>;

export interface ServedKind extends KubeKind {
  /** `get`, `list`, `watch`, `patch` …. */
  readonly verbs: readonly string[];
  readonly shortNames: readonly string[];
  readonly categories: readonly string[];
  readonly hasStatus: boolean;
}

/** Only a server that knows its groups can say no: a 404 of something in between is a failure. */
export async function isServed(client: Caller, kind: KubeKind): Promise<KubeAnswer<boolean>> {
  const answer = await servedVersion(client, kind, [kind.version]);
  return answer.kind === 'failed' ? answer : done(answer.value !== null);
}

/** The first of the versions in which the kind is served; null: it is in none of them. */
export async function servedVersion(
  client: Caller,
  kind: KubeKind,
  versions: readonly string[],
): Promise<KubeAnswer<string | null>> {
  const there = kind.group === '' ? done(versions) : await versionsOf(client, kind.group);
  if (there.kind === 'failed') return there;
  for (const version of versions) {
    if (!there.value.includes(version)) continue;
    const answer = await servedOf(client, { ...kind, version });
    if (answer.kind === 'failed') return answer;
    if (answer.value.some(({ plural }) => plural === kind.plural)) return done(version);
  }
  return done(null);
}

async function versionsOf(client: Caller, group: string): Promise<KubeAnswer<readonly string[]>> {
  const answer = await client.call({ method: 'GET', path: '/apis' });
  if (answer.kind === 'failed') return answer;
  const { kind: name, groups } = recordOf(answer.value);
  if (name !== 'APIGroupList') return ownFailure('Malformed', 'the answer is no list of groups');
  const found = listOf(groups)
    .map(recordOf)
    .find((entry) => entry['name'] === group);
  return done(listOf(found?.['versions']).map((entry) => textOf(recordOf(entry)['version'])));
}

/** The kinds of one group and version, as the server lists them. */
async function servedOf(client: Caller, kind: KubeKind): Promise<KubeAnswer<readonly ServedKind[]>> {
  const answer = await client.call({ method: 'GET', path: groupPath(kind) });
  if (answer.kind === 'failed') return answer;
  const { kind: name, resources } = recordOf(answer.value);
  if (name !== 'APIResourceList') return ownFailure('Malformed', 'the answer is no list of resources');
  return done(readResources(listOf(resources), kind));
}

/** All kinds in all versions that are served, without subresources. A group that fails is left out, not the others. */
export async function servedKinds(client: Caller): Promise<KubeAnswer<readonly ServedKind[]>> {
  const answer = await client.call({ method: 'GET', path: '/apis' });
  if (answer.kind === 'failed') return answer;
  const { kind: name, groups } = recordOf(answer.value);
  if (name !== 'APIGroupList') return ownFailure('Malformed', 'the answer is no list of groups');
  const versions: { readonly group: string; readonly version: string }[] = [{ group: '', version: 'v1' }];
  for (const entry of listOf(groups)) {
    const group = recordOf(entry);
    for (const item of listOf(group['versions']))
      versions.push({ group: textOf(group['name']), version: textOf(recordOf(item)['version']) });
  }
  const found: ServedKind[] = [];
  const answers = await Promise.all(
    versions.map(async (place) => await servedOf(client, { ...place, kind: '', plural: '', isNamespaced: false })),
  );
  for (const served of answers) if (served.kind === 'done') found.push(...served.value);
  return done(found);
}

/** By what a manifest says; null: no such kind is served. */
export function findKind(served: readonly ServedKind[], apiVersion: string, kind: string): ServedKind | null {
  return served.find((entry) => entry.kind === kind && apiVersionOf(entry) === apiVersion) ?? null;
}

function readResources(
  resources: readonly unknown[],
  place: { readonly group: string; readonly version: string },
): readonly ServedKind[] {
  const entries = resources.map((entry) => recordOf(entry));
  const names = new Set(entries.map((entry) => textOf(entry['name'])));
  return entries
    .filter((entry) => textOf(entry['name']) !== '' && !textOf(entry['name']).includes('/'))
    .map((entry) => ({
      group: place.group,
      version: place.version,
      kind: textOf(entry['kind']),
      plural: textOf(entry['name']),
      isNamespaced: entry['namespaced'] === true,
      verbs: textsOf(entry['verbs']),
      shortNames: textsOf(entry['shortNames']),
      categories: textsOf(entry['categories']),
      hasStatus: names.has(`${textOf(entry['name'])}/status`),
    }));
}

/** The second number of its version: 36 of 1.36; the servers of some clouds write `36+`. */
export async function minorVersion(client: Caller): Promise<KubeAnswer<number>> {
  const answer = await client.call({ method: 'GET', path: '/version' });
  if (answer.kind === 'failed') return answer;
  const { major, minor } = recordOf(answer.value);
  const read = /^(\d+)\+?$/.exec(textOf(minor));
  if (major !== '1' || read === null) return ownFailure('Malformed', 'the answer names no version 1.n');
  return done(Number(read[1]));
}
