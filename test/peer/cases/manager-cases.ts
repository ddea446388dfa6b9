// Settings of the HTTP connection manager: identity, trust, normalization, limits, HTTP/1.0.
import { reply } from '../../support/raw-upstream.ts';
import type { CaseTable, PeerCase } from '../peer-case.ts';

const SERVER = reply('200 OK', ['server: theirs']);
const ID = '1c6a2e07-4f6d-4d43-9d39-3b0e5e6b5f11';

const at = (to: string, name: string, rest: Partial<PeerCase> = {}): PeerCase => ({
  name: `${to}: ${name}`,
  send: 'GET /',
  is: '200 a',
  to,
  ...rest,
});

const FORWARDED = ['x-forwarded-for: 8.8.8.8, 10.0.0.9', 'x-forwarded-proto: https'];
const FORGED = ['x-envoy-internal: true', 'x-envoy-external-address: 7.7.7.7', 'x-envoy-retry-on: 5xx'];
const TRUSTS = ['main', 'edge', 'hops', 'inner', 'skip'];

const path = (to: string, target: string, is = '200 a'): PeerCase => at(to, target, { send: `GET ${target}`, is });
const hostOf = (to: string, host: string, upstream: string): PeerCase => at(to, host, { host, is: `200 ${upstream}` });
const lines = (count: number): readonly string[] => Array.from({ length: count }, (_none, index) => `x-${index}: 1`);

/** Paths that normalisation may read in more than one way. */
const ODD_PATHS: readonly string[] = [
  '/.',
  '/..',
  '/a/.',
  '/a/..',
  '/a/../',
  '/a/./',
  '/./a',
  '/../a',
  '/a/b/../../../c',
  '/a//../b',
  '/a/%2e',
  '/a/%2E%2e/b',
  '/a/.%2e/b',
  '/..;/x',
  '/a/..;x/b',
  '/a/..%2fb',
  '/a%2f..%2fb',
  '/a%5c..%5cb',
  '/a\\..\\b',
  '/\\a',
  '/a/%2e%2e%2fb',
  '/%252e%252e/x',
  '/%25%32%65/x',
  '/...',
  '/.../x',
  '/a.../x',
  '/.a',
  '/a./b',
  '/..a/b',
  '/a..',
  '/%',
  '/a%',
  '/a%2',
  '/a%zz',
  '/a%2/..',
  '//',
  '///',
  '//a//',
  '/a//',
  '/?',
  '/?..',
  '/a?/../b',
  '/a;b/c',
  '/a:b',
  '/a|b',
  '/a^b',
  '/a"b',
  '/a<b>',
  '/a{b}',
  '/a`b',
  "/a'b",
  '/a[b]',
  '/a+b',
  '/a&b=c',
  '/a~b',
  '/%7e',
  '/%2D',
  '/%5f',
  '/%41',
  '/%C3%A9',
  '/%c0%ae%c0%ae/x',
  '/%e0%80%af',
  '/%ff',
  '/a%00',
  '/a%00/..',
  '/a?b%00',
  '/a%0d%0ab',
  '/a%23b',
  '/a%3fb',
  '/a%25b',
  '/a%2525',
];

/** What Envoy does with an odd path. */
function fateOf(to: string, target: string): string {
  if (to === 'reject') return /%2f|%5c/i.test(target) ? '400' : '200 a';
  return (to === 'normal' || to === 'both') && /%00(?!.*\?)/.test(target) && !target.includes('?') ? '400' : '200 a';
}

/** Every escape there is. */
const ESCAPES: readonly string[] = Array.from(
  { length: 256 },
  (_, code) => `%${code.toString(16).toUpperCase().padStart(2, '0')}`,
);

export const MANAGER_CASES: CaseTable = {
  'manager-server': ['main', 'named', 'absent', 'through']
    .flatMap((to) => [
      at(to, 'the upstream names its server', { answer: SERVER }),
      at(to, 'the upstream does not'),
      at(to, 'no route answers', { send: 'OPTIONS *', is: '404' }),
    ])
    .concat(at('direct', 'an answer of the proxy itself', { is: '200' })),
  'manager-forwarded': TRUSTS.flatMap((to) => [
    at(to, 'nothing sent'),
    at(to, 'x-forwarded-* sent', { headers: FORWARDED }),
    at(to, 'x-forwarded-for sent twice', { headers: ['x-forwarded-for: 8.8.8.8', 'x-forwarded-for: 9.9.9.9'] }),
    at(to, 'x-envoy-* sent', { headers: FORGED }),
  ]),
  'manager-request-id': [
    ...['main', 'edge', 'kept', 'without', 'shown'].flatMap((to) => [
      at(to, 'none sent'),
      at(to, 'one sent', { headers: [`x-request-id: ${ID}`] }),
      at(to, 'one sent that is no UUID', { headers: ['x-request-id: mine'] }),
    ]),
    at('shown', 'one sent, seen by the client', { headers: ['x-request-id: mine-too'] }),
  ],
  'manager-paths': [
    path('main', '/public/../admin'),
    path('main', '//admin'),
    path('main', '/%61dmin'),
    path('normal', '/public/../admin', '403'),
    path('normal', '/public/./x'),
    path('normal', '/public/%2e%2e/admin', '403'),
    path('normal', '/%61dmin', '403'),
    path('normal', '/a%2Fb'),
    path('normal', '//admin'),
    path('normal', '/public/..\\admin', '403'),
    path('normal', '/../../x'),
    path('normal', '/x/..'),
    path('normal', '/a b'.replace(' ', '%20')),
    path('normal', '/x/../admin?a=/../b', '403'),
    path('normal', '/%7Euser/%c3%a9/%zz', '200 a'),
    path('merge', '//admin', '403'),
    path('merge', '/a///b//?x=//y'),
    path('both', '/x//..//admin'),
    path('both', '//x/.././admin', '403'),
    path('reject', '/a%2Fb', '400'),
    path('reject', '/a%5cb', '400'),
    path('reject', '/a/b'),
    path('redirect', '/a%2Fb?x=%2F', '307'),
    path('redirect', '/a/b'),
    path('forward', '/%2fadmin'),
    path('forward', '/x%2fadmin?y=%2f'),
    path('forward', '/x%5Cadmin'),
    path('keep', '/x%2fadmin'),
    ...['normal', 'both', 'forward', 'reject', 'main'].flatMap((to) =>
      ODD_PATHS.map((target) => path(to, target, fateOf(to, target))),
    ),
    ...ESCAPES.map((escape) => path('normal', `/x${escape}y`, escape === '%00' ? '400' : '200 a')),
  ],
  'manager-hosts': [
    hostOf('main', 'one.test:80', 'b'),
    hostOf('any', 'one.test:80', 'a'),
    hostOf('any', 'one.test', 'a'),
    hostOf('any', 'other.test:1', 'b'),
    hostOf('any', '[::1]:80', 'b'),
    hostOf('matching', 'one.test:80', 'b'),
    hostOf('matching', 'one.test:$listen.matching', 'a'),
    hostOf('dot', 'one.test.', 'a'),
    hostOf('dot', 'one.test.:80', 'b'),
    hostOf('dotport', 'one.test.:80', 'a'),
  ],
  'manager-limits': [
    at('main', 'a head of 50 KiB', { headers: [`x-big: ${'b'.repeat(50_000)}`] }),
    at('main', 'a head over 60 KiB', { headers: [`x-big: ${'b'.repeat(62_000)}`], is: '431' }),
    at('small', 'below 2 KiB', { headers: [`x-big: ${'b'.repeat(1500)}`] }),
    at('small', 'above 2 KiB', { headers: [`x-big: ${'b'.repeat(2500)}`], is: '431' }),
    at('small', 'a target above 2 KiB', { send: `GET /${'p'.repeat(2500)}`, is: '431' }),
    at('few', 'below the count', { headers: lines(3) }),
    at('few', 'above the count', { headers: lines(9), is: '431' }),
    at('main', '90 lines', { headers: lines(90) }),
    at('main', '120 lines', { headers: lines(120), is: '431' }),
    at('wide', '250 lines', { headers: lines(250) }),
    at('wide', 'a head of 80 KiB', { headers: [`x-big: ${'b'.repeat(80_000)}`] }),
    at('single', 'the first request of a connection'),
    at('single', 'the last request of a connection'),
    at('single', 'the first of the next connection'),
  ],
  'manager-underscores': ['main', 'drop', 'reject'].flatMap((to) => [
    at(to, 'in a name', { headers: ['x_a: 1', 'x-b: 2'], is: to === 'reject' ? '400' : '200 a' }),
    at(to, 'in a value', { headers: ['x-a: 1_2'] }),
    at(to, 'in the name of a second line', {
      headers: ['x-a: 1', 'x_a: 2', 'x-a: 3'],
      is: to === 'reject' ? '400' : '200 a',
    }),
  ]),
  'manager-marks': [
    at('main', 'plain', { headers: ['user-agent: me', 'via: 1.1 before'] }),
    at('via', 'adds', { answer: reply('200 OK', ['x-a: 1']) }),
    at('via', 'appends', { headers: ['via: 1.1 before'], answer: reply('200 OK', ['via: 1.1 other']) }),
    at('agent', 'adds'),
    at('agent', 'keeps', { headers: ['user-agent: me'] }),
    at('quiet', 'no x-envoy headers'),
    at('quiet', 'no original path', { send: 'GET /rewritten/x' }),
    at('attempts', 'counts'),
    at('attempts', 'replaces a count', { headers: ['x-envoy-attempt-count: 7'] }),
    at('main', 'hop by hop headers', {
      headers: ['Connection: x-hop', 'X-Hop: 1', 'Keep-Alive: timeout=5', 'TE: gzip'],
    }),
    at('main', 'TE trailers', { headers: ['Connection: te', 'TE: trailers'] }),
    at('main', 'proxy headers', { headers: ['Proxy-Connection: keep-alive', 'Proxy-Authorization: x'] }),
    at('main', 'hop by hop headers of the response', {
      answer: reply('200 OK', ['Connection: x-hop', 'X-Hop: 1', 'Keep-Alive: timeout=5']),
    }),
    at('main', 'the upstream sends date and x-envoy headers', {
      answer: reply('200 OK', [
        'Date: Mon, 01 Jan 2024 00:00:00 GMT',
        'x-envoy-upstream-service-time: 9',
        'x-request-id: up',
      ]),
    }),
    at('main', 'a client that names a timeout', { headers: ['x-envoy-upstream-rq-timeout-ms: 2000'] }),
  ],
  http10: [
    at('main', 'refused', { send: 'GET / HTTP/1.0', is: '426' }),
    at('old', 'closes after the response', { send: 'GET / HTTP/1.0' }),
    at('old', 'keeps alive when asked', { send: 'GET / HTTP/1.0', headers: ['Connection: keep-alive'] }),
    at('old', 'without Host', { send: 'GET / HTTP/1.0', host: null, is: '400' }),
    at('hosted', 'without Host', { send: 'GET / HTTP/1.0', host: null }),
    at('old', 'a chunked answer', {
      send: 'GET / HTTP/1.0',
      answer: {
        kind: 'raw',
        bytes: 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n',
        closes: false,
      },
    }),
    at('old', 'with a body', { send: 'POST / HTTP/1.0', body: 'abc' }),
    at('main', 'absolute form', { send: 'GET http://absolute.test/a?b', host: 'ignored.test' }),
    at('main', 'absolute form without a path', { send: 'GET http://absolute.test', host: 'ignored.test' }),
    at('main', 'absolute form with a port', { send: 'GET http://absolute.test:81/x' }),
    at('main', 'absolute form of https', { send: 'GET https://absolute.test/x' }),
  ],
};
