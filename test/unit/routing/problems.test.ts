// Refused route configurations: every Problem is found, each with the path of its field.
import type { JsonObject } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { aHost, oneHost } from './routing-case.ts';
import { compileTable } from './routing-table.ts';

const any = { prefix: '/' };
const toOne = { cluster: 'one' };
const weighted = (...clusters: JsonObject[]): JsonObject =>
  oneHost({ match: any, route: { weightedClusters: { clusters } } });
const matching = (match: JsonObject): JsonObject => oneHost({ match, route: toOne });
const adding = (key: string, value: string, more: JsonObject = {}): JsonObject =>
  oneHost({ match: any, route: toOne, requestHeadersToAdd: [{ header: { key, value }, ...more }] });
const R = 'virtual_hosts[0].routes[0]';

test.each<[string, JsonObject, readonly string[]]>([
  [
    'a duplicate domain',
    { virtualHosts: [aHost('a', ['x.com']), aHost('b', ['X.com'])] },
    ['virtual_hosts[1].domains[0]'],
  ],
  [
    'two hosts for every domain',
    { virtualHosts: [aHost('a', ['*']), aHost('b', ['*'])] },
    ['virtual_hosts[1].domains[0]'],
  ],
  ['a host without name and domains', { virtualHosts: [{}] }, ['virtual_hosts[0].name', 'virtual_hosts[0].domains']],
  ['a route without match and action', oneHost({}), [`${R}.match`, R]],
  ['a match without path', matching({}), [`${R}.match`]],
  ['a regex that is none', matching({ safeRegex: { regex: '(a' } }), [`${R}.match.safe_regex.regex`]],
  ['a look-around', matching({ safeRegex: { regex: '(?=a)b' } }), [`${R}.match.safe_regex.regex`]],
  [
    'a separated prefix with a slash behind',
    matching({ pathSeparatedPrefix: '/a/' }),
    [`${R}.match.path_separated_prefix`],
  ],
  [
    'an empty header prefix',
    matching({ ...any, headers: [{ name: 'a', stringMatch: { prefix: '' } }] }),
    [`${R}.match.headers[0].string_match.prefix`],
  ],
  [
    'ignore_case beside a regex',
    matching({ ...any, headers: [{ name: 'a', stringMatch: { safeRegex: { regex: 'a' }, ignoreCase: true } }] }),
    [`${R}.match.headers[0].string_match.ignore_case`],
  ],
  [
    'a query parameter without name',
    matching({ ...any, queryParameters: [{}] }),
    [`${R}.match.query_parameters[0].name`],
  ],
  ['weights that sum to nothing', weighted({ name: 'a', weight: 0 }), [`${R}.route.weighted_clusters`]],
  [
    'a cluster without weight',
    weighted({ name: 'a', weight: 1 }, { name: 'b' }),
    [`${R}.route.weighted_clusters.clusters[1].weight`],
  ],
  [
    'weights above 32 bits',
    weighted({ name: 'a', weight: 4294967295 }, { name: 'b', weight: 1 }),
    [`${R}.route.weighted_clusters`],
  ],
  ['a weighted cluster without name', weighted({ weight: 1 }), [`${R}.route.weighted_clusters.clusters[0]`]],
  ['an edit of a pseudo header', adding(':path', '/x'), [`${R}.request_headers_to_add[0].header.key`]],
  ['an edit of Host', adding('Host', 'x'), [`${R}.request_headers_to_add[0].header.key`]],
  [
    'a removal of Host',
    oneHost({ match: any, route: toOne, requestHeadersToRemove: ['host'] }),
    [`${R}.request_headers_to_remove[0]`],
  ],
  ['an unknown command', adding('x-a', '%NOPE%'), [`${R}.request_headers_to_add[0].header.value`]],
  ['a line break in a value', adding('x-a', 'a\r\nb: c'), [`${R}.request_headers_to_add[0].header.value`]],
  [
    'two append actions',
    adding('x-a', 'a', { append: true, appendAction: 'ADD_IF_ABSENT' }),
    [`${R}.request_headers_to_add[0].append`],
  ],
  [
    'two path rewrites',
    oneHost({
      match: any,
      route: { ...toOne, prefixRewrite: '/a', regexRewrite: { pattern: { regex: 'a' }, substitution: 'b' } },
    }),
    [`${R}.route`],
  ],
  [
    'a substitution without its group',
    oneHost({ match: any, route: { ...toOne, regexRewrite: { pattern: { regex: 'a' }, substitution: '\\1' } } }),
    [`${R}.route.regex_rewrite.substitution`],
  ],
  [
    'a direct response of status 99',
    oneHost({ match: any, directResponse: { status: 99 } }),
    [`${R}.direct_response.status`],
  ],
  [
    'a direct body that is too long',
    {
      ...oneHost({ match: any, directResponse: { status: 200, body: { inlineString: 'abc' } } }),
      maxDirectResponseBodySizeBytes: 2,
    },
    [`${R}.direct_response.body`],
  ],
  [
    'a body file that is not there',
    oneHost({ match: any, directResponse: { status: 200, body: { filename: '/not/there' } } }),
    [`${R}.direct_response.body.filename`],
  ],
  ['a negative timeout', oneHost({ match: any, route: { ...toOne, timeout: '-1s' } }), [`${R}.route.timeout`]],
])('refuses %s', (_name, config, paths) => {
  const { table, problems } = compileTable(config);
  expect(table).toBeNull();
  expect(problems.map((problem) => [problem.severity, problem.path])).toEqual(paths.map((path) => ['error', path]));
});

test('warns of fields without effect and takes the rest', () => {
  const { table, problems } = compileTable(
    oneHost({
      match: any,
      route: {
        ...toOne,
        timeout: '1s',
        maxStreamDuration: {},
        retryPolicy: {},
        hashPolicy: [{ connectionProperties: { sourceIp: true } }],
      },
    }),
  );
  expect(table).not.toBeNull();
  expect(problems.map((problem) => [problem.severity, problem.path])).toEqual([['warning', `${R}.route.timeout`]]);
});
