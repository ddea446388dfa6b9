// The kinds of a release's objects, as paths of the API server: those of Kubernetes, and the Prometheus operator's.
import { apiVersionOf, type KubeKind } from '../../kube/kind-path.ts';
import { KNOWN_KINDS } from '../../kube/known-kinds.ts';

export const SERVICE_MONITOR: KubeKind = {
  group: 'monitoring.coreos.com',
  version: 'v1',
  kind: 'ServiceMonitor',
  plural: 'servicemonitors',
  isNamespaced: true,
};

/** In the order in which they are removed: first what makes others wait for us, last what holds everything else. */
export const RELEASE_KINDS: readonly KubeKind[] = [
  KNOWN_KINDS.mutatingWebhookConfiguration,
  KNOWN_KINDS.validatingWebhookConfiguration,
  SERVICE_MONITOR,
  KNOWN_KINDS.horizontalPodAutoscaler,
  KNOWN_KINDS.podDisruptionBudget,
  KNOWN_KINDS.daemonSet,
  KNOWN_KINDS.deployment,
  KNOWN_KINDS.networkPolicy,
  KNOWN_KINDS.service,
  KNOWN_KINDS.configMap,
  KNOWN_KINDS.roleBinding,
  KNOWN_KINDS.role,
  KNOWN_KINDS.clusterRoleBinding,
  KNOWN_KINDS.clusterRole,
  KNOWN_KINDS.serviceAccount,
  KNOWN_KINDS.namespace,
  KNOWN_KINDS.customResourceDefinition,
];

/** Throws for a kind that is none of a release: a mistake of ours. */
export function releaseKind({ apiVersion, kind }: { readonly apiVersion: string; readonly kind: string }): KubeKind {
  const found = RELEASE_KINDS.find((one) => one.kind === kind && apiVersionOf(one) === apiVersion);
  if (found === undefined) throw new Error(`${apiVersion} ${kind} is not listed among the kinds of a release`);
  return found;
}
