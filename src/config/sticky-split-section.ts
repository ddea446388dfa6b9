// The section `stickySplit` of a ResiliencePolicy for routes: a request goes to the same destination of a weighted split
// as those of its sender before, and while weights grow nobody who has moved moves back (istio#1703, istio#33343).
import type { Fields } from './fields.ts';

export interface StickySplitSection {
  readonly kind: 'stickySplit';
  /** Exactly one: a header's name, a cookie, or the peer's identity (its address without one). */
  readonly header: string;
  readonly cookie: { readonly name: string; readonly path: string; readonly ttlMs: number | null } | null;
  readonly isIdentity: boolean;
}

export function readStickySplitSection(fields: Fields): StickySplitSection {
  fields.exclusive('header', 'cookie', 'identity');
  const header = fields.text('header');
  const cookie = fields.object('cookie', (own) => {
    own.refuseUnknown();
    return {
      name: own.requiredText('name', 'add name: visitor or the like'),
      path: own.text('path'),
      ttlMs: own.durationMs('ttl'),
    };
  });
  const isIdentity = fields.flag('identity') === true;
  if (header === '' && !fields.has('cookie') && !isIdentity)
    fields.error('', 'says not what is sticky', 'add header, cookie: { name: visitor, ttl: 720h } or identity: true');
  return { kind: 'stickySplit', header, cookie, isIdentity };
}
