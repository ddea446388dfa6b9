// Istio's standard labels: their order, and the label values of one traffic relation. Destination
// facts come from the metadata of the cluster and of the endpoint, never from the Host header: a
// client must not be able to make series (istio/istio#18818). What is not known is `unknown`.
import type { Cluster, Endpoint } from '../plan/cluster.ts';
import type { TlsFacts } from '../plan/tls-facts.ts';
import type { NodeIdentity } from './node-identity.ts';

export const UNKNOWN_LABEL = 'unknown';

export const TCP_LABELS: readonly string[] = Object.freeze([
  'reporter',
  'source_workload',
  'source_canonical_service',
  'source_canonical_revision',
  'source_workload_namespace',
  'source_principal',
  'source_app',
  'source_version',
  'source_cluster',
  'destination_workload',
  'destination_workload_namespace',
  'destination_principal',
  'destination_app',
  'destination_version',
  'destination_service',
  'destination_canonical_service',
  'destination_canonical_revision',
  'destination_service_name',
  'destination_service_namespace',
  'destination_cluster',
  'request_protocol',
  'response_flags',
  'connection_security_policy',
]);

/** The labels of HTTP metrics: those of TCP, and what only a response has. */
export const HTTP_LABELS: readonly string[] = Object.freeze([...TCP_LABELS, 'response_code', 'grpc_response_status']);

export interface Relation {
  readonly reporter: 'source' | 'destination';
  readonly node: NodeIdentity;
  /** Who is at both ends, by their certificates; empty without mutual TLS. */
  readonly sourcePrincipal: string;
  readonly destinationPrincipal: string;
  readonly cluster: Cluster | null;
  readonly endpoint: Endpoint | null;
  readonly protocol: 'http' | 'grpc' | 'tcp';
  readonly flagLetters: string;
}

interface Workload {
  readonly workload: string;
  readonly namespace: string;
  readonly app: string;
  readonly version: string;
  readonly canonicalService: string;
  readonly canonicalRevision: string;
  readonly cluster: string;
}

/** Istio's clusters for what no rule names: they stand for a service's name in its metrics. */
const SERVICELESS: ReadonlySet<string> = new Set([
  'PassthroughCluster',
  'BlackHoleCluster',
  'InboundPassthroughCluster',
]);

const NOBODY: Workload = {
  workload: '',
  namespace: '',
  app: '',
  version: '',
  canonicalService: '',
  canonicalRevision: '',
  cluster: '',
};

/** Label values in the order of TCP_LABELS. */
export function labelsOf(relation: Relation): string[] {
  const { reporter, node, cluster, endpoint } = relation;
  const isSource = reporter === 'source';
  const self: Workload = { ...node, cluster: node.clusterId };
  const source = isSource ? self : NOBODY;
  const destination = isSource ? workloadOf(endpoint) : self;
  const service = serviceOf(cluster);
  const security = relation.sourcePrincipal === '' ? 'none' : 'mutual_tls';
  const labels = [
    source.workload,
    source.canonicalService,
    source.canonicalRevision,
    source.namespace,
    relation.sourcePrincipal,
    source.app,
    source.version,
    source.cluster,
    destination.workload,
    destination.namespace,
    relation.destinationPrincipal,
    destination.app,
    destination.version,
    service.host,
    destination.canonicalService,
    destination.canonicalRevision,
    service.name,
    service.namespace,
    destination.cluster,
  ].map((value) => (value === '' ? UNKNOWN_LABEL : value));
  return [reporter, ...labels, relation.protocol, relation.flagLetters, isSource ? UNKNOWN_LABEL : security];
}

function workloadOf(endpoint: Endpoint | null): Workload {
  if (endpoint === null) return NOBODY;
  const fact = (key: string): string => endpoint.metadata.get(key) ?? '';
  const canonicalService = fact('canonical_service');
  const canonicalRevision = fact('canonical_revision');
  return {
    workload: fact('workload'),
    namespace: fact('namespace'),
    // Istio's workload metadata has no app and version of their own; the canonical ones stand in.
    app: fact('app') || canonicalService,
    version: fact('version') || canonicalRevision,
    canonicalService,
    canonicalRevision,
    cluster: fact('cluster'),
  };
}

function serviceOf(cluster: Cluster | null): {
  readonly host: string;
  readonly name: string;
  readonly namespace: string;
} {
  if (cluster === null) return { host: '', name: '', namespace: '' };
  const fact = (key: string): string => cluster.metadata.get(key) ?? '';
  const name = SERVICELESS.has(cluster.name) ? cluster.name : fact('name');
  return { host: fact('host'), name, namespace: fact('namespace') };
}

/** Who this end is by the certificate that it showed, and who the other; both empty without mutual TLS. */
export interface Principals {
  readonly own: string;
  readonly peer: string;
}

const NOBODY_KNOWN: Principals = { own: '', peer: '' };

export function principalsOf(tls: TlsFacts | null): Principals {
  if (tls === null || tls.principal === '') return NOBODY_KNOWN;
  return { own: tls.ownCertificate?.names.uri[0] ?? '', peer: tls.principal };
}
