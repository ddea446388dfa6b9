// The kinds that keep somebody out. Of these nothing may be lost by a slip: not by a misspelled kind, and not by a second
// object of the same name.
import type { Kind } from './resource.ts';

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
