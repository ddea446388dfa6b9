// The bootstrap that both Envoy and our sidecar read in the benchmark: one listener, one upstream,
// and the route table of the case. Access logs are off on both; metrics are always on in both.
import { BENCH_HOST, type BenchCertificates } from './bench-certificates.ts';
import { h2Cluster } from '../support/h2-cluster.ts';

/** Routes and the clusters they name; every cluster is the same upstream. */
export interface BootstrapRoutes {
  readonly routes: readonly unknown[];
  readonly virtualHost: Readonly<Record<string, unknown>>;
  readonly clusters: readonly string[];
  /** HTTP filters before the router. */
  readonly filters?: readonly unknown[];
  /** Fields of every cluster beside its name and its endpoint. */
  readonly clusterFields?: Readonly<Record<string, unknown>>;
}

export interface BootstrapPorts {
  readonly admin: number;
  readonly listen: number;
  readonly upstream: number;
  /** OTLP over gRPC, when every request is traced; else null. */
  readonly collector: number | null;
}

export function generalRoutes(): BootstrapRoutes {
  return { routes: [{ match: { prefix: '/' }, route: { cluster: 'up' } }], virtualHost: {}, clusters: ['up'] };
}

const header = (key: string, value: string): unknown => ({
  header: { key, value },
  append_action: 'OVERWRITE_IF_EXISTS_OR_ADD',
});

/** What Istio would write for one service: a header match that misses, a split, retries, header edits. */
export function meshRoutes(): BootstrapRoutes {
  return meshRoutesWith({ retry_policy: { retry_on: 'connect-failure,refused-stream', num_retries: 2 } });
}

/** The same without the retries. */
export function bareMeshRoutes(): BootstrapRoutes {
  return meshRoutesWith({});
}

/** The same with all that a careful operator adds: retries with a budget, limits, outlier detection, least request. */
export function resilientRoutes(): BootstrapRoutes {
  const retries = {
    retry_on: '5xx,reset,connect-failure',
    num_retries: 3,
    per_try_timeout: '2s',
    retry_host_predicate: [
      {
        name: 'envoy.retry_host_predicates.previous_hosts',
        typed_config: {
          '@type': 'type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate',
        },
      },
    ],
    host_selection_retry_max_attempts: 5,
  };
  const limits = {
    max_connections: 1000,
    max_pending_requests: 1000,
    max_requests: 1000,
    retry_budget: { budget_percent: { value: 20 }, min_retry_concurrency: 3 },
  };
  return {
    ...meshRoutesWith({ retry_policy: retries }),
    clusterFields: {
      lb_policy: 'LEAST_REQUEST',
      circuit_breakers: { thresholds: [limits] },
      outlier_detection: { consecutive_5xx: 5, interval: '1s', base_ejection_time: '30s', max_ejection_percent: 50 },
    },
  };
}

function meshRoutesWith(retries: Readonly<Record<string, unknown>>): BootstrapRoutes {
  const beta = {
    name: 'beta-users',
    match: { prefix: '/', headers: [{ name: 'x-user', string_match: { exact: 'jason' } }] },
    route: { cluster: 'reviews-v3', ...retries },
  };
  const split = {
    name: 'split',
    match: { prefix: '/' },
    route: {
      weighted_clusters: {
        clusters: [
          { name: 'reviews-v1', weight: 90 },
          { name: 'reviews-v2', weight: 10 },
        ],
      },
      timeout: '15s',
      ...retries,
    },
    request_headers_to_add: [header('x-mesh', 'bench'), header('x-client', '%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%')],
    request_headers_to_remove: ['x-internal'],
    response_headers_to_add: [header('x-served-by', 'reviews')],
    response_headers_to_remove: ['x-powered-by'],
  };
  return {
    routes: [beta, split],
    virtualHost: { request_headers_to_add: [header('x-virtual-host', 'reviews')] },
    clusters: ['reviews-v1', 'reviews-v2', 'reviews-v3'],
  };
}

export function manyRoutes(count: number): BootstrapRoutes {
  const routes = Array.from({ length: count }, (_none, index) => ({
    match: { prefix: `/service-${index}/` },
    route: { cluster: 'up' },
  }));
  return { routes, virtualHost: {}, clusters: ['up'] };
}

const MANAGER = 'type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager';
const ROUTER = 'type.googleapis.com/envoy.extensions.filters.http.router.v3.Router';

const socketAddress = (port: number): unknown => ({ socket_address: { address: '127.0.0.1', port_value: port } });

const TRACER = 'type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig';

/** 100 % of the requests, as a manager's `tracing` says it. */
const TRACING = {
  random_sampling: { value: 100 },
  spawn_upstream_span: true,
  provider: {
    name: 'envoy.tracers.opentelemetry',
    typed_config: {
      '@type': TRACER,
      service_name: 'bench',
      grpc_service: { envoy_grpc: { cluster_name: 'collector' }, timeout: '5s' },
    },
  },
};

const TLS = 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3';

const commonTls = ({ authority, certificate, key }: BenchCertificates): unknown => ({
  tls_certificates: [{ certificate_chain: { filename: certificate }, private_key: { filename: key } }],
  validation_context: { trusted_ca: { filename: authority } },
});

/** Both ends of the connection show the certificate; null is plaintext. */
function transport(side: 'downstream' | 'upstream', certificates: BenchCertificates | null): unknown {
  if (certificates === null) return {};
  const common = commonTls(certificates);
  const typedConfig =
    side === 'downstream'
      ? { '@type': `${TLS}.DownstreamTlsContext`, common_tls_context: common, require_client_certificate: true }
      : { '@type': `${TLS}.UpstreamTlsContext`, common_tls_context: common, sni: BENCH_HOST };
  return { transport_socket: { name: 'envoy.transport_sockets.tls', typed_config: typedConfig } };
}

/** `certificates` null: plaintext on both sides. */
export function benchBootstrap(
  table: BootstrapRoutes,
  ports: BootstrapPorts,
  certificates: BenchCertificates | null = null,
): unknown {
  const manager = {
    '@type': MANAGER,
    stat_prefix: 'bench',
    ...(ports.collector === null ? {} : { tracing: TRACING }),
    http_filters: [...(table.filters ?? []), { name: 'envoy.filters.http.router', typed_config: { '@type': ROUTER } }],
    route_config: {
      name: 'bench',
      virtual_hosts: [{ name: 'all', domains: ['*'], routes: table.routes, ...table.virtualHost }],
    },
  };
  const filter = { name: 'envoy.filters.network.http_connection_manager', typed_config: manager };
  const chain = { filters: [filter], ...Object(transport('downstream', certificates)) };
  const endpoint = { endpoint: { address: socketAddress(ports.upstream) } };
  return {
    admin: { address: socketAddress(ports.admin) },
    static_resources: {
      listeners: [{ name: 'bench', address: socketAddress(ports.listen), filter_chains: [chain] }],
      clusters: [
        ...table.clusters.map((name) => ({
          name,
          type: 'STATIC',
          ...table.clusterFields,
          ...Object(transport('upstream', certificates)),
          load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: [endpoint] }] },
        })),
        ...(ports.collector === null ? [] : [h2Cluster({ name: 'collector', port: ports.collector })]),
      ],
    },
  };
}
