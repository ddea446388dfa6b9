// Role-based access control: every permission and principal, with the header lines and paths that somebody may try.
import type { CaseTable, PeerCase } from '../peer-case.ts';

/** The policy by its path, what is sent, and whether it is turned away. */
const to = (path: string, lines: readonly string[], isDenied: boolean, rest = ''): PeerCase => ({
  name: `${path}${rest} ${isDenied ? 'denies' : 'lets in'} ${lines.length === 0 ? 'no header' : lines.join(' and ')}`,
  send: `GET /${path}/${rest}`,
  headers: lines,
  is: isDenied ? '403' : '211',
});

const A = ['x-a: 1'];
const B = ['x-b: 1'];
const AB = ['x-a: 1', 'x-b: 1'];
const BYTES = (text: string): string => Buffer.from(text, 'latin1').toString('latin1');

const HEADERS: readonly PeerCase[] = [
  to('exact', ['x-a: one'], true),
  to('exact', ['x-a: One'], false),
  to('exact', [], false),
  to('exact', ['x-a: two', 'x-a: one'], true),
  to('exact', ['x-a: one,two'], false),
  to('exact', ['X-A: one'], true),
  to('exact', ['x-a:   one  '], true),
  to('allow-exact', ['x-a: one'], false),
  to('allow-exact', ['x-a: evil', 'x-a: one'], false),
  to('allow-exact', [], true),
  to('fold', ['x-a: oNe'], true),
  to('prefix', ['x-a: only'], true),
  to('prefix', ['x-a: no'], false),
  to('suffix', ['x-a: none'], true),
  to('contains', ['x-a: an'], true),
  to('contains', ['x-a: a'], false),
  to('regex', ['x-a: abz'], true),
  to('regex', [BYTES('x-a: a\xffz')], true),
  to('regex', [BYTES('x-a: a\xc3\xa9z')], false),
  to('regex', ['x-a: abbz'], false),
  to('regex-list', [BYTES('x-a: \xff\xfe')], true),
  to('regex-list', ['x-a: b'], false),
  to('inverted', ['x-a: one'], false),
  to('inverted', ['x-a: two'], true),
  to('inverted', ['x-a: two', 'x-a: one'], false),
  to('inverted', [], false),
  to('range', ['x-a: 9'], true),
  to('range', ['x-a: 10'], false),
  to('present', ['x-a:'], true),
  to('present', [], false),
  to('missing-empty', [], true),
  to('missing-empty', ['x-a: 1'], false),
  to('who-header', ['x-a: one'], true),
  to('who-header', ['x-a: two'], false),
];

const PATHS: readonly PeerCase[] = [
  to('url-path', [], true, 'secret'),
  to('url-path', [], true, 'secret?a=b'),
  to('url-path', [], true, './secret'),
  to('url-path', [], true, 'x/../secret'),
  to('url-path', [], false, 'secret/'),
  to('url-path', [], false, 'SECRET'),
  to('url-path', [], true, '%73ecret'),
  to('url-path', [], false, 'secret%2f'),
  to('url-path', [], false, 'secret;x'),
  to('url-prefix', [], true, 'secret;x'),
  to('url-prefix', [], true, 'secret%2fx'),
  to('url-prefix', [], false, '/secret'),
  to('path-header', [], true, 'a?q'),
  to('path-header', [], false, 'a'),
  to('template', [], true, 'a/end'),
  to('template', [], true, 'a/end?q'),
  to('template', [], false, 'a/b/end'),
  to('template', [], false, 'end'),
  to('rest', [], true, 'a/b/c'),
  to('rest', [], false, 'b/c'),
  to('who-path', [], true, 'a/secret'),
  to('who-path', [], false, 'a/secret/'),
];

const CONNECTION: readonly PeerCase[] = [
  to('destination-ip', [], true),
  to('destination-other', [], false),
  to('port', [], true),
  to('port-other', [], false),
  to('port-range', [], true),
  to('port-range-below', [], false),
  to('sni-empty', [], true),
  to('sni', [], false),
  to('metadata', [], false),
  to('metadata-inverted', [], true),
  to('who-metadata', [], false),
  to('sourced', [], true),
  to('who-sourced', [], true),
  to('filter-state', [], false),
  to('authenticated', [], false),
  to('authenticated-any', [], false),
  to('not-authenticated', [], true),
  to('source-ip', [], true),
  to('direct-ip', ['x-forwarded-for: 10.1.2.3'], true),
  to('remote-ip', ['x-forwarded-for: 10.1.2.3'], true),
  to('remote-ip', ['x-forwarded-for: 10.2.2.3'], false),
  to('remote-ip', ['x-forwarded-for: 10.1.2.3, 10.2.2.3'], false),
  to('remote-ip', ['x-forwarded-for: unknown'], false),
  to('remote-ip6', ['x-forwarded-for: 2001:db8:7fff::1'], true),
  to('remote-ip6', ['x-forwarded-for: 2001:db8:8000::1'], false),
  to('ip-all', ['x-forwarded-for: 203.0.113.9'], true),
  to('ip-all', ['x-forwarded-for: 2001:db8::1'], false),
];

const LISTS: readonly PeerCase[] = [
  to('not', A, true),
  to('not', [], false),
  to('and', AB, true),
  to('and', A, false),
  to('or', B, true),
  to('or', [], false),
  to('list', B, true),
  to('list', [], false),
  to('who-and', AB, true),
  to('who-and', B, false),
  to('who-or', A, true),
  to('who-or', [], false),
  to('both', AB, true),
  to('both', A, false),
  to('order', AB, true),
  to('order', A, true),
  to('order', [...AB, 'x-c: 1'], true),
  to('order', [], false),
];

const MODES: readonly PeerCase[] = [
  to('log', A, false),
  to('log', [], false),
  to('shadow', A, false),
  to('shadow', AB, false),
  to('shadow', B, true),
  to('shadow-only', [], false),
  to('shadow-only', B, false),
  to('empty', [], true),
  to('empty-deny', [], false),
  to('off', A, false),
  to('default', A, true),
  to('default', [], false),
  { name: 'method denies POST', send: 'POST /method/', body: '', is: '403' },
  to('method', [], false),
  { name: 'host denies in any case', send: 'GET /host/', host: 'eXaMple.TEST', is: '403' },
  { name: 'host lets in another port', send: 'GET /host/', host: 'example.test:80', is: '211' },
  { name: 'host lets in a trailing dot', send: 'GET /host/', host: 'example.test.', is: '211' },
  {
    name: 'a gRPC request is denied in its own way',
    send: 'POST /exact/',
    headers: ['content-type: application/grpc', 'x-a: one'],
    body: '',
    is: '200',
  },
  { name: 'HEAD is denied without a body', send: 'HEAD /exact/', headers: ['x-a: one'], is: '403' },
];

/** A connection to the listener of this name: closed without an answer, or served. */
const connect = (to: string, is: string): PeerCase => ({
  name: `${to} ${is === 'close' ? 'closes' : 'serves'} the connection`,
  send: 'GET /',
  to,
  is,
  isFresh: true,
});

const CONNECTIONS: readonly PeerCase[] = [
  connect('deny', 'close'),
  connect('denyother', '200 a'),
  connect('allow', '200 a'),
  connect('allowother', 'close'),
  connect('continuous', 'close'),
  connect('shadow', '200 a'),
  connect('empty', 'close'),
  connect('path', '200 a'),
  connect('suffix', '200 a'),
  connect('httpdeny', 'close'),
  connect('httpallow', '211'),
];

export const RBAC_CASES: CaseTable = {
  rbac: [...HEADERS, ...PATHS, ...CONNECTION, ...LISTS, ...MODES],
  'rbac-network': CONNECTIONS,
};
