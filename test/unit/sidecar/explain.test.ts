// `/explain` on a running proxy: what it says of a request is what happens to the request.
import type { JsonObject } from '@bufbuild/protobuf';
import { afterEach, expect, test } from 'vitest';
import { silentLog } from '../../../src/base/log.ts';
import { adminSourceOf } from '../../../src/sidecar/proxy-admin.ts';
import { Proxy } from '../../../src/sidecar/proxy.ts';
import type { ExplainedRequest } from '../../../src/sidecar/admin/source.ts';
import { aBootstrap, aClusterJson, aListenerJson, aManager, aTcpProxy } from './manager-builders.ts';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

const routes: JsonObject[] = [
  { name: 'exact', match: { path: '/exact' }, route: { cluster: 'web' } },
  { name: 'prefix', match: { prefix: '/api', case_sensitive: false }, route: { cluster: 'web' } },
  { name: 'below', match: { path_separated_prefix: '/a/b' }, route: { cluster: 'web' } },
  { name: 'regex', match: { safe_regex: { regex: '/r[0-9]+' } }, route: { cluster: 'web' } },
  {
    name: 'header',
    match: { prefix: '/', headers: [{ name: 'x-user', string_match: { exact: 'ann' } }] },
    route: { cluster: 'web', prefix_rewrite: '/v2/' },
  },
  {
    match: { prefix: '/', query_parameters: [{ name: 'q', present_match: true }] },
    route: { cluster: 'gone' },
  },
  { name: 'direct', match: { prefix: '/' }, direct_response: { status: 418 } },
];

async function explain(request: Partial<ExplainedRequest>): Promise<readonly string[] | null> {
  const route_config = {
    name: 'r',
    virtual_hosts: [
      { name: 'v', domains: ['v.test'], routes },
      { name: 'tls', domains: ['tls.test'], require_tls: 'ALL', routes },
    ],
  };
  const static_resources = {
    listeners: [
      aListenerJson([aManager({ route_config })]),
      { ...aListenerJson([aTcpProxy({ cluster: 'web' })]), name: 'opaque' },
    ],
    clusters: [aClusterJson('web', 8080)],
  };
  const proxy = new Proxy({ bootstrap: aBootstrap({ static_resources }), log: silentLog, drainSeconds: 0 });
  cleanups.push(() => proxy.stop(0));
  await proxy.start();
  const source = adminSourceOf(proxy, { version: '0', commandLine: {}, quit: () => {} });
  const before = JSON.stringify(proxy.stats.list());
  const text = source.explain({ host: 'v.test', path: '/', method: 'GET', headers: [], listener: 'main', ...request });
  expect(JSON.stringify(proxy.stats.list())).toBe(before);
  const lines = text === null ? null : text.split('\n').map((line) => line.trim());
  return lines === null
    ? null
    : lines.slice(
        0,
        lines.findIndex((line) => line.startsWith('plan ')),
      );
}

const TOP = ['listener main', 'table r', 'virtual host v (v.test)'];

test('says why each route before the chosen one did not match, and where the chosen one leads', async () => {
  expect(await explain({ path: '/x?y=1', headers: [['X-User', 'ann']] })).toEqual([
    ...TOP,
    'not route exact: path is not /exact',
    'not route prefix: path does not begin with /api',
    'not route below: path is not /a/b or below it',
    'not route regex: path does not match the regular expression',
    'route header',
    'cluster web',
    'endpoint 127.0.0.1:8080',
    'sent as GET /v2/x?y=1 to host v.test',
  ]);
});

test.each<[string, Partial<ExplainedRequest>, readonly string[]]>([
  [
    'a reply made here',
    {},
    [
      'not route header: header x-user does not hold',
      'not route number 5: query q does not hold',
      'route direct',
      'answered here with 418 by step direct-response: direct_response',
    ],
  ],
  [
    'a cluster that is not there',
    { path: '/?q=1' },
    ['route (unnamed)', 'answered here with 503 by step cluster: cluster_not_found'],
  ],
  [
    'a path in another case',
    { path: '/API/x' },
    ['not route exact: path is not /exact', 'route prefix', 'cluster web'],
  ],
])('tells of %s', async (_what, request, wanted) => {
  expect(await explain(request)).toEqual(expect.arrayContaining([...wanted]));
});

test.each<[Partial<ExplainedRequest>, readonly string[]]>([
  [{ host: 'other.test' }, ['listener main', 'table r', 'no virtual host for other.test: 404 (NR)']],
  [{ host: 'tls.test' }, ['listener main', 'table r', 'virtual host tls (tls.test)', 'sent to https by require_tls']],
])('%j', async (request, wanted) => {
  expect((await explain(request))?.slice(0, 4)).toEqual(wanted);
});

test('what HTTP/1.1 cannot carry is refused, and a TCP listener says where it leads', async () => {
  expect(await explain({ path: '/ HTTP/1.1\r\n\r\nGET /' })).toBeNull();
  expect(await explain({ headers: [['a b', 'c']] })).toBeNull();
  expect(await explain({ listener: 'opaque' })).toEqual(['listener opaque', 'takes opaque TCP to web']);
  expect(await explain({ listener: 'nobody' })).toEqual([]);
});
