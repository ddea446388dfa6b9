// What becomes of an Envoy HealthCheck: defaults, what is refused as Envoy 1.40 refuses it, and what is only warned of.
import type { JsonObject, JsonValue } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import { compiled } from './cluster-builders.ts';
import { BASE, compiledChecks } from './health-builders.ts';

const HTTP = 'c.health_checks[0].http_health_check';
const CHECK = 'c.health_checks[0]';
const http = (fields: JsonObject): JsonObject => ({ ...BASE, http_health_check: { path: '/', ...fields } });
const tcp = (fields: JsonObject): JsonObject => ({ ...BASE, tcp_health_check: fields });
const checked = (fields: JsonObject): JsonObject => ({ ...http({}), ...fields });

function without(field: string): JsonObject {
  return Object.fromEntries(Object.entries(http({})).filter(([name]) => name !== field));
}

const added = (key: string, value = 'v', fields: JsonObject = {}): JsonObject =>
  http({ request_headers_to_add: [{ header: { key, value }, ...fields }] });

describe('defaults', () => {
  it('are those of Envoy for HTTP', () => {
    const [settings] = compiledChecks(http({})).settings;
    expect({ ...settings, fingerprint: '' }).toEqual({
      name: '',
      timeoutMs: 1000,
      intervalMs: 10_000,
      initialJitterMs: 0,
      intervalJitterMs: 0,
      intervalJitterPercent: 0,
      unhealthyThreshold: 3,
      healthyThreshold: 2,
      port: 0,
      reusesConnection: true,
      noTrafficIntervalMs: 60_000,
      noTrafficHealthyIntervalMs: 60_000,
      unhealthyIntervalMs: 10_000,
      unhealthyEdgeIntervalMs: 10_000,
      healthyEdgeIntervalMs: 10_000,
      probe: {
        kind: 'http',
        host: '',
        path: '/',
        method: 'GET',
        send: null,
        receive: [],
        bodyBytesMax: 1024,
        headersToAdd: [],
        headersToRemove: [],
        expected: [{ start: 200, end: 201 }],
        retriable: [],
        serviceName: null,
      },
      eventPaths: [],
      logsEveryFailure: false,
      logsEverySuccess: false,
      alpnProtocols: [],
      transportMatch: null,
      fingerprint: '',
    });
  });

  it('are those of Envoy for TCP', () => {
    expect(compiledChecks(tcp({})).settings[0]?.probe).toEqual({
      kind: 'tcp',
      send: null,
      receive: [],
      proxyVersion: null,
    });
  });

  it('take every other field as it is written', () => {
    const { settings, problems } = compiledChecks(
      checked({
        name: 'n',
        alt_port: 81,
        reuse_connection: false,
        event_log_path: '/a',
        event_logger: [
          {
            name: 'f',
            typed_config: {
              '@type': 'type.googleapis.com/envoy.extensions.health_check.event_sinks.file.v3.HealthCheckEventFileSink',
              event_log_path: '/b',
            },
          },
        ],
        always_log_health_check_failures: true,
        always_log_health_check_success: true,
        tls_options: { alpn_protocols: ['x'] },
        transport_socket_match_criteria: { m: true },
      }),
    );
    const [first] = settings;
    expect(problems).toEqual([]);
    expect(first).toMatchObject({
      name: 'n',
      port: 81,
      reusesConnection: false,
      eventPaths: ['/a', '/b'],
      logsEveryFailure: true,
      logsEverySuccess: true,
      alpnProtocols: ['x'],
      transportMatch: new Map([['m', 'true']]),
    });
  });
});

describe('what is refused', () => {
  const GIVEN = 'must be set';
  it.each<[name: string, json: JsonObject, problem: string]>([
    ['no timeout', without('timeout'), `${CHECK}.timeout: ${GIVEN}`],
    ['no interval', without('interval'), `${CHECK}.interval: ${GIVEN}`],
    ['no unhealthy_threshold', without('unhealthy_threshold'), `${CHECK}.unhealthy_threshold: ${GIVEN}`],
    ['no healthy_threshold', without('healthy_threshold'), `${CHECK}.healthy_threshold: ${GIVEN}`],
    ['no checker', { ...BASE }, `${CHECK}: does not say what to check`],
    ...(
      [
        'timeout',
        'interval',
        'no_traffic_interval',
        'no_traffic_healthy_interval',
        'unhealthy_interval',
        'unhealthy_edge_interval',
        'healthy_edge_interval',
      ] as const
    ).map((field): [string, JsonObject, string] => [
      `${field} of 0`,
      checked({ [field]: '0s' }),
      `${CHECK}.${field}: a duration of 0s is too short`,
    ]),
    [
      'a negative jitter',
      checked({ interval_jitter: '-1s' }),
      `${CHECK}.interval_jitter: a duration of -1s is too short`,
    ],
    [
      'a negative first jitter',
      checked({ initial_jitter: '-1s' }),
      `${CHECK}.initial_jitter: a duration of -1s is too short`,
    ],
    ['no path', http({ path: '' }), `${HTTP}.path: ${GIVEN}`],
    ['a path that no request can have', http({ path: '/a b' }), `${HTTP}.path: is no path of a request`],
    ['a host with a line feed', http({ host: 'a\nb' }), `${HTTP}.host: may not hold control characters`],
    ['CONNECT', http({ method: 'CONNECT' }), `${HTTP}.method: is no method of a check`],
    ['a payload of GET', http({ send: { text: '00' } }), `${HTTP}.send: a request of method GET has no payload`],
    ['hexadecimal that is none', http({ receive: [{ text: 'zz' }] }), `${HTTP}.receive[0]: invalid hex string 'zz'`],
    ['half a byte', tcp({ send: { text: 'abc' } }), `${CHECK}.tcp_health_check.send: invalid hex string 'abc'`],
    ['an empty payload', http({ receive: [{}] }), `${HTTP}.receive[0]: has no payload`],
    [
      'a range that ends before it starts',
      http({ expected_statuses: [{ start: 300, end: 200 }] }),
      `${HTTP}.expected_statuses[0]: invalid expected status range: expecting start < end, but found start=300 and end=200`,
    ],
    [
      'a range below 100',
      http({ retriable_statuses: [{ start: 99, end: 200 }] }),
      `${HTTP}.retriable_statuses[0]: invalid retriable status range: expecting start >= 100, but found start=99`,
    ],
    [
      'a range beyond 600',
      http({ expected_statuses: [{ start: 100, end: 601 }] }),
      `${HTTP}.expected_statuses[0]: invalid expected status range: expecting end <= 600, but found end=601`,
    ],
    [
      'HTTP/2',
      http({ codec_client_type: 'HTTP2' }),
      `${HTTP}.codec_client_type: checks over HTTP/2 are not supported yet`,
    ],
    ['HTTP/3', http({ codec_client_type: 'HTTP3' }), `${HTTP}.codec_client_type: HTTP/3 is not supported`],
    [
      'an edit of Host',
      added('Host'),
      `${HTTP}.request_headers_to_add[0].header.key: :-prefixed or host headers may not be modified`,
    ],
    [
      'removal of Host',
      http({ request_headers_to_remove: ['host'] }),
      `${HTTP}.request_headers_to_remove[0]: :-prefixed or host headers may not be removed`,
    ],
    ['no header', http({ request_headers_to_add: [{}] }), `${HTTP}.request_headers_to_add[0].header: is required`],
    [
      'a matcher without a pattern',
      http({ service_name_matcher: {} }),
      `${HTTP}.service_name_matcher: has no match pattern`,
    ],
    [
      'gRPC',
      { ...BASE, grpc_health_check: {} },
      `${CHECK}.grpc_health_check: gRPC health checks are not supported yet`,
    ],
    [
      'custom checks',
      { ...BASE, custom_health_check: { name: 'x' } },
      `${CHECK}.custom_health_check: x is not supported`,
    ],
    ['an event service', checked({ event_service: {} }), `${CHECK}.event_service: events are not sent over gRPC`],
    [
      'a sink that is none',
      checked({ event_logger: [{ name: 'f' }] }),
      `${CHECK}.event_logger[0]: event sink f is not supported`,
    ],
    ['a port that is none', checked({ alt_port: 65_536 }), `${CHECK}.alt_port: 65536 is not a port`],
  ])('%s', (_name, json, problem) => {
    expect(compiledChecks(json).problems).toEqual([`error ${problem}`]);
  });

  it('several checks without names, and names that are the same', () => {
    expect(compiledChecks(http({}), { ...http({}), name: 'a' }, { ...http({}), name: 'a' }).problems).toEqual([
      'error c.health_checks[0].name: must be set',
      "error c.health_checks[2].name: 'a' is the name of an earlier check",
    ]);
  });
});

describe('what is only warned of', () => {
  it.each<[name: string, field: string, value: JsonValue]>([
    ['an unhealthy_threshold that is never reached', 'unhealthy_threshold', 0],
    ['a healthy_threshold that is never reached', 'healthy_threshold', 0],
  ])('%s', (_name, field, value) => {
    expect(compiledChecks(checked({ [field]: value })).problems).toEqual([
      `warning ${CHECK}.${field}: is never reached`,
    ]);
  });

  it('a header that frames the request', () => {
    const { problems, settings } = compiledChecks(added('Connection'));
    expect(problems).toHaveLength(1);
    expect(settings[0]?.probe).toMatchObject({ headersToAdd: [] });
  });

  it('checks of whatever connections were going to', () => {
    const json = { type: 'ORIGINAL_DST', lb_policy: 'CLUSTER_PROVIDED', health_checks: [http({})] };
    expect(compiled(json).problems.map(({ path, severity }) => `${severity} ${path}`)).toEqual([
      'warning clusters[0].health_checks',
    ]);
  });
});
