// The bootstrap that both Envoy and our sidecar read in the benchmark: one listener, one upstream,
// and the route table of the case. Access logs are off on both; metrics are always on in both.

/** Routes and the clusters they name; every cluster is the same upstream. */
export interface BootstrapRoutes {
  readonly routes: readonly unknown[];
  readonly virtualHost: Readonly<Record<string, unknown>>;
  readonly clusters: readonly string[];
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
  const retries = { retry_on: 'connect-failure,refused-stream', num_retries: 2 };
  const beta = {
    name: 'beta-users',
    match: { prefix: '/', headers: [{ name: 'x-user', string_match: { exact: 'jason' } }] },
    route: { cluster: 'reviews-v3', retry_policy: retries },
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
      retry_policy: retries,
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
const OPTIONS = 'type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions';

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

function collectorCluster(port: number): unknown {
  return {
    name: 'collector',
    type: 'STATIC',
    typed_extension_protocol_options: {
      'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
        '@type': OPTIONS,
        explicit_http_config: { http2_protocol_options: {} },
      },
    },
    load_assignment: {
      cluster_name: 'collector',
      endpoints: [{ lb_endpoints: [{ endpoint: { address: socketAddress(port) } }] }],
    },
  };
}

export function benchBootstrap(table: BootstrapRoutes, ports: BootstrapPorts): unknown {
  const manager = {
    '@type': MANAGER,
    stat_prefix: 'bench',
    ...(ports.collector === null ? {} : { tracing: TRACING }),
    http_filters: [{ name: 'envoy.filters.http.router', typed_config: { '@type': ROUTER } }],
    route_config: {
      name: 'bench',
      virtual_hosts: [{ name: 'all', domains: ['*'], routes: table.routes, ...table.virtualHost }],
    },
  };
  const filter = { name: 'envoy.filters.network.http_connection_manager', typed_config: manager };
  const endpoint = { endpoint: { address: socketAddress(ports.upstream) } };
  return {
    admin: { address: socketAddress(ports.admin) },
    static_resources: {
      listeners: [{ name: 'bench', address: socketAddress(ports.listen), filter_chains: [{ filters: [filter] }] }],
      clusters: [
        ...table.clusters.map((name) => ({
          name,
          type: 'STATIC',
          load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: [endpoint] }] },
        })),
        ...(ports.collector === null ? [] : [collectorCluster(ports.collector)]),
      ],
    },
  };
}
