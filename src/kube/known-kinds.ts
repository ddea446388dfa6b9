// Kinds of Kubernetes itself that this project asks for by name. Others come from discovery or from a table of CRDs.
import type { KubeKind } from './kind-path.ts';

function kind(apiVersion: string, name: string, plural: string, isNamespaced = true): KubeKind {
  const [group = '', version = ''] = apiVersion.includes('/') ? apiVersion.split('/') : ['', apiVersion];
  return Object.freeze({ group, version, kind: name, plural, isNamespaced });
}

export const KNOWN_KINDS = Object.freeze({
  configMap: kind('v1', 'ConfigMap', 'configmaps'),
  endpointSlice: kind('discovery.k8s.io/v1', 'EndpointSlice', 'endpointslices'),
  event: kind('events.k8s.io/v1', 'Event', 'events'),
  lease: kind('coordination.k8s.io/v1', 'Lease', 'leases'),
  namespace: kind('v1', 'Namespace', 'namespaces', false),
  node: kind('v1', 'Node', 'nodes', false),
  pod: kind('v1', 'Pod', 'pods'),
  secret: kind('v1', 'Secret', 'secrets'),
  service: kind('v1', 'Service', 'services'),
  serviceAccount: kind('v1', 'ServiceAccount', 'serviceaccounts'),
  deployment: kind('apps/v1', 'Deployment', 'deployments'),
  daemonSet: kind('apps/v1', 'DaemonSet', 'daemonsets'),
  replicaSet: kind('apps/v1', 'ReplicaSet', 'replicasets'),
  statefulSet: kind('apps/v1', 'StatefulSet', 'statefulsets'),
  job: kind('batch/v1', 'Job', 'jobs'),
  customResourceDefinition: kind(
    'apiextensions.k8s.io/v1',
    'CustomResourceDefinition',
    'customresourcedefinitions',
    false,
  ),
  mutatingWebhookConfiguration: kind(
    'admissionregistration.k8s.io/v1',
    'MutatingWebhookConfiguration',
    'mutatingwebhookconfigurations',
    false,
  ),
  validatingWebhookConfiguration: kind(
    'admissionregistration.k8s.io/v1',
    'ValidatingWebhookConfiguration',
    'validatingwebhookconfigurations',
    false,
  ),
  clusterRole: kind('rbac.authorization.k8s.io/v1', 'ClusterRole', 'clusterroles', false),
  clusterRoleBinding: kind('rbac.authorization.k8s.io/v1', 'ClusterRoleBinding', 'clusterrolebindings', false),
  role: kind('rbac.authorization.k8s.io/v1', 'Role', 'roles'),
  roleBinding: kind('rbac.authorization.k8s.io/v1', 'RoleBinding', 'rolebindings'),
  tokenReview: kind('authentication.k8s.io/v1', 'TokenReview', 'tokenreviews', false),
  subjectAccessReview: kind('authorization.k8s.io/v1', 'SubjectAccessReview', 'subjectaccessreviews', false),
  selfSubjectAccessReview: kind(
    'authorization.k8s.io/v1',
    'SelfSubjectAccessReview',
    'selfsubjectaccessreviews',
    false,
  ),
  podDisruptionBudget: kind('policy/v1', 'PodDisruptionBudget', 'poddisruptionbudgets'),
  networkPolicy: kind('networking.k8s.io/v1', 'NetworkPolicy', 'networkpolicies'),
  horizontalPodAutoscaler: kind('autoscaling/v2', 'HorizontalPodAutoscaler', 'horizontalpodautoscalers'),
});
