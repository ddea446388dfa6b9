// Who is at the other end of a stream, once an authenticator has made sure of it. Everything that decides by identity
// (which namespace a node belongs to, which secrets it may have, what its certificate will say) takes it from here and
// never from what the node says about itself.
import type { WorkloadId } from '../tls/spiffe-id.ts';

export interface VerifiedPeer {
  /** Its trust domain is ours or one of its aliases. */
  readonly id: WorkloadId;
  /** What it proved itself with. */
  readonly by: 'token' | 'certificate';
  /** When that proof ends, on the wall clock: what was let in by it ends then too. Infinity: not known. */
  readonly untilMs: number;
  /** The pod that a Kubernetes token is bound to; empty: it is bound to none. */
  readonly pod: string;
  /** Of that pod; absent: not known. */
  readonly podUid?: string;
}

/** `NAMESPACE/SERVICEACCOUNT`, as logs write it. */
export function accountOf({ namespace, serviceAccount }: WorkloadId): string {
  return `${namespace}/${serviceAccount}`;
}
