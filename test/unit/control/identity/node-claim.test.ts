// What a node may say of itself, by what it has proved to be.
import { describe, expect, test } from 'vitest';
import { checkClaim } from '../../../../src/control/node-claim.ts';
import type { VerifiedPeer } from '../../../../src/control/verified-peer.ts';

const PEER: VerifiedPeer = {
  id: { trustDomain: 'cluster.local', namespace: 'shop', serviceAccount: 'reviews' },
  by: 'token',
  untilMs: Infinity,
  pod: 'reviews-1',
};

const CASES: readonly (readonly [string, string, Readonly<Record<string, unknown>>, string | null])[] = [
  ['nothing', 'x', {}, null],
  ['its namespace everywhere', 'sidecar~10.0.0.1~reviews-1.shop~d', { NAMESPACE: 'shop' }, null],
  ['its namespace behind a name with dots', 'sidecar~10.0.0.1~reviews.v1.shop~d', {}, null],
  ['another namespace in its id', 'sidecar~10.0.0.1~reviews-1.bank~d', { NAMESPACE: 'shop' }, 'namespace'],
  ['another namespace behind a name with dots', 'sidecar~10.0.0.1~reviews.shop.bank~d', {}, 'namespace'],
  ['another namespace in its metadata', 'sidecar~10.0.0.1~reviews-1.shop~d', { NAMESPACE: 'bank' }, 'namespace'],
  ['its namespace in upper case', 'x', { NAMESPACE: 'Shop' }, 'namespace'],
  ['its account', 'x', { SERVICE_ACCOUNT: 'reviews' }, null],
  ['another account', 'x', { SERVICE_ACCOUNT: 'reviews2' }, 'service_account'],
  ['its pod', 'x', { NAME: 'reviews-1' }, null],
  ['another pod', 'x', { NAME: 'reviews-2' }, 'pod'],
  ['the name of an instance, as our sidecars do', 'x', { NAME: 'reviews-v1-host-7', OUTRIGGER: {} }, null],
];

describe('a node of shop/reviews', () => {
  test.each(CASES)('that says %s (%s, %j) is refused for: %s', (_, id, metadata, reason) => {
    expect(checkClaim({ id, cluster: '', metadata, peer: PEER })?.reason ?? null).toBe(reason);
  });

  test('may say anything while it has proved nothing', () => {
    expect(checkClaim({ id: 'sidecar~a~b.bank~d', cluster: '', metadata: { NAMESPACE: 'x' }, peer: null })).toBe(null);
  });
});
