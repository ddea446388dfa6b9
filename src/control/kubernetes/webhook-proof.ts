// The proof that validation works as it is registered: an object that is always refused is created as a dry run, and when the API
// server says no with our words, it has reached us, trusted us and understood us. Only then may the validator close (its
// failurePolicy become Fail), for one that is closed and unreachable would keep everybody from changing rules.
import type { Log } from '../../base/log.ts';
import type { AdmissionRequest, AdmissionVerdict } from '../../kube/admission-review.ts';
import type { KubeClient } from '../../kube/client.ts';
import { recordOf } from '../../kube/json-record.ts';
import type { KubeKind } from '../../kube/kind-path.ts';

export const PROOF_KIND: KubeKind = {
  group: 'networking.istio.io',
  version: 'v1',
  kind: 'VirtualService',
  plural: 'virtualservices',
  isNamespaced: true,
};
const PROOF = 'outrigger.dev/always-refused';
const WORDS = `the annotation ${PROOF} refuses this object: validation works`;

/** The answer to the proof; null: the object is another. */
export function proofVerdict({ object }: AdmissionRequest): AdmissionVerdict | null {
  const { annotations } = recordOf(recordOf(object)['metadata']);
  return Object.hasOwn(recordOf(annotations), PROOF) ? { kind: 'denied', message: WORDS } : null;
}

/** Nothing is kept by the server, whatever it answers. */
export async function isProven(client: KubeClient, namespace: string, log: Log): Promise<boolean> {
  const metadata = { name: 'outrigger-always-refused', namespace, annotations: { [PROOF]: 'true' } };
  const spec = { hosts: ['always-refused.invalid'], http: [{ directResponse: { status: 404 } }] };
  const answer = await client.create(PROOF_KIND, { metadata, spec }, { isDryRun: true });
  if (answer.kind === 'failed' && answer.failure.message.includes(WORDS)) return true;
  const cause = answer.kind === 'done' ? 'nobody refused the object that is always refused' : answer.failure.message;
  log.debug('validation has not proven itself yet', { cause });
  return false;
}
