// Cases of redirects, direct responses and the header edits of replies.
import type { JsonObject } from '@bufbuild/protobuf';
import { answers, oneHost, redirects, type RoutingCase } from './routing-case.ts';

const any = { prefix: '/' };
const header = (key: string, value: string, more: JsonObject = {}): JsonObject => ({ header: { key, value }, ...more });
const regex = (pattern: string, substitution: string): JsonObject => ({ pattern: { regex: pattern }, substitution });

export const REDIRECT_CASES: readonly RoutingCase[] = [
  {
    name: 'swaps scheme, host and port',
    config: oneHost(
      redirects({ httpsRedirect: true }, { prefix: '/https' }),
      redirects({ schemeRedirect: 'ftp' }, { prefix: '/scheme' }),
      redirects({ hostRedirect: 'other.com' }, { prefix: '/host' }),
      redirects({ portRedirect: 8443 }, { prefix: '/port' }),
      redirects({ hostRedirect: 'other.com', portRedirect: 8443, httpsRedirect: true }, { prefix: '/all' }),
      redirects({ httpsRedirect: false }, { prefix: '/same' }),
    ),
    requests: [
      ['GET h.com /https/a?b=c', '301 https://h.com/https/a?b=c'],
      ['GET h.com:80 /https', '301 https://h.com/https'],
      ['GET h.com:8080 /https', '301 https://h.com:8080/https'],
      ['GET [::1]:80 /https', '301 https://[::1]/https'],
      ['GET [::1] /https', '301 https://[::1]/https'],
      ['GET h.com /scheme', '301 ftp://h.com/scheme'],
      ['GET h.com:80 /host', '301 http://other.com/host'],
      ['GET h.com:80 /port', '301 http://h.com:8443/port'],
      ['GET [::1]:80 /port', '301 http://[::1]:8443/port'],
      ['GET h.com /all', '301 https://other.com:8443/all'],
      ['GET h.com:80 /same', '301 http://h.com:80/same'],
    ],
  },
  {
    name: 'swaps the path',
    config: oneHost(
      redirects({ pathRedirect: '/new-path-1' }, { path: '/old-path-1' }),
      redirects({ pathRedirect: '/new-path-2', stripQuery: true }, { path: '/old-path-2' }),
      redirects({ pathRedirect: '/new-path-3?foo=1', stripQuery: true }, { path: '/old-path-3' }),
      redirects({ pathRedirect: '/new-path-4?foo=1' }, { path: '/old-path-4' }),
      redirects({ pathRedirect: 'relative' }, { path: '/relative' }),
      redirects({ stripQuery: true }, { path: '/strip' }),
      redirects({ prefixRewrite: '/new' }, { prefix: '/old' }),
      redirects({ prefixRewrite: '/new' }, { path: '/exact' }),
      redirects({ prefixRewrite: '/new' }, { safeRegex: { regex: '/re.*' } }),
      redirects({ prefixRewrite: '/new' }, { pathSeparatedPrefix: '/sep' }),
      redirects({ prefixRewrite: '/new', stripQuery: true }, { prefix: '/CASE', caseSensitive: false }),
      redirects({ regexRewrite: regex('^/x/([^/]+)(/.*)$', '\\2/y/\\1') }, { prefix: '/x/' }),
      redirects({ regexRewrite: regex('one', 'two') }, { prefix: '/' }),
    ),
    requests: [
      ['GET h /old-path-1?bar=1', '301 http://h/new-path-1?bar=1'],
      ['GET h /old-path-2?bar=1', '301 http://h/new-path-2'],
      ['GET h /old-path-3?bar=1', '301 http://h/new-path-3?foo=1'],
      ['GET h /old-path-4?bar=1', '301 http://h/new-path-4?foo=1'],
      ['GET h /relative', '301 http://h/relative'],
      ['GET h /strip?a=b', '301 http://h/strip'],
      ['GET h /old/a?b=c', '301 http://h/new/a?b=c'],
      ['GET h /older', '301 http://h/newer'],
      ['GET h /exact?b=c', '301 http://h/new?b=c'],
      ['GET h /regex/path?b=c', '301 http://h/new?b=c'],
      ['GET h /sep/a', '301 http://h/new/a'],
      ['GET h /caSe/a?b', '301 http://h/new/a'],
      ['GET h /x/foo/v1/api?q=1', '301 http://h/v1/api/y/foo?q=1'],
      ['GET h /xxx/one/yyy/one/zzz', '301 http://h/xxx/two/yyy/two/zzz'],
    ],
  },
  {
    name: 'answers with the configured status',
    config: oneHost(
      redirects({ responseCode: 'FOUND' }, { path: '/302' }),
      redirects({ responseCode: 'SEE_OTHER' }, { path: '/303' }),
      redirects({ responseCode: 'TEMPORARY_REDIRECT' }, { path: '/307' }),
      redirects({ responseCode: 'PERMANENT_REDIRECT' }, { path: '/308' }),
    ),
    requests: [
      ['GET h /302', '302 http://h/302'],
      ['GET h /303', '303 http://h/303'],
      ['GET h /307', '307 http://h/307'],
      ['GET h /308', '308 http://h/308'],
    ],
  },
];

const direct = (status: number, path: string, body?: string): JsonObject => ({
  match: { path },
  directResponse: { status, ...(body === undefined ? {} : { body: { inlineString: body } }) },
});

export const DIRECT_CASES: readonly RoutingCase[] = [
  {
    name: 'answers directly',
    config: oneHost(
      direct(200, '/body', 'hello\n'),
      direct(503, '/none'),
      direct(404, '/404', 'gone'),
      direct(201, '/201'),
      direct(302, '/302'),
    ),
    requests: [
      ['GET h /body', '200 hello\n'],
      ['GET h /none', '503 '],
      ['GET h /404', '404 gone'],
      ['GET h:81 /201?a=b', '201 http://h:81/201?a=b'],
      ['GET h /302', '302 http://h/302'],
    ],
  },
];

const edited = (...options: JsonObject[]): JsonObject => oneHost(answers('x', any, { responseHeadersToAdd: options }));

export const EDIT_CASES: readonly RoutingCase[] = [
  {
    name: 'adds, sets and keeps apart',
    config: edited(
      header('x-a', '1'),
      header('x-a', '2'),
      header('X-B', '1', { appendAction: 'ADD_IF_ABSENT' }),
      header('x-c', '1', { appendAction: 'OVERWRITE_IF_EXISTS' }),
      header('x-d', '1', { appendAction: 'OVERWRITE_IF_EXISTS_OR_ADD' }),
      header('x-d', '2', { appendAction: 'OVERWRITE_IF_EXISTS_OR_ADD' }),
      header('x-e', '', { keepEmptyValue: true }),
      header('x-f', ''),
      header('x-g', '1', { append: true }),
      header('x-g', '2', { append: false }),
    ),
    requests: [['GET h /', '200 x | x-d: 2 | x-g: 2 | x-a: 1 | x-a: 2 | x-b: 1 | x-e:  | x-g: 1']],
  },
  {
    name: 'writes formats into headers',
    config: edited(
      header('x-path', '%REQ(:path)%'),
      header('x-method', 'm=%REQ(:METHOD)%;'),
      header('x-missing', '%REQ(x-none)%'),
      header('x-missing-2', '[%REQ(x-none)%]'),
      header('x-alternative', '%REQ(x-none?x-some)%'),
      header('x-short', '%REQ(x-some):3%'),
      header('x-percent', '100%%'),
      header('x-protocol', '%PROTOCOL%'),
      header('x-repeated', '%REQ(x-two)%'),
      header('x-host', '%REQ(:authority)%'),
      header('x-cluster', '%UPSTREAM_CLUSTER%'),
      header('x-route', '%ROUTE_NAME%'),
    ),
    requests: [
      [
        'GET h:8 /p?q=1 | x-some: abcdef | x-two: 1 | x-two: 2',
        '200 x | x-path: /p?q=1 | x-method: m=GET; | x-missing-2: [] | x-alternative: abcdef | x-short: abc | x-percent: 100% | x-protocol: HTTP/1.1 | x-repeated: 1 | x-host: h:8',
      ],
    ],
  },
  {
    name: 'applies levels from the route outwards',
    config: {
      name: 'table',
      responseHeadersToAdd: [
        header('x-level', 'config', { appendAction: 'OVERWRITE_IF_EXISTS_OR_ADD' }),
        header('x-all', 'config'),
      ],
      responseHeadersToRemove: ['x-removed-by-config'],
      virtualHosts: [
        {
          name: 'all',
          domains: ['*'],
          responseHeadersToAdd: [
            header('x-level', 'host', { appendAction: 'OVERWRITE_IF_EXISTS_OR_ADD' }),
            header('x-all', 'host'),
          ],
          routes: [
            answers('x', any, {
              responseHeadersToAdd: [
                header('x-level', 'route', { appendAction: 'OVERWRITE_IF_EXISTS_OR_ADD' }),
                header('x-all', 'route'),
                header('x-removed-by-config', '1'),
                header('x-own', '1'),
              ],
              responseHeadersToRemove: ['x-own'],
            }),
          ],
        },
      ],
    },
    requests: [['GET h /', '200 x | x-all: route | x-own: 1 | x-all: host | x-level: config | x-all: config']],
  },
  {
    name: 'applies the most specific level last when told to',
    config: {
      name: 'table',
      mostSpecificHeaderMutationsWins: true,
      responseHeadersToAdd: [
        header('x-level', 'config', { appendAction: 'OVERWRITE_IF_EXISTS_OR_ADD' }),
        header('x-all', 'config'),
      ],
      virtualHosts: [
        {
          name: 'all',
          domains: ['*'],
          responseHeadersToAdd: [
            header('x-level', 'host', { appendAction: 'OVERWRITE_IF_EXISTS_OR_ADD' }),
            header('x-all', 'host'),
          ],
          routes: [
            answers('x', any, {
              responseHeadersToAdd: [
                header('x-level', 'route', { appendAction: 'OVERWRITE_IF_EXISTS_OR_ADD' }),
                header('x-all', 'route'),
              ],
            }),
          ],
        },
      ],
    },
    requests: [['GET h /', '200 x | x-all: config | x-all: host | x-level: route | x-all: route']],
  },
  {
    name: 'joins what Envoy holds once',
    config: edited(header('vary', 'a'), header('vary', 'b'), header('set-cookie', 'a=1'), header('set-cookie', 'b=2')),
    requests: [['GET h /', '200 x | vary: a,b | set-cookie: a=1 | set-cookie: b=2']],
  },
];

export const NO_CLUSTER_CASES: readonly RoutingCase[] = [
  {
    name: 'answers for clusters that do not exist',
    config: {
      ...oneHost(
        { match: { path: '/503' }, route: { cluster: 'nobody' }, responseHeadersToAdd: [header('x-a', '1')] },
        { match: { path: '/404' }, route: { cluster: 'nobody', clusterNotFoundResponseCode: 'NOT_FOUND' } },
        { match: { path: '/500' }, route: { cluster: 'nobody', clusterNotFoundResponseCode: 'INTERNAL_SERVER_ERROR' } },
        { match: { path: '/nfa' }, nonForwardingAction: {} },
        { match: { path: '/header' }, route: { clusterHeader: 'x-cluster' } },
        {
          match: { path: '/weighted' },
          route: {
            clusterNotFoundResponseCode: 'NOT_FOUND',
            weightedClusters: {
              clusters: [
                { name: 'nobody', weight: 1 },
                { name: 'nothing', weight: 0 },
              ],
            },
          },
        },
        {
          match: { path: '/weighted-header' },
          route: { weightedClusters: { clusters: [{ clusterHeader: 'x-cluster', weight: 1 }] } },
        },
      ),
      validateClusters: false,
    },
    requests: [
      ['GET h /503', '503  | x-a: 1'],
      ['GET h /404', '404 '],
      ['GET h /500', '500 '],
      ['GET h /nfa', '503 '],
      ['GET h /header', '503 '],
      ['GET h /header | x-cluster: nobody', '503 '],
      ['GET h /weighted', '404 '],
      ['GET h /weighted-header', '503 '],
    ],
  },
];
