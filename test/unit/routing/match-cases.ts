// Cases of virtual hosts, paths, headers and query parameters.
import { aHost, answers, byHeader, byQuery, oneHost, type RoutingCase } from './routing-case.ts';

const any = { prefix: '/' };
const template = (
  pathTemplate: string,
): { pathMatchPolicy: { name: string; typedConfig: { '@type': string; pathTemplate: string } } } => ({
  pathMatchPolicy: {
    name: 'envoy.path.match.uri_template.uri_template_matcher',
    typedConfig: {
      '@type': 'type.googleapis.com/envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig',
      pathTemplate,
    },
  },
});

export const HOST_CASES: readonly RoutingCase[] = [
  {
    name: 'picks the most specific virtual host',
    config: {
      name: 'table',
      virtualHosts: [
        aHost('all', ['*'], answers('all', any)),
        aHost('suffix', ['*.example.com', '*-x.example.com'], answers('suffix', any)),
        aHost('longer-suffix', ['*.api.example.com'], answers('longer suffix', any)),
        aHost('prefix', ['www.*', 'www.exam-*'], answers('prefix', any)),
        aHost('exact', ['www.example.com', 'UPPER.example.com'], answers('exact', any)),
        aHost('port', ['ported.com:8080'], answers('port', any)),
        aHost('empty', ['nothing.com']),
      ],
    },
    requests: [
      ['GET www.example.com /', '200 exact'],
      ['GET WWW.EXAMPLE.COM /', '200 exact'],
      ['GET upper.example.com /', '200 exact'],
      ['GET a.example.com /', '200 suffix'],
      ['GET a-x.example.com /', '200 suffix'],
      ['GET .example.com /', '200 all'],
      ['GET a.api.example.com /', '200 longer suffix'],
      ['GET a.b.api.example.com /', '200 longer suffix'],
      ['GET www.other.org /', '200 prefix'],
      ['GET www. /', '200 all'],
      ['GET www.exam-ple /', '200 prefix'],
      ['GET other.org /', '200 all'],
      ['GET www.example.com:80 /', '200 prefix'],
      ['GET a.example.com:80 /', '200 all'],
      ['GET ported.com:8080 /', '200 port'],
      ['GET ported.com /', '200 all'],
      ['GET nothing.com /', '404 '],
      ['GET nothing.com /x?y=1', '404 '],
    ],
  },
  {
    name: 'finds no virtual host for an unknown domain',
    config: { name: 'table', virtualHosts: [aHost('one', ['one.com'], answers('one', any))] },
    requests: [
      ['GET one.com /', '200 one'],
      ['GET two.com /', '404 '],
      ['GET one.com:1234 /', '404 '],
    ],
  },
  {
    name: 'ignores the port of the host when configured so',
    config: {
      name: 'table',
      ignorePortInHostMatching: true,
      virtualHosts: [
        aHost('one', ['one.com'], answers('one', any)),
        aHost('suffix', ['*.example.com'], answers('suffix', any)),
        aHost('six', ['[::1]'], answers('six', any)),
        aHost('ported', ['ported.com:80'], answers('ported', any)),
      ],
    },
    requests: [
      ['GET one.com:1234 /', '200 one'],
      ['GET one.com /', '200 one'],
      ['GET a.example.com:9 /', '200 suffix'],
      ['GET [::1]:80 /', '200 six'],
      ['GET [::1] /', '200 six'],
      ['GET ported.com:80 /', '404 '],
    ],
  },
  {
    name: 'sends plaintext requests of a host that requires TLS to https',
    config: {
      name: 'table',
      virtualHosts: [
        {
          ...aHost('all', ['all.com', 'all.com:80', 'all.com:81'], answers('all', { path: '/only' })),
          requireTls: 'ALL',
        },
        { ...aHost('external', ['external.com'], answers('external', any)), requireTls: 'EXTERNAL_ONLY' },
      ],
    },
    requests: [
      ['GET all.com /a?b=c', '301 https://all.com/a?b=c'],
      ['GET all.com:80 /a', '301 https://all.com:80/a'],
      ['GET all.com:81 /a', '301 https://all.com:81/a'],
      ['GET external.com /', '301 https://external.com/'],
    ],
  },
];

export const PATH_CASES: readonly RoutingCase[] = [
  {
    name: 'takes the first route in list order',
    config: oneHost(
      answers('long prefix', { prefix: '/api/v1/users' }),
      answers('prefix', { prefix: '/api' }),
      answers('never', { path: '/api/v1' }),
      answers('exact', { path: '/exact' }),
      answers('regex', { safeRegex: { regex: '/e.*' } }),
      answers('never either', { prefix: '/exact' }),
      answers('rest', { prefix: '/' }),
    ),
    requests: [
      ['GET h /api/v1/users/7', '200 long prefix'],
      ['GET h /api/v1/user', '200 prefix'],
      ['GET h /api/v1', '200 prefix'],
      ['GET h /apiary', '200 prefix'],
      ['GET h /exact', '200 exact'],
      ['GET h /exact/', '200 regex'],
      ['GET h /exact?q=/api', '200 exact'],
      ['GET h /', '200 rest'],
      ['GET h /?x', '200 rest'],
      ['GET h /EXACT', '200 rest'],
      ['OPTIONS h *', '404 '],
    ],
  },
  {
    name: 'matches prefixes without the query',
    config: oneHost(
      answers('yes', { prefix: '/a?b' }),
      answers('deep', { prefix: '/a/b' }),
      answers('no', { prefix: '/' }),
    ),
    requests: [
      ['GET h /a?b=1', '200 no'],
      ['GET h /a?/b', '200 no'],
      ['GET h /a/b?c', '200 deep'],
    ],
  },
  {
    name: 'matches an empty prefix for everything',
    config: oneHost(answers('all', { prefix: '' })),
    requests: [
      ['GET h /x', '200 all'],
      ['GET h /', '200 all'],
    ],
  },
  {
    name: 'matches path-separated prefixes at segment ends',
    config: oneHost(answers('yes', { pathSeparatedPrefix: '/api/dev' }), answers('no', { prefix: '/' })),
    requests: [
      ['GET h /api/dev', '200 yes'],
      ['GET h /api/dev/', '200 yes'],
      ['GET h /api/dev/v1', '200 yes'],
      ['GET h /api/dev?param=true', '200 yes'],
      ['GET h /api/developer', '200 no'],
      ['GET h /api/de', '200 no'],
      ['GET h /API/dev', '200 no'],
    ],
  },
  {
    name: 'ignores case when told to, in literals only',
    config: oneHost(
      answers('exact', { path: '/Exact', caseSensitive: false }),
      answers('prefix', { prefix: '/PREfix', caseSensitive: false }),
      answers('separated', { pathSeparatedPrefix: '/Sep', caseSensitive: false }),
      answers('regex', { safeRegex: { regex: '/Re.ex' }, caseSensitive: false }),
      answers('sensitive', { path: '/exact' }),
      answers('no', { prefix: '/' }),
    ),
    requests: [
      ['GET h /eXACT', '200 exact'],
      ['GET h /exact', '200 exact'],
      ['GET h /prefixed', '200 prefix'],
      ['GET h /sEP/x', '200 separated'],
      ['GET h /separate', '200 no'],
      ['GET h /Regex', '200 regex'],
      ['GET h /regex', '200 no'],
    ],
  },
  {
    name: 'matches regular expressions against the whole path',
    config: oneHost(
      answers('digits', { safeRegex: { regex: '/v[0-9]+/items' } }),
      answers('choice', { safeRegex: { regex: '/one|/two' } }),
      answers('anchored', { safeRegex: { regex: '^/anchored$' } }),
      answers('prefix', { safeRegex: { regex: '/pre/.*' } }),
      answers('plus', { safeRegex: { regex: '/plus/.+' } }),
      answers('suffix', { safeRegex: { regex: '.*\\.png' } }),
      answers('middle', { safeRegex: { regex: '.*middle.*' } }),
      answers('optional', { safeRegex: { regex: '/colou?r' } }),
      answers('any case', { safeRegex: { regex: '(?i)/folded' } }),
      answers('class', { safeRegex: { regex: '/[a|b]/x' } }),
      answers('group', { safeRegex: { regex: '/g/(x|y)' } }),
      answers('backtrack', { safeRegex: { regex: '/(a+)+$' } }),
      answers('no', { prefix: '/' }),
    ),
    requests: [
      ['GET h /v12/items', '200 digits'],
      ['GET h /v12/items?q=1', '200 digits'],
      ['GET h /v12/items/', '200 no'],
      ['GET h /one', '200 choice'],
      ['GET h /two', '200 choice'],
      ['GET h /one/two', '200 no'],
      ['GET h /anchored', '200 anchored'],
      ['GET h /pre/', '200 prefix'],
      ['GET h /pre/x/y', '200 prefix'],
      ['GET h /pre', '200 no'],
      ['GET h /plus/', '200 no'],
      ['GET h /plus/x', '200 plus'],
      ['GET h /a.png', '200 suffix'],
      ['GET h /apng', '200 no'],
      ['GET h /in/middle/of', '200 middle'],
      ['GET h /color', '200 optional'],
      ['GET h /colour', '200 optional'],
      ['GET h /FOLDED', '200 any case'],
      ['GET h /a/x', '200 class'],
      ['GET h /|/x', '200 class'],
      ['GET h /g/x', '200 group'],
      ['GET h /g/z', '200 no'],
      ['GET h /aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!', '200 no'],
    ],
  },
  {
    name: 'matches URI templates',
    config: oneHost(
      answers('file', template('/videos/{language}/*/{file}.m4s')),
      answers('lang', template('/lang/{l=en/*}')),
      answers('rest', template('/rest/**')),
      answers('mpd', template('/mpd/**.mpd')),
      answers('slash', template('/slash/*/')),
      answers('literal', template('/lit/er.al')),
      answers('no', { prefix: '/' }),
    ),
    requests: [
      ['GET h /videos/en/hls/seg1.m4s', '200 file'],
      ['GET h /videos/en/hls/seg1.m4s?x=1', '200 file'],
      ['GET h /videos/en/seg1.m4s', '200 no'],
      ['GET h /videos/en/hls/a/seg1.m4s', '200 no'],
      ['GET h /lang/en/x', '200 lang'],
      ['GET h /lang/de/x', '200 no'],
      ['GET h /rest/', '200 rest'],
      ['GET h /rest/a/b', '200 rest'],
      ['GET h /rest', '200 no'],
      ['GET h /mpd/a/b.mpd', '200 mpd'],
      ['GET h /slash/a/', '200 slash'],
      ['GET h /slash/a', '200 no'],
      ['GET h /lit/er.al', '200 literal'],
      ['GET h /lit/erxal', '200 no'],
    ],
  },
  {
    name: 'leaves path parameters out when configured so',
    config: {
      ...oneHost(answers('exact', { path: '/a' }), answers('deep', { path: '/a/c' }), answers('no', { prefix: '/' })),
      ignorePathParametersInPathMatching: true,
    },
    requests: [
      ['GET h /a;v=1', '200 exact'],
      ['GET h /a;v=1?q', '200 exact'],
      ['GET h /a;b/c', '200 deep'],
      ['GET h /a;b/c;d=/e?f', '200 no'],
      ['GET h /a?x=;', '200 exact'],
      ['GET h /b;v=1', '200 no'],
    ],
  },
  {
    name: 'takes a fraction of all or of none',
    config: oneHost(
      answers('none', { prefix: '/', runtimeFraction: { defaultValue: { numerator: 0 } } }),
      answers('all', {
        prefix: '/',
        runtimeFraction: { defaultValue: { numerator: 1000000, denominator: 'MILLION' } },
      }),
    ),
    requests: [['GET h /', '200 all']],
  },
  {
    name: 'matches gRPC by content type',
    config: oneHost(answers('grpc', { prefix: '/', grpc: {} }), answers('no', { prefix: '/' })),
    requests: [
      ['POST h / | content-type: application/grpc', '200 grpc'],
      ['POST h / | content-type: application/grpc+proto', '200 grpc'],
      ['POST h / | content-type: application/grpc-web', '200 no'],
      ['POST h / | content-type: application/json', '200 no'],
      ['GET h /', '200 no'],
    ],
  },
];

export const HEADER_CASES: readonly RoutingCase[] = [
  {
    name: 'holds when a header without specifier is present',
    config: byHeader({ name: 'X-A' }),
    requests: [
      ['GET h / | x-a: 1', '200 held'],
      ['GET h / | x-a:', '200 held'],
      ['GET h /', '200 other'],
    ],
  },
  {
    name: 'holds for present_match true',
    config: byHeader({ name: 'x-a', presentMatch: true }),
    requests: [
      ['GET h / | x-a: 1', '200 held'],
      ['GET h /', '200 other'],
    ],
  },
  {
    name: 'holds for present_match false',
    config: byHeader({ name: 'x-a', presentMatch: false }),
    requests: [
      ['GET h / | x-a: 1', '200 other'],
      ['GET h /', '200 held'],
    ],
  },
  {
    name: 'inverts present_match',
    config: byHeader({ name: 'x-a', presentMatch: true, invertMatch: true }),
    requests: [
      ['GET h / | x-a: 1', '200 other'],
      ['GET h /', '200 held'],
    ],
  },
  {
    name: 'inverts present_match false',
    config: byHeader({ name: 'x-a', presentMatch: false, invertMatch: true }),
    requests: [
      ['GET h / | x-a: 1', '200 held'],
      ['GET h /', '200 other'],
    ],
  },
  {
    name: 'treats a missing header as present and empty',
    config: byHeader({ name: 'x-a', presentMatch: true, treatMissingHeaderAsEmpty: true }),
    requests: [
      ['GET h / | x-a: 1', '200 held'],
      ['GET h /', '200 held'],
    ],
  },
  {
    name: 'treats a missing header as present for present_match false',
    config: byHeader({ name: 'x-a', presentMatch: false, treatMissingHeaderAsEmpty: true }),
    requests: [
      ['GET h / | x-a: 1', '200 other'],
      ['GET h /', '200 other'],
    ],
  },
  {
    name: 'compares exactly',
    config: byHeader({ name: 'x-a', stringMatch: { exact: 'One' } }),
    requests: [
      ['GET h / | x-a: One', '200 held'],
      ['GET h / | X-A: One', '200 held'],
      ['GET h / | x-a: one', '200 other'],
      ['GET h / | x-a: One2', '200 other'],
      ['GET h / | x-a: two | x-a: One', '200 held'],
      ['GET h /', '200 other'],
    ],
  },
  {
    name: 'compares exactly in any case',
    config: byHeader({ name: 'x-a', stringMatch: { exact: 'One', ignoreCase: true } }),
    requests: [
      ['GET h / | x-a: oNE', '200 held'],
      ['GET h / | x-a: on', '200 other'],
    ],
  },
  {
    name: 'compares exactly with nothing',
    config: byHeader({ name: 'x-a', stringMatch: { exact: '' } }),
    requests: [
      ['GET h / | x-a:', '200 held'],
      ['GET h / | x-a: 1', '200 other'],
      ['GET h /', '200 other'],
    ],
  },
  {
    name: 'matches a missing header as empty',
    config: byHeader({ name: 'x-a', stringMatch: { exact: '' }, treatMissingHeaderAsEmpty: true }),
    requests: [
      ['GET h /', '200 held'],
      ['GET h / | x-a: 1', '200 other'],
    ],
  },
  {
    name: 'inverts a value matcher for present headers only',
    config: byHeader({ name: 'x-a', stringMatch: { exact: 'one' }, invertMatch: true }),
    requests: [
      ['GET h / | x-a: two', '200 held'],
      ['GET h / | x-a: one', '200 other'],
      ['GET h / | x-a: two | x-a: one', '200 other'],
      ['GET h /', '200 other'],
    ],
  },
  {
    name: 'inverts a value matcher for missing headers treated as empty',
    config: byHeader({
      name: 'x-a',
      stringMatch: { exact: 'one' },
      invertMatch: true,
      treatMissingHeaderAsEmpty: true,
    }),
    requests: [
      ['GET h / | x-a: two', '200 held'],
      ['GET h / | x-a: one', '200 other'],
      ['GET h /', '200 held'],
    ],
  },
  {
    name: 'compares prefixes, suffixes and parts',
    config: oneHost(
      answers('prefix', { prefix: '/', headers: [{ name: 'x-p', stringMatch: { prefix: 'Ab' } }] }),
      answers('suffix', { prefix: '/', headers: [{ name: 'x-s', stringMatch: { suffix: 'yZ', ignoreCase: true } }] }),
      answers('contains', { prefix: '/', headers: [{ name: 'x-c', stringMatch: { contains: 'mid' } }] }),
      answers('old prefix', { prefix: '/', headers: [{ name: 'x-op', prefixMatch: 'ab' }] }),
      answers('old suffix', { prefix: '/', headers: [{ name: 'x-os', suffixMatch: 'yz' }] }),
      answers('old contains', { prefix: '/', headers: [{ name: 'x-oc', containsMatch: 'mid' }] }),
      answers('old exact', { prefix: '/', headers: [{ name: 'x-oe', exactMatch: 'one' }] }),
      answers('old regex', { prefix: '/', headers: [{ name: 'x-or', safeRegexMatch: { regex: '[0-9]{3}' } }] }),
      answers('regex', {
        prefix: '/',
        headers: [{ name: 'x-r', stringMatch: { safeRegex: { regex: 'a.c' } } }],
      }),
      answers('other', { prefix: '/' }),
    ),
    requests: [
      ['GET h / | x-p: Abc', '200 prefix'],
      ['GET h / | x-p: abc', '200 other'],
      ['GET h / | x-s: xYz', '200 suffix'],
      ['GET h / | x-s: yzx', '200 other'],
      ['GET h / | x-c: amidst', '200 contains'],
      ['GET h / | x-op: abc', '200 old prefix'],
      ['GET h / | x-os: xyz', '200 old suffix'],
      ['GET h / | x-oc: amid', '200 old contains'],
      ['GET h / | x-oe: one', '200 old exact'],
      ['GET h / | x-or: 123', '200 old regex'],
      ['GET h / | x-or: 1234', '200 other'],
      ['GET h / | x-r: abc', '200 regex'],
      ['GET h / | x-r: aBc', '200 regex'],
      ['GET h / | x-r: Abc', '200 other'],
      ['GET h / | x-r: abcd', '200 other'],
    ],
  },
  {
    name: 'compares whole numbers with a half-open range',
    config: byHeader({ name: 'x-a', rangeMatch: { start: '-10', end: '10' } }),
    requests: [
      ['GET h / | x-a: -10', '200 held'],
      ['GET h / | x-a: +9', '200 held'],
      ['GET h / | x-a: 007', '200 held'],
      ['GET h / | x-a: 10', '200 other'],
      ['GET h / | x-a: 1.5', '200 other'],
      ['GET h / | x-a: 5x', '200 other'],
      ['GET h / | x-a: -', '200 other'],
      ['GET h / | x-a:', '200 other'],
      ['GET h / | x-a: 99999999999999999999', '200 other'],
      ['GET h /', '200 other'],
    ],
  },
  {
    name: 'reads pseudo headers',
    config: oneHost(
      answers('method', { prefix: '/m', headers: [{ name: ':method', stringMatch: { exact: 'POST' } }] }),
      answers('path', { prefix: '/p', headers: [{ name: ':path', stringMatch: { suffix: '?x=1' } }] }),
      answers('authority', { prefix: '/a', headers: [{ name: ':authority', stringMatch: { exact: 'h:80' } }] }),
      answers('host', { prefix: '/h', headers: [{ name: 'Host', stringMatch: { exact: 'h2' } }] }),
      answers('scheme', { prefix: '/s', headers: [{ name: ':scheme', stringMatch: { exact: 'http' } }] }),
      answers('other', { prefix: '/' }),
    ),
    requests: [
      ['POST h /m', '200 method'],
      ['GET h /m', '200 other'],
      ['GET h /p?x=1', '200 path'],
      ['GET h /p', '200 other'],
      ['GET h:80 /a', '200 authority'],
      ['GET h2 /h', '200 host'],
      ['GET h /s', '200 scheme'],
    ],
  },
  {
    name: 'joins the lines of headers that Envoy holds once',
    config: byHeader({ name: 'accept', stringMatch: { exact: 'a,b' } }),
    requests: [
      ['GET h / | accept: a | accept: b', '200 held'],
      ['GET h / | accept: a', '200 other'],
    ],
  },
  {
    name: 'wants every header matcher to hold',
    config: oneHost(
      answers('both', {
        prefix: '/',
        headers: [
          { name: 'x-a', stringMatch: { exact: '1' } },
          { name: 'x-b', presentMatch: true },
        ],
      }),
      answers('other', { prefix: '/' }),
    ),
    requests: [
      ['GET h / | x-a: 1 | x-b: 2', '200 both'],
      ['GET h / | x-a: 1', '200 other'],
      ['GET h / | x-b: 1', '200 other'],
    ],
  },
];

export const QUERY_CASES: readonly RoutingCase[] = [
  {
    name: 'holds for a query parameter that is present',
    config: byQuery({ name: 'a', presentMatch: true }),
    requests: [
      ['GET h /?a=1', '200 held'],
      ['GET h /?a', '200 held'],
      ['GET h /?a=', '200 held'],
      ['GET h /?b=1&a=2', '200 held'],
      ['GET h /?ab=1', '200 other'],
      ['GET h /?A=1', '200 other'],
      ['GET h /', '200 other'],
      ['GET h /a=1', '200 other'],
    ],
  },
  {
    name: 'holds for a query parameter without matcher',
    config: byQuery({ name: 'a' }),
    requests: [
      ['GET h /?a=1', '200 held'],
      ['GET h /?b', '200 other'],
    ],
  },
  {
    name: 'holds for a query parameter that is absent',
    config: byQuery({ name: 'a', presentMatch: false }),
    requests: [
      ['GET h /?a=1', '200 other'],
      ['GET h /?b', '200 held'],
    ],
  },
  {
    name: 'compares the first value of a query parameter, undecoded',
    config: byQuery({ name: 'a', stringMatch: { exact: 'x%20y' } }),
    requests: [
      ['GET h /?a=x%20y', '200 held'],
      ['GET h /?a=x%20y&a=z', '200 held'],
      ['GET h /?a=z&a=x%20y', '200 other'],
      ['GET h /?a=x+y', '200 other'],
      ['GET h /?c=1&a=x%20y&d=2', '200 held'],
    ],
  },
  {
    name: 'compares a query parameter by regular expression',
    config: byQuery({ name: 'a', stringMatch: { safeRegex: { regex: '[0-9]+' } } }),
    requests: [
      ['GET h /?a=12', '200 held'],
      ['GET h /?a=12x', '200 other'],
      ['GET h /?a', '200 other'],
    ],
  },
];
