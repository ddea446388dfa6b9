// How API servers ask us about pods and rules. Namespaces of the cluster and our own are never asked about, so that the
// control service can start without itself (F42). No caBundle: the control service writes it, and keeps it current.
import type { JsonObject } from '@bufbuild/protobuf';
import { CONTROL, releaseObject, type Release, type ReleaseObject } from './release.ts';

export interface ValidatedGroup {
  readonly apiGroup: string;
  readonly apiVersion: string;
  readonly resources: string[];
}

const API_VERSION = 'admissionregistration.k8s.io/v1';
const INJECTION = 'istio-injection';
const REVISION = 'istio.io/rev';
const POD_INJECTION = 'sidecar.istio.io/inject';

export function mutatingWebhook(release: Release): ReleaseObject {
  const { failurePolicy, revision } = release.values.injector;
  const webhook = (name: string, namespaces: readonly JsonObject[], pods: readonly JsonObject[]): JsonObject => ({
    ...basics(release, `${name}.injector.outrigger.dev`, '/inject'),
    failurePolicy,
    // Containers that a later webhook adds need the sidecar's probes, too; a second run changes nothing else (F44).
    reinvocationPolicy: 'IfNeeded',
    rules: [{ apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE'], resources: ['pods'], scope: 'Namespaced' }],
    namespaceSelector: { matchExpressions: [outside(release), ...namespaces] },
    objectSelector: { matchExpressions: [...pods] },
  });
  const unlessRefused = notIn(POD_INJECTION, 'false');
  return releaseObject(
    release,
    { apiVersion: API_VERSION, kind: 'MutatingWebhookConfiguration', name: 'outrigger-injector', isClusterWide: true },
    {
      webhooks: [
        webhook('namespace', [isIn(INJECTION, 'enabled')], [unlessRefused]),
        webhook('revision', [absent(INJECTION), isIn(REVISION, revision)], [unlessRefused]),
        webhook('pod', [absent(INJECTION), absent(REVISION)], [isIn(POD_INJECTION, 'true'), absent(REVISION)]),
        webhook('pod-revision', [absent(INJECTION), absent(REVISION)], [unlessRefused, isIn(REVISION, revision)]),
      ],
    },
  );
}

export function validatingWebhook(release: Release, groups: readonly ValidatedGroup[]): ReleaseObject {
  const rules = groups.map(({ apiGroup, apiVersion, resources }) => ({
    apiGroups: [apiGroup],
    apiVersions: [apiVersion],
    operations: ['CREATE', 'UPDATE'],
    resources,
    scope: 'Namespaced',
  }));
  const webhook = {
    ...basics(release, 'validator.outrigger.dev', '/validate'),
    failurePolicy: release.values.validator.failurePolicy,
    rules,
  };
  return releaseObject(
    release,
    {
      apiVersion: API_VERSION,
      kind: 'ValidatingWebhookConfiguration',
      name: 'outrigger-validator',
      isClusterWide: true,
    },
    { webhooks: [webhook] },
  );
}

function basics({ namespace }: Release, name: string, path: string): JsonObject {
  return {
    name,
    admissionReviewVersions: ['v1'],
    clientConfig: { service: { name: CONTROL, namespace, path, port: 443 } },
    matchPolicy: 'Equivalent',
    sideEffects: 'None',
    timeoutSeconds: 10,
  };
}

function outside({ namespace }: Release): JsonObject {
  return notIn('kubernetes.io/metadata.name', namespace, 'kube-system', 'kube-public', 'kube-node-lease');
}

function isIn(key: string, ...values: readonly string[]): JsonObject {
  return { key, operator: 'In', values: [...values] };
}

function notIn(key: string, ...values: readonly string[]): JsonObject {
  return { key, operator: 'NotIn', values: [...values] };
}

function absent(key: string): JsonObject {
  return { key, operator: 'DoesNotExist' };
}
