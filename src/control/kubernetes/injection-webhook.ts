// Admission of pods: the sidecar is added as a JSON Patch. Which pods are asked about is said by the selectors of the
// MutatingWebhookConfiguration; what a pod itself wants, by its labels and annotations. A pod that cannot have a sidecar
// goes in without one and with a warning; one whose settings are wrong is refused, for it would run open.
import type { AdmissionRequest, AdmissionVerdict } from '../../kube/admission-review.ts';
import { recordOf, textOf, type JsonRecord } from '../../kube/json-record.ts';
import { jsonPatch } from '../../kube/json-patch.ts';
import { injectedPod, type InjectionOptions } from '../injection/pod-injection.ts';

const ALLOWED: AdmissionVerdict = { kind: 'allowed' };

export function injectionVerdict(request: AdmissionRequest, options: InjectionOptions): AdmissionVerdict {
  const { object, kind, operation, subresource, name } = request;
  if (object === null || kind.group !== '' || kind.name !== 'Pod' || operation !== 'CREATE' || subresource !== '')
    return ALLOWED;
  const injection = injectedPod(object, workloadOf(object, name), options);
  if (injection.kind === 'left')
    return injection.reason === '' ? ALLOWED : { ...ALLOWED, warnings: [`no sidecar: ${injection.reason}`] };
  if (injection.kind === 'injected')
    return { kind: 'allowed', warnings: injection.warnings, patch: jsonPatch(object, injection.pod) };
  const causes = injection.faults.map(({ name: setting, message, remedy }) => {
    return { field: `metadata.annotations[${setting}]`, message: `${message}; ${remedy}` };
  });
  const message = causes.map((cause) => `${cause.field}: ${cause.message}`).join('; ');
  return { kind: 'denied', message, causes };
}

/** What the pod was made by: `web` of `web-6b7f9d8c5-`. */
function workloadOf(pod: JsonRecord, name: string): string {
  const { generateName, labels } = recordOf(pod['metadata']);
  const hash = textOf(recordOf(labels)['pod-template-hash']);
  const base = (textOf(generateName) || name).replace(/-$/, '');
  return hash !== '' && base.endsWith(`-${hash}`) ? base.slice(0, -hash.length - 1) : base;
}
