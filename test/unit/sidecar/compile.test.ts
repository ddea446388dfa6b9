// Listeners, managers and TCP proxies: every field with Envoy's default, and as configured.
import type { JsonObject } from '@bufbuild/protobuf';
import { describe, expect, test } from 'vitest';
import { Exchange } from '../../../src/plan/exchange.ts';
import { formatProblem } from '../../../src/base/problem.ts';
import { printPlan } from '../../../src/plan/print.ts';
import { run } from '../../../src/plan/run.ts';
import { compileListener } from '../../../src/sidecar/compile.ts';
import { readRuntime } from '../../../src/sidecar/compile-runtime.ts';
import type { HttpManager } from '../../../src/sidecar/http-manager.ts';
import type { TcpProxy } from '../../../src/sidecar/listener-config.ts';
import { aBootstrap, aContext, aListener, aManager, aTcpProxy, ROUTER } from './manager-builders.ts';

function managerOf(extra: JsonObject, runtime: Readonly<Record<string, number>> = {}): HttpManager {
  const { value, problems } = compileListener(aListener([aManager(extra)]), aContext(runtime));
  const chain = value?.config.chains[0];
  if (chain?.kind !== 'http') throw new Error(problems.map(formatProblem).join('\n'));
  return chain.manager;
}

function settingsOf(extra: JsonObject, runtime?: Readonly<Record<string, number>>): Partial<HttpManager> {
  const { routes, missPlan, ...settings } = managerOf(extra, runtime);
  expect([routes.name, missPlan.route]).toEqual(['rds' in extra ? 'r' : 'routes', '']);
  return settings;
}

const DEFAULTS: Partial<HttpManager> = {
  statPrefix: 'in',
  serverName: 'envoy',
  serverHeader: 'overwrite',
  useRemoteAddress: false,
  xffTrustedHops: 0,
  skipXffAppend: false,
  generatesRequestId: true,
  preservesExternalRequestId: false,
  alwaysSetsRequestIdInResponse: false,
  via: '',
  detectsHttp2: true,
  acceptsHttp10: false,
  defaultHostForHttp10: '',
  normalizesPath: false,
  mergesSlashes: false,
  escapedSlashes: 'keep',
  stripsAnyHostPort: false,
  stripsMatchingHostPort: false,
  stripsTrailingHostDot: false,
  explainsErrors: true,
  suppressesEnvoyHeaders: false,
  requestHeadersTimeoutMs: 0,
  requestTimeoutMs: 0,
  streamIdleTimeoutMs: 300_000,
  idleTimeoutMs: 3_600_000,
  maxConnectionDurationMs: 0,
  maxStreamDurationMs: 0,
  maxRequestsPerConnection: 0,
  headBytesMax: 61_440,
  headerCountMax: 100,
};

test("a manager that says nothing has Envoy's defaults", () => {
  expect(settingsOf({})).toMatchObject(DEFAULTS);
});

test.each<[string, JsonObject, Partial<HttpManager>]>([
  ['stat_prefix', { stat_prefix: 'x' }, { statPrefix: 'x' }],
  ['server_name', { server_name: 'me' }, { serverName: 'me' }],
  [
    'server_header_transformation',
    { server_header_transformation: 'APPEND_IF_ABSENT' },
    { serverHeader: 'append-if-absent' },
  ],
  ['server_header_transformation', { server_header_transformation: 'PASS_THROUGH' }, { serverHeader: 'pass-through' }],
  ['use_remote_address', { use_remote_address: true }, { useRemoteAddress: true }],
  ['xff_num_trusted_hops', { xff_num_trusted_hops: 2 }, { xffTrustedHops: 2 }],
  ['skip_xff_append', { skip_xff_append: true }, { skipXffAppend: true }],
  ['generate_request_id', { generate_request_id: false }, { generatesRequestId: false }],
  ['preserve_external_request_id', { preserve_external_request_id: true }, { preservesExternalRequestId: true }],
  [
    'always_set_request_id_in_response',
    { always_set_request_id_in_response: true },
    { alwaysSetsRequestIdInResponse: true },
  ],
  ['via', { via: '1.1 me' }, { via: '1.1 me' }],
  [
    'http_protocol_options',
    { http_protocol_options: { accept_http_10: true, default_host_for_http_10: 'h' } },
    { acceptsHttp10: true, defaultHostForHttp10: 'h' },
  ],
  ['normalize_path', { normalize_path: true }, { normalizesPath: true }],
  ['merge_slashes', { merge_slashes: true }, { mergesSlashes: true }],
  ['KEEP_UNCHANGED', { path_with_escaped_slashes_action: 'KEEP_UNCHANGED' }, { escapedSlashes: 'keep' }],
  ['REJECT_REQUEST', { path_with_escaped_slashes_action: 'REJECT_REQUEST' }, { escapedSlashes: 'reject' }],
  [
    'UNESCAPE_AND_REDIRECT',
    { path_with_escaped_slashes_action: 'UNESCAPE_AND_REDIRECT' },
    { escapedSlashes: 'unescape-redirect' },
  ],
  [
    'UNESCAPE_AND_FORWARD',
    { path_with_escaped_slashes_action: 'UNESCAPE_AND_FORWARD' },
    { escapedSlashes: 'unescape-forward' },
  ],
  ['strip_any_host_port', { strip_any_host_port: true }, { stripsAnyHostPort: true }],
  ['strip_matching_host_port', { strip_matching_host_port: true }, { stripsMatchingHostPort: true }],
  ['strip_trailing_host_dot', { strip_trailing_host_dot: true }, { stripsTrailingHostDot: true }],
  [
    'suppress_envoy_headers',
    {
      http_filters: [
        {
          ...ROUTER,
          typed_config: {
            '@type': 'type.googleapis.com/envoy.extensions.filters.http.router.v3.Router',
            suppress_envoy_headers: true,
          },
        },
      ],
    },
    { suppressesEnvoyHeaders: true },
  ],
  ['request_headers_timeout', { request_headers_timeout: '1.5s' }, { requestHeadersTimeoutMs: 1500 }],
  ['request_timeout', { request_timeout: '2s' }, { requestTimeoutMs: 2000 }],
  ['stream_idle_timeout off', { stream_idle_timeout: '0s' }, { streamIdleTimeoutMs: 0 }],
  [
    'common options',
    {
      common_http_protocol_options: {
        idle_timeout: '0s',
        max_connection_duration: '3s',
        max_stream_duration: '4s',
        max_requests_per_connection: 5,
        max_headers_count: 6,
      },
    },
    {
      idleTimeoutMs: 0,
      maxConnectionDurationMs: 3000,
      maxStreamDurationMs: 4000,
      maxRequestsPerConnection: 5,
      headerCountMax: 6,
    },
  ],
  ['a timeout below a millisecond is not off', { request_timeout: '0.0001s' }, { requestTimeoutMs: 1 }],
  ['max_request_headers_kb', { max_request_headers_kb: 96 }, { headBytesMax: 98_304 }],
])('%s is taken over, and nothing else changes', (_name, extra, expected) => {
  expect(settingsOf(extra)).toMatchObject({ ...DEFAULTS, ...expected });
});

test.each([
  ['http_connection_manager.normalize_path', 100, { normalizesPath: true }],
  ['outrigger.explains_errors', 0, { explainsErrors: false }],
])('the runtime key %s = %d counts', (key, value, expected) => {
  expect(settingsOf({}, { [key]: value })).toMatchObject(expected);
});

describe('a listener', () => {
  test('has its address, direction, buffer limit and name', () => {
    const listener = aListener([aManager()], { traffic_direction: 'INBOUND', per_connection_buffer_limit_bytes: 4096 });
    const { config } = compileListener(listener, aContext()).value ?? {};
    expect(config).toMatchObject({
      name: 'main',
      address: '127.0.0.1',
      port: 0,
      isInbound: true,
      bufferBytesMax: 4096,
    });
  });

  test('is named by its address when it has no name, and may listen on a path', () => {
    const listener = aListener([aManager()], { name: '', address: { pipe: { path: '/tmp/x' } } });
    const { config } = compileListener(listener, aContext()).value ?? {};
    expect(config).toMatchObject({ name: '/tmp/x:0', address: '/tmp/x', port: 0, bufferBytesMax: 1_048_576 });
  });

  test('uses its default chain when it has no other', () => {
    const listener = aListener([], { filter_chains: [], default_filter_chain: { filters: [aManager()] } });
    expect(compileListener(listener, aContext()).value?.config.chains).toHaveLength(1);
  });

  test('with routes by RDS has no table yet and says what to ask for and how long to wait', () => {
    const rds = { route_config_name: 'r', config_source: { ads: {}, initial_fetch_timeout: '2s' } };
    const { value } = compileListener(aListener([aManager({ rds })]), aContext());
    expect(value?.routes.map(({ rdsName, fetchTimeoutMs, ref }) => [rdsName, fetchTimeoutMs, ref.table])).toEqual([
      ['r', 2000, null],
    ]);
  });

  test('with a bad route is refused with the path of the route', () => {
    const virtual_hosts = [{ name: 'v', domains: ['*'], routes: [{ match: { prefix: '/' }, route: {} }] }];
    const { value, problems } = compileListener(aListener([aManager({ route_config: { virtual_hosts } })]), aContext());
    expect(value).toBe(null);
    const path = 'filter_chains[0].filters[0].typed_config.route_config.virtual_hosts[0].routes[0]';
    expect(problems.filter(({ severity }) => severity === 'error').map((problem) => problem.path)[0]).toContain(path);
  });
});

describe('the pipeline', () => {
  test('permits every request, on routes and on requests that no route matches', () => {
    const manager = managerOf({});
    const x = new Exchange();
    expect([run(x, manager.missPlan.onRequest), x.isPermitted]).toEqual([0, true]);
    expect(manager.missPlan.onEnd.length).toBeGreaterThan(0);
  });

  test('permits before the route and counts at the end', () => {
    const { value } = compileListener(aListener([aManager()]), aContext());
    const plan = value?.routes[0]?.plans[0];
    const text = plan === undefined ? '' : printPlan(plan);
    expect(text.indexOf('permit')).toBeGreaterThan(0);
    expect(text).toContain('onEnd');
    expect(plan?.onRequest[0]?.name).toBe('permit');
  });
});

function proxyOf(extra: JsonObject): TcpProxy {
  const chain = compileListener(aListener([aTcpProxy(extra)]), aContext()).value?.config.chains[0];
  if (chain?.kind !== 'tcp') throw new Error('no TCP proxy');
  return chain.proxy;
}

describe('a TCP proxy', () => {
  test("to one cluster has Envoy's defaults", () => {
    const { clusters, onEnd, ...rest } = proxyOf({ cluster: 'a' });
    expect(clusters.map(({ name }) => name)).toEqual(['a']);
    expect(onEnd).toEqual([]);
    expect(rest).toMatchObject({
      statPrefix: 'tcp',
      points: [1],
      idleTimeoutMs: 3_600_000,
      maxConnectAttempts: 1,
      hashesSourceIp: false,
    });
  });

  test('to several clusters has cumulative shares', () => {
    const weighted_clusters = {
      clusters: [
        { name: 'a', weight: 1 },
        { name: 'b', weight: 3 },
      ],
    };
    const proxy = proxyOf({ weighted_clusters, idle_timeout: '0s', max_connect_attempts: 3 });
    expect(proxy).toMatchObject({ points: [0.25, 1], idleTimeoutMs: 0, maxConnectAttempts: 3 });
  });
});

function at(address: string, port = 15_001): JsonObject {
  return { socket_address: { address, port_value: port } };
}

function withAddresses(first: JsonObject, ...others: readonly JsonObject[]) {
  const listener = aListener([aTcpProxy({ cluster: 'a' })], {
    address: first,
    additional_addresses: others.map((address) => ({ address })),
  });
  const { value, problems } = compileListener(listener, aContext());
  return { place: value?.config.address, problems: problems.map(formatProblem) };
}

describe('additional addresses', () => {
  test('of both families are one socket for both', () => {
    expect(withAddresses(at('0.0.0.0'), at('::'))).toEqual({ place: '::', problems: [] });
    expect(withAddresses(at('::'), at('0.0.0.0'))).toEqual({ place: '::', problems: [] });
    expect(withAddresses(at('0.0.0.0'))).toEqual({ place: '0.0.0.0', problems: [] });
  });

  test.each([
    ['of another port', at('0.0.0.0'), at('::', 15_002)],
    ['of one interface', at('0.0.0.0'), at('fd00::1')],
    ['beside one interface', at('127.0.0.1'), at('::')],
  ])('%s are refused', (_, first, other) => {
    expect(withAddresses(first, other).problems).toEqual([
      'additional_addresses[0].address: only :: beside 0.0.0.0 is supported; write one listener for each address',
    ]);
  });
});

test('runtime values are numbers by dotted key, later layers win, percents are percent', () => {
  const layers = [
    { name: 'one', static_layer: { a: { b: 1, c: true }, 'd.e': '2.5', text: 'no' } },
    { name: 'two', static_layer: { a: { b: 7 }, f: { numerator: 5, denominator: 'TEN_THOUSAND' } } },
    { name: 'admin', admin_layer: {} },
  ];
  expect(readRuntime(aBootstrap({ layered_runtime: { layers } }).layeredRuntime)).toEqual(
    new Map([
      ['a.b', 7],
      ['a.c', 1],
      ['d.e', 2.5],
      ['f', 0.05],
    ]),
  );
});
