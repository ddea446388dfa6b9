// What a source knows of Pods, and whether a node may be the one that it says it is. A token of a Pod is for that Pod's
// addresses, and an address of a Pod is for those who run as it does. Addresses that belong to no Pod are nobody's to
// deny: sidecars outside of Kubernetes have them, and further networks of Pods. A Pod whose address is not known yet
// denies nothing, and joins as no workload but itself.
import { refusal, type Refusal } from './authentication/refusal.ts';
import type { NodeInfo } from './flow.ts';
import { accountOf, type VerifiedPeer } from './verified-peer.ts';

export interface KnownPod {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly serviceAccount: string;
  readonly addresses: readonly string[];
  /** It has the addresses of its Node, which others there have as well. */
  readonly isOnNode: boolean;
}

export interface KnownPods {
  /** Those that have the address. */
  at(address: string): readonly KnownPod[];
  /** Null: not known, or not any more. */
  named(namespace: string, name: string): KnownPod | null;
}

/** Null when no Pod contradicts what the node says. */
export function checkPods({ id, metadata, peer = null }: NodeInfo, pods: KnownPods): Refusal | null {
  if (peer === null) return null;
  const [, idAddress = ''] = id.split('~');
  const said = metadata['INSTANCE_IPS'];
  const text = typeof said === 'string' && said !== '' ? said : idAddress;
  const addresses = text.split(',').map((address) => address.trim());
  const [first = ''] = addresses;
  const own = peer.pod === '' ? null : pods.named(peer.id.namespace, peer.pod);
  const isKnown = own !== null && own.addresses.length > 0 && (peer.podUid ?? own.uid) === own.uid;
  if (isKnown && first !== '' && !own.addresses.includes(first))
    return refusal('pod', `it says address ${first}, and its token is that of ${own.namespace}/${own.name}`);
  for (const address of addresses) {
    const there = pods.at(address).filter(({ isOnNode }) => !isOnNode);
    const [other] = there;
    if (other === undefined || there.some((pod) => isOf(pod, peer))) continue;
    return refusal(
      'pod',
      `it says address ${address}, which ${other.namespace}/${other.name} has, and is ${accountOf(peer.id)}`,
    );
  }
  return null;
}

function isOf({ namespace, name, serviceAccount }: KnownPod, { id, pod }: VerifiedPeer): boolean {
  return namespace === id.namespace && (pod === '' ? serviceAccount === id.serviceAccount : name === pod);
}
