// What we do not do is refused or warned of: never silence.
import type { JsonObject } from '@bufbuild/protobuf';
import { describe, expect, test } from 'vitest';
import { formatProblem } from '../../../src/base/problem.ts';
import { extensions } from '../../../src/sidecar/bootstrap-registry.ts';
import { compileBootstrap, grpcClustersOf } from '../../../src/sidecar/compile-bootstrap.ts';
import { parseBootstrap } from '../../../src/sidecar/bootstrap.ts';
import { CLUSTER_FIELDS } from '../../../src/sidecar/unsupported-cluster-fields.ts';
import { FIELDS } from '../../../src/sidecar/unsupported-fields.ts';
import { ROUTE_FIELDS } from '../../../src/sidecar/unsupported-route-fields.ts';
import { BootstrapSchema } from '../../../src/xds/gen/envoy/config/bootstrap/v3/bootstrap_pb.js';
import { HttpConnectionManagerSchema } from '../../../src/xds/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js';
import { HttpProtocolOptionsSchema } from '../../../src/xds/gen/envoy/extensions/upstreams/http/v3/http_protocol_options_pb.js';
import { LeastRequestSchema } from '../../../src/xds/gen/envoy/extensions/load_balancing_policies/least_request/v3/least_request_pb.js';
import { OpenTelemetryConfigSchema } from '../../../src/xds/gen/envoy/config/trace/v3/opentelemetry_pb.js';
import type { DescFile, DescMessage } from '@bufbuild/protobuf';
import {
  aClusterJson,
  aContext,
  aListenerJson,
  aManager,
  aRouteConfig,
  aTcpProxy,
  ROUTER,
} from './manager-builders.ts';

function problemsOf(json: JsonObject): readonly string[] {
  const { bootstrap, problems } = parseBootstrap(JSON.stringify(json), 'b.json');
  if (bootstrap === null) return problems.map(formatProblem);
  const context = { ...aContext(), grpcClusters: grpcClustersOf(bootstrap) };
  return compileBootstrap(bootstrap, context).problems.map(
    (problem) => `${problem.severity} ${formatProblem({ ...problem, place: null })}`,
  );
}

const listening = (...listeners: JsonObject[]): JsonObject => ({ static_resources: { listeners } });
const clusters = (...all: JsonObject[]): JsonObject => ({ static_resources: { clusters: all } });
const LISTENER = 'static_resources.listeners[0]';
const MANAGER = `${LISTENER}.filter_chains[0].filters[0].typed_config`;
const CLUSTER = 'static_resources.clusters[0]';
const H2_OPTIONS: JsonObject = {
  'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
    '@type': 'type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
    explicit_http_config: { http2_protocol_options: {} },
  },
};

describe('an ordinary bootstrap', () => {
  test('has no problem: admin, node, runtime, stats, a listener and clusters of every kind', () => {
    const json: JsonObject = {
      admin: { address: { socket_address: { address: '127.0.0.1', port_value: 0 } } },
      node: { id: 'n', cluster: 'c', locality: { zone: 'z' }, metadata: { any: [1] } },
      layered_runtime: {
        layers: [
          { name: 'static', static_layer: { re2: { max_program_size: { error_level: 1000 } } } },
          { name: 'admin', admin_layer: {} },
        ],
      },
      dynamic_resources: {
        ads_config: {
          api_type: 'DELTA_GRPC',
          transport_api_version: 'V3',
          grpc_services: [{ envoy_grpc: { cluster_name: 'web' } }],
        },
      },
      static_resources: {
        listeners: [aListenerJson([aManager()], { traffic_direction: 'OUTBOUND' })],
        clusters: [
          { ...aClusterJson('web'), connect_timeout: '1s', lb_policy: 'LEAST_REQUEST' },
          { name: 'eds', type: 'EDS', eds_cluster_config: { eds_config: { ads: {}, resource_api_version: 'V3' } } },
        ],
      },
    };
    expect(problemsOf(json)).toEqual([]);
  });

  test('may give the cluster of its ADS HTTP/2, in both spellings', () => {
    for (const options of [{ typed_extension_protocol_options: H2_OPTIONS }, { http2_protocol_options: {} }]) {
      const ads_config = { api_type: 'GRPC', grpc_services: [{ envoy_grpc: { cluster_name: 'xds' } }] };
      const problems = problemsOf({
        ...clusters({ ...aClusterJson('xds'), ...options }),
        dynamic_resources: { ads_config, cds_config: { ads: {} }, lds_config: { ads: {} } },
      });
      expect(problems.filter((line) => line.startsWith('error'))).toEqual([]);
    }
  });
});

describe('what is not supported is refused with its path and a remedy', () => {
  test.each([
    [
      'TLS to clients without a certificate',
      listening(
        aListenerJson([aManager()], {
          filter_chains: [
            {
              filters: [aManager()],
              transport_socket: {
                name: 'tls',
                typed_config: {
                  '@type': 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext',
                },
              },
            },
          ],
        }),
      ),
      `${LISTENER}.filter_chains[0].transport_socket.typed_config.common_tls_context.tls_certificates: a server needs a certificate; write certificate_chain and private_key`,
    ],
    [
      'an HTTP filter',
      listening(
        aListenerJson([
          aManager({
            http_filters: [
              {
                name: 'lua',
                typed_config: { '@type': 'type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua' },
              },
              ROUTER,
            ],
          }),
        ]),
      ),
      `${MANAGER}.http_filters[0].typed_config: extension envoy.extensions.filters.http.lua.v3.Lua is not supported; remove it`,
    ],
    [
      'an HTTP filter of a type that nobody knows',
      listening(
        aListenerJson([
          aManager({
            http_filters: [
              { name: 'x', typed_config: { '@type': 'type.googleapis.com/acme.Filter', value: 1 } },
              ROUTER,
            ],
          }),
        ]),
      ),
      `${MANAGER}.http_filters[0].typed_config: extension acme.Filter is not supported; remove it`,
    ],
    [
      'HTTP/2 from clients',
      listening(aListenerJson([aManager({ codec_type: 'HTTP2' })])),
      `${MANAGER}.codec_type: HTTP2 is not supported; write AUTO or HTTP1`,
    ],
    [
      'a router that is not the last filter',
      listening(aListenerJson([aManager({ http_filters: [ROUTER, ROUTER] })])),
      `${MANAGER}.http_filters[1]: a filter stands after the router; make the router the last filter`,
    ],
    [
      'a manager without a router',
      listening(aListenerJson([aManager({ http_filters: [] })])),
      `${MANAGER}.http_filters: there is no router; end the list with envoy.extensions.filters.http.router.v3.Router`,
    ],
    [
      'a manager without a statistics prefix',
      listening(aListenerJson([aManager({ stat_prefix: '' })])),
      `${MANAGER}.stat_prefix: must be set; write stat_prefix`,
    ],
    [
      'routes from a file',
      listening(aListenerJson([aManager({ rds: { route_config_name: 'r', config_source: { path: '/x' } } })])),
      `${MANAGER}.rds.config_source.path: ConfigSource.path is not supported; files as a source are not supported: use ads`,
    ],
    [
      'TPROXY',
      listening(aListenerJson([aManager()], { transparent: true })),
      `${LISTENER}.transparent: Listener.transparent is not supported; TPROXY is not supported: write use_original_dst and redirect with iptables`,
    ],
    [
      'UDP',
      listening(
        aListenerJson([aManager()], {
          address: { socket_address: { protocol: 'UDP', address: '127.0.0.1', port_value: 1 } },
        }),
      ),
      `${LISTENER}.address.socket_address.protocol: UDP is not supported; write TCP`,
    ],
    [
      'a listener on a name',
      listening(aListenerJson([aManager()], { address: { socket_address: { address: 'localhost', port_value: 1 } } })),
      `${LISTENER}.address.socket_address.address: "localhost" is not an IP address; write 0.0.0.0 for every interface`,
    ],
    [
      'a server name with a wildcard inside',
      listening(
        aListenerJson([], { filter_chains: [{ filter_chain_match: { server_names: ['a*'] }, filters: [aManager()] }] }),
      ),
      `${LISTENER}.filter_chains[0].filter_chain_match.server_names[0]: "a*" is not a server name; write a name, or *. and a domain; leave server_names out for every name`,
    ],
    [
      'two chains for the same connections',
      listening(
        aListenerJson([], { filter_chains: [{ filters: [aManager()] }, { filters: [aTcpProxy({ cluster: 'web' })] }] }),
      ),
      `${LISTENER}.filter_chains[1].filter_chain_match: takes connections that ${LISTENER}.filter_chains[0] takes; make one of them more specific, or remove it`,
    ],
    [
      'a listener without chains',
      listening(aListenerJson([], { filter_chains: [] })),
      `${LISTENER}.filter_chains: the listener has no filter chain; add one`,
    ],
    [
      'a TCP proxy to nowhere',
      listening(aListenerJson([aTcpProxy({})])),
      `${MANAGER}: no cluster is named; write cluster or weighted_clusters with weights`,
    ],
    [
      'TCP tunnels',
      listening(aListenerJson([aTcpProxy({ cluster: 'a', tunneling_config: { hostname: 'x' } })])),
      `${MANAGER}.tunneling_config: TcpProxy.tunneling_config is not supported; tunnels are not supported`,
    ],
    [
      'another way to choose a protocol',
      clusters({ ...aClusterJson('a'), protocol_selection: 'USE_DOWNSTREAM_PROTOCOL' }),
      `${CLUSTER}.protocol_selection: Cluster.protocol_selection is not supported; write typed_extension_protocol_options`,
    ],
    [
      'an HTTP/2 upstream',
      clusters({ ...aClusterJson('a'), typed_extension_protocol_options: H2_OPTIONS }),
      `${CLUSTER}.typed_extension_protocol_options: HTTP/2 upstreams are not supported yet; write http_protocol_options`,
    ],
    [
      'two clusters of one name',
      clusters(aClusterJson('a'), aClusterJson('a')),
      'static_resources.clusters[1].name: there are two clusters named a; rename one',
    ],
    [
      'ADS without a cluster',
      {
        dynamic_resources: {
          ads_config: { api_type: 'GRPC', grpc_services: [{ envoy_grpc: { cluster_name: 'x' } }] },
          cds_config: { ads: {} },
        },
      },
      'dynamic_resources.ads_config.grpc_services[0].envoy_grpc.cluster_name: there is no static cluster "x" with endpoints; add it to static_resources.clusters',
    ],
    [
      'an EDS cluster without ADS',
      clusters({ name: 'a', type: 'EDS', eds_cluster_config: { eds_config: { ads: {} } } }),
      'dynamic_resources.ads_config: must be set: cluster a asks for resources; write ads_config',
    ],
    [
      'an old-fashioned source',
      { dynamic_resources: { cds_config: { path: '/cds.yaml' } } },
      'dynamic_resources.cds_config.path: ConfigSource.path is not supported; files as a source are not supported: use ads',
    ],
  ])('%s', (_name, json, expected) => {
    expect(problemsOf(json).filter((line) => line.startsWith('error'))).toContain(`error ${expected}`);
  });
});

describe('what is harmless is a warning', () => {
  const withRoute = (route: JsonObject): JsonObject => {
    const routes = [{ match: { prefix: '/' }, route: { cluster: 'a', ...route } }];
    return listening(
      aListenerJson([
        aManager({ route_config: { name: 'r', virtual_hosts: [{ name: 'v', domains: ['*'], routes }] } }),
      ]),
    );
  };
  test.each([
    [
      'an early data policy',
      withRoute({ early_data_policy: { name: 'x' } }),
      `${MANAGER}.route_config.virtual_hosts[0].routes[0].route.early_data_policy`,
    ],
    [
      'tracking of timeout budgets',
      clusters({ ...aClusterJson('a'), track_timeout_budgets: true }),
      `${CLUSTER}.track_timeout_budgets`,
    ],
    [
      'a chain that needs a TLS inspector',
      listening(
        aListenerJson([], { filter_chains: [{ filter_chain_match: { server_names: ['a'] }, filters: [aManager()] }] }),
      ),
      `${LISTENER}.listener_filters`,
    ],
    [
      'an optional filter that we do not have',
      listening(
        aListenerJson([
          aManager({
            http_filters: [
              { name: 'x', is_optional: true, typed_config: { '@type': 'type.googleapis.com/acme.Filter' } },
              ROUTER,
            ],
          }),
        ]),
      ),
      `${MANAGER}.http_filters[0]`,
    ],
    [
      'an overload manager with monitors of unknown types',
      {
        overload_manager: {
          resource_monitors: [{ name: 'x', typed_config: { '@type': 'type.googleapis.com/acme.Monitor' } }],
        },
      },
      'overload_manager.resource_monitors[0]',
    ],
    ['statistics settings', { stats_config: { stats_matcher: { reject_all: true } } }, 'stats_config'],
  ])('%s', (_name, json, path) => {
    const problems = problemsOf(json);
    expect(problems.filter((line) => line.startsWith('error'))).toEqual([]);
    expect(problems.some((line) => line.startsWith(`warning ${path}: `))).toBe(true);
  });
});

test('a setting that we do not have, switched off, asks for nothing', () => {
  expect(problemsOf(listening(aListenerJson([aManager()], { use_original_dst: false, transparent: false })))).toEqual(
    [],
  );
});

test('every name in the tables is a field of its message', () => {
  const known = new Map<string, DescMessage>();
  const visit = (file: DescFile): void => {
    const add = (message: DescMessage): void => {
      known.set(message.typeName, message);
      message.nestedMessages.forEach(add);
    };
    file.messages.forEach(add);
    file.dependencies.forEach(visit);
  };
  for (const schema of [
    BootstrapSchema,
    HttpConnectionManagerSchema,
    HttpProtocolOptionsSchema,
    LeastRequestSchema,
    OpenTelemetryConfigSchema,
  ])
    visit(schema.file);
  for (const type of extensions) if (type.kind === 'message') visit(type.file);
  const wrong: string[] = [];
  for (const [typeName, rule] of Object.entries({ ...FIELDS, ...CLUSTER_FIELDS, ...ROUTE_FIELDS })) {
    const names = known.get(typeName)?.fields.map(({ name }) => name);
    const listed = [
      ...`${rule.supported} ${rule.required ?? ''}`.split(/\s+/),
      ...Object.keys({ ...rule.harmless, ...rule.refused, ...rule.values }),
    ];
    if (names === undefined) wrong.push(typeName);
    for (const name of listed)
      if (name !== '' && name !== '*' && names?.includes(name) !== true) wrong.push(`${typeName}.${name}`);
  }
  expect(wrong).toEqual([]);
});

test('a route configuration inside a listener is looked at as one by RDS is', () => {
  const route_config = { ...aRouteConfig(), cluster_specifier_plugins: [{ extension: { name: 'x' } }] };
  expect(problemsOf(listening(aListenerJson([aManager({ route_config })])))).toContain(
    `error ${MANAGER}.route_config.cluster_specifier_plugins: RouteConfiguration.cluster_specifier_plugins is not supported; write cluster or weighted_clusters`,
  );
});
