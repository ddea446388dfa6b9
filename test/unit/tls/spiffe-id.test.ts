// The ids that are taken for a workload's, and the near misses that are not.
import { describe, expect, it } from 'vitest';
import { readSpiffeId, spiffeId } from '../../../src/tls/spiffe-id.ts';

const BOOKINFO = { trustDomain: 'cluster.local', namespace: 'bookinfo', serviceAccount: 'reviews.v1' };

describe('a SPIFFE id', () => {
  it('is written and read back', () => {
    expect(spiffeId(BOOKINFO)).toBe('spiffe://cluster.local/ns/bookinfo/sa/reviews.v1');
    expect(readSpiffeId('spiffe://cluster.local/ns/bookinfo/sa/reviews.v1')).toEqual(BOOKINFO);
  });

  it.each([
    ['another scheme', 'https://cluster.local/ns/a/sa/b'],
    ['upper case in the trust domain', 'spiffe://Cluster.local/ns/a/sa/b'],
    ['upper case in the scheme', 'SPIFFE://cluster.local/ns/a/sa/b'],
    ['a port', 'spiffe://cluster.local:80/ns/a/sa/b'],
    ['user information', 'spiffe://x@cluster.local/ns/a/sa/b'],
    ['a query', 'spiffe://cluster.local/ns/a/sa/b?c'],
    ['a fragment', 'spiffe://cluster.local/ns/a/sa/b#c'],
    ['an escape', 'spiffe://cluster.local/ns/a/sa/%62'],
    ['an empty segment', 'spiffe://cluster.local/ns//sa/b'],
    ['a dot segment', 'spiffe://cluster.local/ns/../sa/b'],
    ['a slash at the end', 'spiffe://cluster.local/ns/a/sa/b/'],
    ['one segment more', 'spiffe://cluster.local/ns/a/sa/b/c'],
    ['no trust domain', 'spiffe:///ns/a/sa/b'],
    ['a NUL', 'spiffe://cluster.local/ns/a/sa/b\0'],
    ['a line end', 'spiffe://cluster.local/ns/a/sa/b\n'],
    ['more than 2048 bytes', `spiffe://cluster.local/ns/a/sa/${'b'.repeat(2048)}`],
  ])('is not read from a URI with %s', (_what, uri) => {
    expect(readSpiffeId(uri)).toBeNull();
  });

  it('is not made of what is no name', () => {
    expect(spiffeId({ ...BOOKINFO, serviceAccount: 'a/b' })).toBeNull();
    expect(spiffeId({ ...BOOKINFO, trustDomain: '' })).toBeNull();
  });
});
