// What a node may say of its addresses, by what is known of Pods.
import { expect, test } from 'vitest';
import { checkPods, type KnownPod, type KnownPods } from '../../../../src/control/known-pods.ts';
import type { VerifiedPeer } from '../../../../src/control/verified-peer.ts';

const podOf = (name: string, ...addresses: readonly string[]): KnownPod => ({
  namespace: 'shop',
  name,
  uid: `uid-${name}`,
  serviceAccount: name.split('-')[0] ?? '',
  addresses,
  isOnNode: name.startsWith('agent'),
});

const PODS = [
  podOf('reviews-1', '10.0.0.1', 'fd00::1'),
  podOf('reviews-2', '10.0.0.2'),
  podOf('ratings-1', '10.0.0.3'),
  podOf('reviews-3'),
  podOf('agent-1', '192.168.0.1'),
];

const KNOWN: KnownPods = {
  at: (address) => PODS.filter(({ addresses }) => addresses.includes(address)),
  named: (namespace, name) => PODS.find((pod) => pod.namespace === namespace && pod.name === name) ?? null,
};

const peer = (pod: string, podUid = `uid-${pod}`): VerifiedPeer => ({
  id: { trustDomain: 'cluster.local', namespace: 'shop', serviceAccount: 'reviews' },
  by: pod === '' ? 'certificate' : 'token',
  untilMs: Infinity,
  pod,
  ...(pod === '' ? {} : { podUid }),
});

const BOUND = peer('reviews-1');
const UNBOUND = peer('');

const CASES: readonly (readonly [string, VerifiedPeer | null, string, boolean])[] = [
  ['its address', BOUND, '10.0.0.1', true],
  ['all of its addresses', BOUND, '10.0.0.1,fd00::1', true],
  ['its address and one of another network', BOUND, '10.0.0.1, 172.16.0.9', true],
  ['nothing', BOUND, '', true],
  ['an address of no pod', BOUND, '172.16.0.9', false],
  ['the address of another pod of its account', BOUND, '10.0.0.2', false],
  ['its address and that of another pod', BOUND, '10.0.0.1,10.0.0.2', false],
  ['the address of a node', BOUND, '192.168.0.1', false],
  ['an address while its own is not known', peer('reviews-3'), '10.0.0.9', true],
  ['the address of another pod while its own is not known', peer('reviews-3'), '10.0.0.1', false],
  ['an address while its pod is not known', peer('reviews-9'), '10.0.0.9', true],
  ['an address while a former pod of its name is known', peer('reviews-1', 'uid-new'), '10.0.0.9', true],
  ['with a certificate, the address of a pod of its account', UNBOUND, '10.0.0.2', true],
  ['with a certificate, the address of a pod of another account', UNBOUND, '10.0.0.3', false],
  ['with a certificate, an address of no pod', UNBOUND, '172.16.0.9', true],
  ['with a certificate, the address of a node', UNBOUND, '192.168.0.1', true],
  ['without a proof, the address of a pod', null, '10.0.0.3', true],
];

test.each(CASES)('a node says %s', (_, who, said, isTaken) => {
  for (const [id, metadata] of [
    ['sidecar~~reviews.shop~d', { INSTANCE_IPS: said }],
    [`sidecar~${said}~reviews.shop~d`, {}],
  ] as const) {
    const refused = checkPods({ id, cluster: '', metadata, peer: who }, KNOWN);
    expect(refused?.reason ?? null).toBe(isTaken ? null : 'pod');
  }
});
