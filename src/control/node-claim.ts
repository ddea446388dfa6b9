// What a node says about itself must be what it has proved to be (reliability 5.4): the namespace of its id and of its
// metadata, its service account, and, where its token is bound to a pod, the pod. What it does not say is not held
// against it; without a proof there is nothing to compare with.
import { refusal, type Refusal } from './authentication/refusal.ts';
import type { NodeInfo } from './flow.ts';
import { accountOf } from './verified-peer.ts';

/** Null when the node is who it says it is. */
export function checkClaim({ id, metadata, peer = null }: NodeInfo): Refusal | null {
  if (peer === null) return null;
  const { namespace, serviceAccount } = peer.id;
  const [, , name = ''] = id.split('~');
  // Names of pods may have dots, those of namespaces have none.
  const idNamespace = name.slice(name.lastIndexOf('.') + 1);
  for (const said of [textOf(metadata['NAMESPACE']), name.includes('.') ? idNamespace : '']) {
    if (said !== '' && said !== namespace)
      return refusal('namespace', `it says namespace ${said}, and is ${accountOf(peer.id)}`);
  }
  const account = textOf(metadata['SERVICE_ACCOUNT']);
  if (account !== '' && account !== serviceAccount)
    return refusal('service_account', `it says service account ${account}, and is ${accountOf(peer.id)}`);
  // Our own sidecars call themselves by their workload and instance, agents of Istio by their pod.
  const pod = metadata['OUTRIGGER'] === undefined ? textOf(metadata['NAME']) : '';
  if (peer.pod !== '' && pod !== '' && pod !== peer.pod)
    return refusal('pod', `it says pod ${pod}, and its token is that of ${peer.pod}`);
  return null;
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
