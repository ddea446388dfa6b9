// Which kinds of the API server the mesh is made of, and which objects of them: all that the readers of `config` know. Secrets
// are watched by their type or by a label, so that nobody's passwords pass through here; of ConfigMaps the one that
// holds the mesh configuration. The rights that this takes stand in rbac-needs.ts.
import { kindSchemas } from '../../config/schema/kind-schemas.ts';
import { EXPERIMENTAL_GROUP } from '../../config/served-versions.ts';
import type { Selection } from '../../kube/client.ts';
import type { KubeKind } from '../../kube/kind-path.ts';
import { KNOWN_KINDS } from '../../kube/known-kinds.ts';

export interface WatchedKind {
  readonly kind: KubeKind;
  readonly selection: Selection;
  /** Its status is ours to write. */
  readonly isRule: boolean;
}

/** The ConfigMap with the mesh configuration, under Istio's name. */
export const MESH_CONFIG_MAP = 'istio';
/** On generic Secrets that hold certificates or authorities: `outrigger.dev/credential: "true"`. */
export const CREDENTIAL_LABEL = 'outrigger.dev/credential';

const ALL: Selection = {};
const TLS_SECRETS: Selection = { fieldSelector: 'type=kubernetes.io/tls' };
const LABELLED_SECRETS: Selection = { fieldSelector: 'type=Opaque', labelSelector: `${CREDENTIAL_LABEL}=true` };

const GATEWAY_KINDS: readonly KubeKind[] = [
  gatewayKind('HTTPRoute', 'httproutes', 'v1'),
  gatewayKind('ReferenceGrant', 'referencegrants', 'v1beta1'),
  {
    group: EXPERIMENTAL_GROUP,
    version: 'v1alpha1',
    kind: 'XBackendTrafficPolicy',
    plural: 'xbackendtrafficpolicies',
    isNamespaced: true,
  },
];

/** Rules: kinds whose status we write. */
export function ruleKinds(): readonly KubeKind[] {
  const own = kindSchemas().map(({ kind, group, plural, versions }) => {
    return { kind, group, plural, version: versions[0] ?? 'v1', isNamespaced: true };
  });
  return [...own, ...GATEWAY_KINDS];
}

/** `namespace`: where the control service and the mesh configuration are. Pods and Nodes are looked at by pod-rules.ts. */
export function watchedKinds(namespace: string): readonly WatchedKind[] {
  const { service, endpointSlice, secret, configMap } = KNOWN_KINDS;
  return [
    { kind: service, selection: ALL, isRule: false },
    { kind: endpointSlice, selection: ALL, isRule: false },
    { kind: KNOWN_KINDS.namespace, selection: ALL, isRule: false },
    { kind: configMap, selection: { namespace, fieldSelector: `metadata.name=${MESH_CONFIG_MAP}` }, isRule: false },
    { kind: secret, selection: TLS_SECRETS, isRule: false },
    { kind: secret, selection: LABELLED_SECRETS, isRule: false },
    ...ruleKinds().map((kind) => ({ kind, selection: ALL, isRule: true })),
  ];
}

/** A kind of the Gateway API. */
export function gatewayKind(kind: string, plural: string, version: string): KubeKind {
  return { group: 'gateway.networking.k8s.io', version, kind, plural, isNamespaced: true };
}
