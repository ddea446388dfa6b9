// The bootstrap of a captured pod's sidecar, as JSON that Envoy takes as well: Istio's shapes, with the names of a
// small mesh. `server.mesh` is the other pod, `self.mesh` the pod itself by an address that nobody has.
import type { JsonValue } from '@bufbuild/protobuf';

export interface CapturedPod {
  readonly own: string;
  readonly server: string;
  /** Where what no rule names goes. */
  readonly policy: 'ALLOW_ANY' | 'REGISTRY_ONLY';
  /** How long what a client speaks may stay unknown. */
  readonly filtersTimeout: string;
}

const ANY = 'type.googleapis.com/envoy.extensions';

export function capturedBootstrap(pod: CapturedPod): JsonValue {
  return {
    static_resources: {
      listeners: [virtualOutbound(pod), httpListener('0.0.0.0', pod), httpListener('::', pod), virtualInbound(pod)],
      clusters: [
        originalDestination('PassthroughCluster', {}),
        originalDestination('InboundPassthroughCluster', {
          upstream_bind_config: {
            source_address: { address: '127.0.0.6', port_value: 0 },
            extra_source_addresses: [{ address: { address: '::6', port_value: 0 } }],
          },
        }),
        { name: 'BlackHoleCluster', type: 'STATIC', load_assignment: { cluster_name: 'BlackHoleCluster' } },
        service('server', pod.server),
        service('self', pod.own),
      ],
    },
  };
}

function virtualOutbound({ policy }: CapturedPod): JsonValue {
  return {
    name: 'virtualOutbound',
    address: socket('::', 15_001),
    traffic_direction: 'OUTBOUND',
    use_original_dst: true,
    filter_chains: [
      {
        name: 'blackhole',
        filter_chain_match: { destination_port: 15_001 },
        filters: [tcp('BlackHoleCluster')],
      },
      { name: 'catchall', filters: [tcp(fallback(policy))] },
    ],
  };
}

function httpListener(address: string, { policy, filtersTimeout }: CapturedPod): JsonValue {
  return {
    name: `${address}_80`,
    address: socket(address, 80),
    bind_to_port: false,
    traffic_direction: 'OUTBOUND',
    listener_filters: [inspector('tls'), inspector('http')],
    listener_filters_timeout: filtersTimeout,
    continue_on_listener_filters_timeout: true,
    filter_chains: [
      {
        filter_chain_match: { transport_protocol: 'raw_buffer', application_protocols: ['http/1.1'] },
        filters: [
          http('outbound', [
            host('server', ['server.mesh'], forward('server')),
            host('self', ['self.mesh'], forward('self')),
            host(
              'any',
              ['*'],
              policy === 'ALLOW_ANY' ? forward('PassthroughCluster') : { direct_response: { status: 502 } },
            ),
          ]),
        ],
      },
    ],
    default_filter_chain: { filters: [tcp(fallback(policy))] },
  };
}

function virtualInbound({ filtersTimeout }: CapturedPod): JsonValue {
  return {
    name: 'virtualInbound',
    address: socket('::', 15_006),
    traffic_direction: 'INBOUND',
    listener_filters: [
      {
        name: 'envoy.filters.listener.original_dst',
        typed_config: { '@type': `${ANY}.filters.listener.original_dst.v3.OriginalDst` },
      },
      inspector('http'),
    ],
    listener_filters_timeout: filtersTimeout,
    continue_on_listener_filters_timeout: true,
    filter_chains: [
      {
        name: 'blackhole',
        filter_chain_match: { destination_port: 15_006 },
        filters: [tcp('BlackHoleCluster')],
      },
      {
        name: 'http',
        filter_chain_match: { application_protocols: ['http/1.1'] },
        filters: [http('inbound', [host('all', ['*'], forward('InboundPassthroughCluster'))])],
      },
    ],
    default_filter_chain: { filters: [tcp('InboundPassthroughCluster')] },
  };
}

function fallback(policy: CapturedPod['policy']): string {
  return policy === 'ALLOW_ANY' ? 'PassthroughCluster' : 'BlackHoleCluster';
}

function socket(address: string, port: number): JsonValue {
  return {
    socket_address: { address, port_value: port, ...(address === '::' && port > 1024 ? { ipv4_compat: true } : {}) },
  };
}

function inspector(kind: 'tls' | 'http'): JsonValue {
  const type = kind === 'tls' ? 'tls_inspector.v3.TlsInspector' : 'http_inspector.v3.HttpInspector';
  return {
    name: `envoy.filters.listener.${kind}_inspector`,
    typed_config: { '@type': `${ANY}.filters.listener.${type}` },
  };
}

function tcp(cluster: string): JsonValue {
  return {
    name: 'envoy.filters.network.tcp_proxy',
    typed_config: { '@type': `${ANY}.filters.network.tcp_proxy.v3.TcpProxy`, stat_prefix: cluster, cluster },
  };
}

function http(name: string, hosts: readonly JsonValue[]): JsonValue {
  return {
    name: 'envoy.filters.network.http_connection_manager',
    typed_config: {
      '@type': `${ANY}.filters.network.http_connection_manager.v3.HttpConnectionManager`,
      stat_prefix: name,
      route_config: {
        name,
        virtual_hosts: [...hosts],
        request_headers_to_add: [{ header: { key: 'x-via', value: name }, append_action: 'APPEND_IF_EXISTS_OR_ADD' }],
      },
      http_filters: [
        { name: 'envoy.filters.http.router', typed_config: { '@type': `${ANY}.filters.http.router.v3.Router` } },
      ],
    },
  };
}

function host(name: string, domains: readonly string[], action: object): JsonValue {
  return { name, domains: [...domains], routes: [{ match: { prefix: '/' }, ...action }] };
}

function forward(cluster: string): { readonly route: JsonValue } {
  return { route: { cluster } };
}

function originalDestination(name: string, rest: object): JsonValue {
  return { name, type: 'ORIGINAL_DST', lb_policy: 'CLUSTER_PROVIDED', connect_timeout: '1s', ...rest };
}

function service(name: string, address: string): JsonValue {
  const endpoint = { endpoint: { address: socket(address, 80) } };
  return { name, type: 'STATIC', load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: [endpoint] }] } };
}
