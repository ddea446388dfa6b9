// Reading bootstraps: every mistake at once, each with its path, its place and what to write instead.
import { describe, expect, test } from 'vitest';
import { formatProblem } from '../../../src/base/problem.ts';
import { nearest } from '../../../src/sidecar/bootstrap-check.ts';
import { parseBootstrap } from '../../../src/sidecar/bootstrap.ts';
import { parsePath } from '../../../src/sidecar/bootstrap-text.ts';

function problemsOf(text: string): readonly string[] {
  return parseBootstrap(text, 'b.yaml').problems.map(formatProblem);
}

const HCM = 'type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager';

describe('a bootstrap that is right', () => {
  test('may spell fields in snake_case or camelCase, and numbers as strings', () => {
    const { bootstrap, problems } = parseBootstrap(
      `
node: { id: n, cluster: c }
staticResources:
  clusters:
  - name: a
    connect_timeout: 0.25s
    maxRequestsPerConnection: "7"
    dnsRefreshRate: 1.5s
`,
      'b.yaml',
    );
    expect(problems).toEqual([]);
    const cluster = bootstrap?.staticResources?.clusters[0];
    expect([cluster?.connectTimeout?.nanos, cluster?.maxRequestsPerConnection]).toEqual([250_000_000, 7]);
  });

  test('may be JSON', () => {
    expect(parseBootstrap('{"node": {"id": "n"}}', 'b.json').bootstrap?.node?.id).toBe('n');
  });

  test('may use anchors, aliases and merge keys', () => {
    const text = `
static_resources:
  clusters:
  - &one { name: a, connect_timeout: 1s }
  - { <<: *one, name: b }
`;
    const clusters = parseBootstrap(text, 'b.yaml').bootstrap?.staticResources?.clusters;
    expect(clusters?.map(({ name, connectTimeout }) => [name, connectTimeout?.seconds])).toEqual([
      ['a', 1n],
      ['b', 1n],
    ]);
  });

  test('may write an extension as a TypedStruct', () => {
    const text = `
static_resources:
  listeners:
  - filter_chains:
    - filters:
      - name: http
        typed_config:
          "@type": type.googleapis.com/xds.type.v3.TypedStruct
          type_url: ${HCM}
          value: { stat_prefix: in }
`;
    const { bootstrap, problems, locate } = parseBootstrap(text, 'b.yaml');
    expect(problems).toEqual([]);
    const filter = bootstrap?.staticResources?.listeners[0]?.filterChains[0]?.filters[0];
    expect(filter?.configType.value).toMatchObject({ typeUrl: HCM });
    expect(locate('static_resources.listeners[0].filter_chains[0].filters[0].typed_config.stat_prefix')).toMatchObject({
      line: 10,
      column: 20,
    });
  });
});

const HEAD = 'static_resources:\n  clusters:\n  - name: a\n';
const AT = 'static_resources.clusters[0]';

describe('a mistake is told with its place and what to write instead', () => {
  test.each([
    [
      'an unknown field with a near name',
      '    conect_timeout: 1s\n',
      `4:5: ${AT}.conect_timeout: envoy.config.cluster.v3.Cluster has no field "conect_timeout"; did you mean connect_timeout?`,
    ],
    [
      'a field that the API dropped',
      '    hosts: []\n',
      `4:5: ${AT}.hosts: envoy.config.cluster.v3.Cluster has no field "hosts"; write load_assignment with endpoints`,
    ],
    [
      'a duration without unit',
      '    connect_timeout: 5\n',
      `4:5: ${AT}.connect_timeout: must be a duration, not the number 5; write seconds with an s, for example 0.25s`,
    ],
    [
      'an unknown enum name',
      '    type: STATIK\n',
      `4:5: ${AT}.type: "STATIK" is not a value of envoy.config.cluster.v3.Cluster.DiscoveryType; did you mean STATIC?`,
    ],
    [
      'a number for a string',
      '    alt_stat_name: 5\n',
      `4:5: ${AT}.alt_stat_name: must be a string, not the number 5; put it in quotes`,
    ],
    [
      'a string for a flag',
      '    respect_dns_ttl: "yes"\n',
      `4:5: ${AT}.respect_dns_ttl: must be true or false, not the string "yes"`,
    ],
    [
      'a negative count',
      '    max_requests_per_connection: -1\n',
      `4:5: ${AT}.max_requests_per_connection: must be between 0 and 4294967295, not -1`,
    ],
    [
      'a mapping where a list belongs',
      '    health_checks: {}\n',
      `4:5: ${AT}.health_checks: must be a list, not a mapping; put a dash before it`,
    ],
    [
      'a list where a mapping belongs',
      '    load_assignment: []\n',
      `4:5: ${AT}.load_assignment: must be a mapping, not a list; see envoy.config.endpoint.v3.ClusterLoadAssignment`,
    ],
    [
      'two fields of one choice',
      '    type: STATIC\n    cluster_type: { name: x }\n',
      `5:5: ${AT}.cluster_type: only one of type, cluster_type may be set; remove the others`,
    ],
    [
      'an extension without its type',
      '    transport_socket: { name: x, typed_config: { a: 1 } }\n',
      `4:34: ${AT}.transport_socket.typed_config: @type is missing; write "@type": type.googleapis.com/<message>`,
    ],
  ])('%s', (_name, line, expected) => {
    expect(problemsOf(HEAD + line)).toEqual([`b.yaml:${expected}`]);
  });

  test('all mistakes of a file are told at once', () => {
    const problems = problemsOf(`${HEAD}    typ: STATIC\n    connect_timeout: x\n  - nam: b\nadmn: {}\n`);
    expect(problems.map((line) => line.split(': ')[1])).toEqual([
      `${AT}.typ`,
      `${AT}.connect_timeout`,
      'static_resources.clusters[1].nam',
      'admn',
    ]);
  });

  test('inside an extension, the place is that of the line in the file', () => {
    const text = `
static_resources:
  listeners:
  - filter_chains:
    - filters:
      - name: http
        typed_config:
          "@type": ${HCM}
          stat_prefx: in
`;
    expect(problemsOf(text)).toEqual([
      `b.yaml:9:11: static_resources.listeners[0].filter_chains[0].filters[0].typed_config.stat_prefx: envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager has no field "stat_prefx"; did you mean stat_prefix?`,
    ]);
  });

  test('broken YAML is told with its place', () => {
    expect(problemsOf('a: [1\nb: 2\n')[0]).toMatch(/^b\.yaml:\d+:\d+: .+; the file must be YAML or JSON$/);
  });

  test.each(['', '[]', '5', '# nothing\n'])('a file without a mapping (%j) holds no bootstrap', (text) => {
    const { bootstrap, problems } = parseBootstrap(text, 'b.yaml');
    expect([bootstrap, problems.length > 0]).toEqual([null, true]);
  });

  test('an alias bomb is refused, not expanded', () => {
    const levels = Array.from({ length: 12 }, (_, i) => `a${i + 1}: &a${i + 1} [${Array(9).fill(`*a${i}`).join(',')}]`);
    expect(parseBootstrap(`a0: &a0 [x]\n${levels.join('\n')}\n`, 'b.yaml').bootstrap).toBe(null);
  });

  test('what can be read of a file with mistakes is handed out to look for more', () => {
    const { bootstrap, partial } = parseBootstrap(`${HEAD}    typ: STATIC\n`, 'b.yaml');
    expect([bootstrap, partial?.staticResources?.clusters[0]?.name]).toEqual([null, 'a']);
  });
});

test.each([
  ['a.b[0].c', ['a', 'b', 0, 'c']],
  ['m["x.y"].z', ['m', 'x.y', 'z']],
  ['', []],
])('the path %j has the steps %j', (path, steps) => {
  expect(parsePath(path)).toEqual(steps);
});

test.each([
  ['stat_prefx', 'stat_prefix'],
  ['port', 'port_value'],
  ['zzzzzz', null],
])('the nearest name to %j is %j', (name, expected) => {
  expect(nearest(name, ['stat_prefix', 'port_value', 'named'])).toBe(expected);
});
