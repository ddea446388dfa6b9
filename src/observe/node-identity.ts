// Who this sidecar is, as metrics and spans name it: read once from the Node of the bootstrap or of
// the join flags. Missing facts are empty strings here; whoever prints them says `unknown`.
import type { Node } from '../xds/gen/envoy/config/core/v3/base_pb.js';

export interface NodeIdentity {
  readonly id: string;
  /** Node.cluster: `SERVICE.NAMESPACE` in a mesh. */
  readonly cluster: string;
  readonly workload: string;
  readonly namespace: string;
  readonly app: string;
  readonly version: string;
  readonly canonicalService: string;
  readonly canonicalRevision: string;
  /** The Kubernetes cluster's name (metadata CLUSTER_ID). */
  readonly clusterId: string;
  readonly meshId: string;
}

export const NO_IDENTITY: NodeIdentity = {
  id: '',
  cluster: '',
  workload: '',
  namespace: '',
  app: '',
  version: '',
  canonicalService: '',
  canonicalRevision: '',
  clusterId: '',
  meshId: '',
};

/**
 * Reads Istio's node metadata: NAMESPACE, NAME, WORKLOAD_NAME, CLUSTER_ID, MESH_ID and LABELS with `app`,
 * `version`, `service.istio.io/canonical-name`, `service.istio.io/canonical-revision` and the
 * `app.kubernetes.io/*` twins, in Istio's order of preference.
 */
export function readNodeIdentity(node: Node | undefined): NodeIdentity {
  if (node === undefined) return NO_IDENTITY;
  const metadata = objectOf(node.metadata);
  const labels = objectOf(metadata['LABELS']);
  const workload = textOf(metadata['WORKLOAD_NAME']) || textOf(metadata['NAME']);
  const app = textOf(labels['app']) || textOf(labels['app.kubernetes.io/name']);
  const version = textOf(labels['version']) || textOf(labels['app.kubernetes.io/version']);
  return {
    id: node.id,
    cluster: node.cluster,
    workload,
    namespace: textOf(metadata['NAMESPACE']),
    app,
    version,
    canonicalService: textOf(labels['service.istio.io/canonical-name']) || app || workload,
    canonicalRevision: textOf(labels['service.istio.io/canonical-revision']) || version || 'latest',
    clusterId: textOf(metadata['CLUSTER_ID']),
    meshId: textOf(metadata['MESH_ID']),
  };
}

function objectOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : {};
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
