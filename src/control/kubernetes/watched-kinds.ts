// Which kinds of the API server the mesh is made of, and which objects of them: all that the readers of `config` know. Secrets
// are watched by their type or by a label, so that nobody's passwords pass through here; of ConfigMaps the one that
// holds the mesh configuration. The rights that this takes stand in rbac-needs.ts.
import { kindSchemas } from '../../config/schema/kind-schemas.ts';
import { EXPERIMENTAL_GROUP, servedVersions } from '../../config/served-versions.ts';
import type { Selection } from '../../kube/client.ts';
import type { KubeKind } from '../../kube/kind-path.ts';
import { CREDENTIAL_LABEL } from '../offered-secrets.ts';
import { KNOWN_KINDS } from '../../kube/known-kinds.ts';

export interface WatchedKind {
  readonly kind: KubeKind;
  readonly selection: Selection;
  /** In which it is watched where its own is not served: definitions that came before ours. */
  readonly otherVersions: readonly string[];
  /** Its status is ours to write. */
  readonly isRule: boolean;
}

/** The ConfigMap with the mesh configuration, under Istio's name. */
export const MESH_CONFIG_MAP = 'istio';

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
  const core: readonly Pick<WatchedKind, 'kind' | 'selection'>[] = [
    { kind: service, selection: ALL },
    { kind: endpointSlice, selection: ALL },
    { kind: KNOWN_KINDS.namespace, selection: ALL },
    { kind: configMap, selection: { namespace, fieldSelector: `metadata.name=${MESH_CONFIG_MAP}` } },
    { kind: secret, selection: TLS_SECRETS },
    { kind: secret, selection: LABELLED_SECRETS },
  ];
  return [
    ...core.map((watched) => ({ ...watched, otherVersions: [], isRule: false })),
    ...ruleKinds().map((kind) => ({ kind, selection: ALL, otherVersions: otherVersions(kind), isRule: true })),
  ];
}

/** Those that the readers know, too. */
function otherVersions({ kind, group, version }: KubeKind): readonly string[] {
  return servedVersions(kind, group).filter((other) => other !== version);
}

export function gatewayKind(kind: string, plural: string, version: string): KubeKind {
  return { group: 'gateway.networking.k8s.io', version, kind, plural, isNamespaced: true };
}
