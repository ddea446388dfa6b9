// Routes that forward: where to, with which path, host, headers and times.
import type { JsonObject } from '@bufbuild/protobuf';
import { describe, expect, test } from 'vitest';
import { CONTINUE, REPLY } from '../../../src/plan/plan.ts';
import { FLAGS } from '../../../src/plan/response-flags.ts';
import type { Exchange } from '../../../src/plan/exchange.ts';
import type { Cluster } from '../../../src/plan/cluster.ts';
import { clusterId } from '../../../src/base/brand.ts';
import { run } from '../../../src/plan/run.ts';
import { oneHost } from './routing-case.ts';
import { anExchange, begin, compileTable, type CompileOptions } from './routing-table.ts';

function aCluster(name: string): Cluster {
  return {
    name: clusterId(name),
    connectTimeoutMs: 5000,
    idleTimeoutMs: 0,
    maxRequestsPerConnection: 0,
    picker: { pick: () => null },
    endpoints: [],
    metadata: new Map(),
    isWarm: true,
  };
}

const LIVE = ['one', 'two', 'three'];

/** Runs one request through one route. */
function forward(route: JsonObject, line: string, options: CompileOptions = {}, config: JsonObject = {}): Exchange {
  const { table, problems, env } = compileTable(
    { ...oneHost({ match: { prefix: '/' }, ...route }), ...config },
    options,
  );
  expect(problems).toEqual([]);
  for (const name of LIVE) env.clusterRef(name).cluster = aCluster(name);
  const x = anExchange(line);
  if (table !== null) begin(table, x);
  return x;
}

const shown = (x: Exchange): string => {
  const headers: string[] = [];
  for (let i = 0; i < x.request.count; i++) {
    if (!x.request.isRemovedAt(i) && x.request.nameAt(i) !== 'host')
      headers.push(`${x.request.nameAt(i)}: ${x.request.valueAt(i)}`);
  }
  return [`${x.cluster?.name} ${x.request.authority} ${x.request.path}`, ...headers].join(' | ');
};

const regex = (pattern: string, substitution: string): JsonObject => ({ pattern: { regex: pattern }, substitution });
const cluster = { cluster: 'one' };
const header = (key: string, value: string, appendAction = 'APPEND_IF_EXISTS_OR_ADD'): JsonObject => ({
  header: { key, value },
  appendAction,
});
const templateMatch = {
  pathMatchPolicy: {
    name: 'm',
    typedConfig: {
      '@type': 'type.googleapis.com/envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig',
      pathTemplate: '/v/{lang}/{file}',
    },
  },
};
const templateRewrite = {
  name: 'r',
  typedConfig: {
    '@type': 'type.googleapis.com/envoy.extensions.path.rewrite.uri_template.v3.UriTemplateRewriteConfig',
    pathTemplateRewrite: '/{file}/{lang}',
  },
};

describe('rewrites', () => {
  test.each<[string, JsonObject, string, string]>([
    ['nothing', { route: cluster }, 'GET h /a?b=c', 'one h /a?b=c'],
    [
      'a prefix',
      { match: { prefix: '/a' }, route: { ...cluster, prefixRewrite: '/x' } },
      'GET h /a/b?c',
      'one h /x/b?c | x-envoy-original-path: /a/b?c',
    ],
    [
      'an exact path',
      { match: { path: '/a' }, route: { ...cluster, prefixRewrite: '/x' } },
      'GET h /a?c',
      'one h /x?c | x-envoy-original-path: /a?c',
    ],
    [
      'a path matched by regex',
      { match: { safeRegex: { regex: '/a.*' } }, route: { ...cluster, prefixRewrite: '/x' } },
      'GET h /abc?c',
      'one h /x?c | x-envoy-original-path: /abc?c',
    ],
    [
      'by regex',
      { route: { ...cluster, regexRewrite: regex('^/service/([^/]+)(/.*)$', '\\2/instance/\\1') } },
      'GET h /service/foo/v1/api?q',
      'one h /v1/api/instance/foo?q | x-envoy-original-path: /service/foo/v1/api?q',
    ],
    [
      'by template',
      { match: templateMatch, route: { ...cluster, pathRewritePolicy: templateRewrite } },
      'GET h /v/en/f.m4s?q',
      'one h /f.m4s/en?q | x-envoy-original-path: /v/en/f.m4s?q',
    ],
    [
      'the host',
      { route: { ...cluster, hostRewriteLiteral: 'new.com' } },
      'GET h /',
      'one new.com / | x-envoy-original-host: h',
    ],
    [
      'the host and keeps it',
      { route: { ...cluster, hostRewriteLiteral: 'new.com', appendXForwardedHost: true } },
      'GET h /',
      'one new.com / | x-forwarded-host: h | x-envoy-original-host: h',
    ],
    [
      'the host and keeps it once',
      { route: { ...cluster, hostRewriteLiteral: 'new.com', appendXForwardedHost: true } },
      'GET h / | x-forwarded-host: a, h',
      'one new.com / | x-forwarded-host: a, h | x-envoy-original-host: h',
    ],
    [
      'the host from a header',
      { route: { ...cluster, hostRewriteHeader: 'x-host' } },
      'GET h / | x-host: other',
      'one other / | x-host: other | x-envoy-original-host: h',
    ],
    ['no host from a missing header', { route: { ...cluster, hostRewriteHeader: 'x-host' } }, 'GET h /', 'one h /'],
    [
      'the host from the path',
      { route: { ...cluster, hostRewritePathRegex: regex('^/(.+)/.+$', '\\1') } },
      'GET h /e.io/some?x',
      'one e.io /e.io/some?x | x-envoy-original-host: h',
    ],
  ])('%s', (_name, route, line, wanted) => {
    expect(shown(forward(route, line))).toBe(wanted);
  });

  test('leaves out x-envoy-original-path when headers of Envoy are suppressed', () => {
    const x = forward({ route: { ...cluster, prefixRewrite: '/x/' } }, 'GET h /a', { suppressesEnvoyHeaders: true });
    expect(shown(x)).toBe('one h /x/a');
    expect(x.originalPath).toBe('/a');
  });
});

describe('request header edits', () => {
  test('see the request before the rewrites and run from the route outwards', () => {
    const route = {
      route: { ...cluster, prefixRewrite: '/x/', hostRewriteLiteral: 'new' },
      requestHeadersToAdd: [
        header('x-path', '%REQ(:path)% %REQ(:authority)%'),
        header('x-l', 'route', 'OVERWRITE_IF_EXISTS_OR_ADD'),
      ],
      requestHeadersToRemove: ['x-gone'],
    };
    const x = forward(
      route,
      'GET h /a | x-gone: 1 | x-kept: 2',
      {},
      { requestHeadersToAdd: [header('x-l', 'config', 'OVERWRITE_IF_EXISTS_OR_ADD')] },
    );
    expect(shown(x)).toBe(
      'one new /x/a | x-kept: 2 | x-path: /a h | x-l: config | x-envoy-original-host: h | x-envoy-original-path: /a',
    );
  });

  test('of a weighted cluster come first', () => {
    const clusters = [
      { name: 'one', weight: 1, requestHeadersToAdd: [header('x-l', 'split')], hostRewriteLiteral: 'split.com' },
    ];
    const x = forward(
      { route: { weightedClusters: { clusters } }, requestHeadersToAdd: [header('x-l', 'route')] },
      'GET h /',
    );
    expect(shown(x)).toBe('one split.com / | x-l: split | x-l: route');
  });
});

describe('splits', () => {
  const clusters = [
    { name: 'one', weight: 20 },
    { name: 'two', weight: 30 },
    { name: 'three', weight: 50 },
  ];
  test.each<[number, string]>([
    [0, 'one'],
    [0.1999, 'one'],
    [0.2, 'two'],
    [0.4999, 'two'],
    [0.5, 'three'],
    [0.9999, 'three'],
  ])('a draw of %d goes to %s', (point, wanted) => {
    expect(
      forward({ route: { weightedClusters: { clusters } } }, 'GET h /', { random: () => point }).cluster?.name,
    ).toBe(wanted);
  });

  test.each<[string, string]>([
    ['0', 'one'],
    ['119', 'one'],
    ['120', 'two'],
    ['18446744073709551615', 'one'],
    ['18446744073709551616', 'three'],
    ['abc', 'three'],
    ['20 | x-value: 20', 'three'],
  ])('a header of %s goes to %s', (value, wanted) => {
    const route = { route: { weightedClusters: { clusters, headerName: 'x-value' } } };
    expect(forward(route, `GET h / | x-value: ${value}`, { random: () => 0.99 }).cluster?.name).toBe(wanted);
  });

  test('weights of the runtime win', () => {
    const route = { route: { weightedClusters: { clusters, runtimeKeyPrefix: 'w' } } };
    const x = forward(route, 'GET h /', { random: () => 0, runtime: { 'w.one': 0, 'w.two': 0 } });
    expect(x.cluster?.name).toBe('three');
  });

  test('a header names the cluster', () => {
    expect(forward({ route: { clusterHeader: 'X-Cluster' } }, 'GET h / | x-cluster: two').cluster?.name).toBe('two');
  });
});

test('an absent cluster is answered with its status, flag and details', () => {
  const x = forward({ route: { cluster: 'nobody', clusterNotFoundResponseCode: 'NOT_FOUND' } }, 'GET h /');
  expect([x.response.status, x.flags, x.details, x.cluster?.name]).toEqual([
    404,
    FLAGS.NC,
    'cluster_not_found',
    'nobody',
  ]);
});

test.each<[JsonObject, number, number, number]>([
  [{}, 15_000, 7, 9],
  [{ timeout: '0s' }, 0, 7, 9],
  [{ timeout: '1.5s', idleTimeout: '0s' }, 1500, 0, 9],
  [{ timeout: '0.0001s', idleTimeout: '3s' }, 1, 3000, 9],
  // Envoy 1.40 arms no route timeout where max_stream_duration is set, even an empty one.
  [{ maxStreamDuration: { maxStreamDuration: '18s' } }, 0, 7, 18_000],
  [{ timeout: '1s', maxStreamDuration: { maxStreamDuration: '30s' } }, 0, 7, 30_000],
  [{ timeout: '5s', maxStreamDuration: { maxStreamDuration: '0s' } }, 0, 7, 0],
  [{ timeout: '5s', maxStreamDuration: {} }, 0, 7, 9],
])('%j sets the times', (times, timeoutMs, idleTimeoutMs, maxStreamDurationMs) => {
  const { table, env } = compileTable(oneHost({ match: { prefix: '/' }, route: { ...cluster, ...times } }));
  env.clusterRef('one').cluster = aCluster('one');
  const x = anExchange('GET h /');
  x.streamIdleTimeoutMs = 7;
  x.maxStreamDurationMs = 9;
  expect(table === null ? null : begin(table, x)).toBe(CONTINUE);
  expect([x.timeoutMs, x.streamIdleTimeoutMs, x.maxStreamDurationMs]).toEqual([
    timeoutMs,
    idleTimeoutMs,
    maxStreamDurationMs,
  ]);
});

test('response edits run once, whoever made the response', () => {
  const { table } = compileTable(
    oneHost({ match: { prefix: '/' }, directResponse: { status: 200 }, responseHeadersToAdd: [header('x-a', '1')] }),
  );
  const x = anExchange('GET h /');
  expect(table === null ? null : begin(table, x)).toBe(REPLY);
  x.pc = 0;
  run(x, x.plan?.onResponse ?? []);
  expect(x.response.count).toBe(1);
});

test('mirrors come from the most specific level', () => {
  const route = {
    match: { path: '/own' },
    route: {
      ...cluster,
      requestMirrorPolicies: [{ cluster: 'two', runtimeFraction: { defaultValue: { numerator: 25 } } }],
    },
  };
  const host = {
    name: 'v',
    domains: ['*'],
    requestMirrorPolicies: [{ cluster: 'three', disableShadowHostSuffixAppend: true }],
    routes: [route, { match: { prefix: '/' }, route: cluster }],
  };
  const { table } = compileTable({ name: 't', virtualHosts: [host] });
  const mirrorsOf = (line: string): unknown =>
    table
      ?.match(anExchange(line))
      ?.mirrors.map((mirror) => [mirror.cluster.name, mirror.fraction, mirror.appendsShadowSuffix]);
  expect(mirrorsOf('GET h /own')).toEqual([['two', 0.25, true]]);
  expect(mirrorsOf('GET h /other')).toEqual([['three', 1, false]]);
});
