// The kinds that keep somebody out. Of these nothing may be lost by a slip: not by a misspelled kind, and not by a second
// object of the same name.
import type { Kind, Resource } from './resource.ts';

export type SecurityKind = Extract<
  Kind,
  'AuthorizationPolicy' | 'RequestAuthentication' | 'PeerAuthentication' | 'RateLimitPolicy'
>;

export const SECURITY_KINDS: ReadonlySet<string> = new Set<SecurityKind>([
  'AuthorizationPolicy',
  'RequestAuthentication',
  'PeerAuthentication',
  'RateLimitPolicy',
]);

/** Those, and EnvoyFilters that put in a filter which keeps somebody out. */
export function keepsOut(resource: Resource): boolean {
  return SECURITY_KINDS.has(resource.kind) || (resource.kind === 'EnvoyFilter' && resource.spec.guards.length > 0);
}
