// Two objects of one kind and name that keep somebody out (security-kind.ts) and do not say the same. Neither may be lost:
// both hold, the later under a name that nobody can write (`NAME~2`). Of two PeerAuthentications only one can hold, so
// plaintext is refused wherever one of them is for. Of other kinds the first is in force.
import { isDeepStrictEqual } from 'node:util';
import { refusedPeerAuthentication } from './peer-authentication.ts';
import type { Resource } from './resource.ts';
import { keepsOut } from './security-kind.ts';

/** True when losing the later of the two could let somebody in. */
export function mustBothHold(first: Resource, later: Resource): boolean {
  return keepsOut(later) && !isSameContent(first, later);
}

/** Without their places: moving a document is no change. */
export function isSameContent(left: Resource, right: Resource): boolean {
  return isDeepStrictEqual(left.meta, right.meta) && isDeepStrictEqual(left.spec, right.spec);
}

/** What is in force of one that shares its name with another. */
export function besideNamesake(resource: Resource): Resource {
  if (resource.kind !== 'PeerAuthentication') return resource;
  return { ...resource, spec: refusedPeerAuthentication(resource.spec) };
}

/** `where` is the place of the first. */
export function namesakeMessage(key: string, where: string): string {
  const isPeer = key.startsWith('PeerAuthentication/');
  const effect = isPeer ? 'until they are one, plaintext is refused for both' : 'both hold';
  return `${key} is already in ${where} and says something else; ${effect}`;
}
