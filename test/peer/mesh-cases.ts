// What is sent through the outbound and inbound ports of both sides: the bookshop's own rules first, then the rules in
// mesh-rules/. Every case says what must come out, so that it cannot pass by both sides being wrong.
import { reply } from '../support/raw-upstream.ts';
import type { PeerCase } from './peer-case.ts';

export const CALLERS_TRACE = '0af7651916cd43dd8448eb211c80319c';

const EDITED = reply('200 OK', ['x-secret: s', 'x-inner: i', 'x-answer: app', 'x-added: app']);

type More = Partial<PeerCase>;

const out = (name: string, send: string, is: string, more: More): PeerCase => ({
  to: 'outbound',
  name,
  send,
  is,
  ...more,
});
const catalog = (name: string, send: string, is: string, more: More = {}): PeerCase =>
  out(name, send, is, { host: 'catalog', ...more });
const tools = (name: string, send: string, is: string, more: More = {}): PeerCase =>
  out(name, send, is, { host: 'tools', ...more });
const library = (name: string, send: string, is: string, more: More = {}): PeerCase =>
  out(name, send, is, { host: 'library', ...more });

export const BOOKSHOP_CASES: readonly PeerCase[] = [
  out('a header sends one reader to v3', 'GET /reviews/1', '200 reviewsV3', {
    host: 'reviews',
    headers: ['end-user: jason'],
  }),
  catalog('a rewrite changes the prefix', 'GET /shelf/2?a=b', '200 catalog'),
  catalog('a rewrite keeps its hands off the rest', 'GET /shelf', '200 catalog'),
  catalog('a redirect', 'GET /bestseller', '301'),
  catalog('a redirect of exactly this path', 'GET /bestseller/', '200 catalog'),
  catalog('a redirect keeps the query', 'GET /bestseller?x=1', '301'),
  catalog('a timeout that is met', 'GET /slow', '200 catalog', { answer: { kind: 'late', afterMs: 50 } }),
  catalog('a timeout that is not met', 'GET /slow', '504 catalog', { answer: { kind: 'late', afterMs: 1500 } }),
  catalog('a mirror', 'GET /popular/1', '200 catalog', { seen: 2 }),
  catalog('a mirror of a POST with a body', 'POST /popular/1', '200 catalog', { body: 'stars', seen: 2 }),
  catalog('a path that no rule names', 'GET /books/1', '200 catalog'),
  catalog('a POST', 'POST /books', '200 catalog', { body: 'a book' }),
  catalog('a chunked POST', 'POST /books', '200 catalog', { chunks: ['a ', 'book'] }),
  catalog('a HEAD', 'HEAD /books/1', '200 catalog'),
  catalog('an answer of 500', 'GET /books/1', '500 catalog', { answer: reply('500 Internal Server Error') }),
  catalog('an answer of 204', 'GET /books/1', '204 catalog', { answer: reply('204 No Content', [], null) }),
  catalog('a path to normalize', 'GET /x/../shelf/./2', '200 catalog'),
  out('a service without rules', 'GET /ratings/1', '200 ratings', { host: 'ratings' }),
  out('a host with its port', 'GET /ratings/1', '200 ratings', { host: 'ratings:80' }),
  out('a host with another port', 'GET /ratings/1', '502', { host: 'ratings:81' }),
  out('a host with its namespace', 'GET /ratings/1', '200 ratings', { host: 'ratings.default' }),
  out('a host in full', 'GET /ratings/1', '200 ratings', { host: 'ratings.default.svc.cluster.local' }),
  out('a host in capitals', 'GET /ratings/1', '200 ratings', { host: 'RATINGS' }),
  out('an unknown host', 'GET /', '502', { host: 'nobody.example.test' }),
  out('a trace that goes on', 'GET /ratings/1', '200 ratings', {
    host: 'ratings',
    headers: [`traceparent: 00-${CALLERS_TRACE}-b7ad6b7169203331-01`, 'tracestate: a=b'],
  }),
  out('a trace that is not sampled', 'GET /ratings/1', '200 ratings', {
    host: 'ratings',
    headers: [`traceparent: 00-${CALLERS_TRACE}-b7ad6b7169203331-00`],
  }),
  out('a request id of the caller', 'GET /ratings/1', '200 ratings', {
    host: 'ratings',
    headers: ['x-request-id: mine'],
  }),
  out('addresses that the caller claims', 'GET /ratings/1', '200 ratings', {
    host: 'ratings',
    headers: ['x-forwarded-for: 10.0.0.1', 'x-envoy-internal: true', 'x-forwarded-proto: https'],
  }),
  { to: 'inbound', name: 'from outside to the app', send: 'GET /books/1', is: '200 app', host: 'frontend' },
  { to: 'inbound', name: 'from outside by another name', send: 'GET /x?y', is: '200 app', host: 'anything.test' },
  { to: 'inbound', name: 'from outside with a body', send: 'POST /x', is: '200 app', host: 'frontend', body: 'abc' },
  {
    to: 'inbound',
    name: 'from outside with a trace',
    send: 'GET /x',
    is: '200 app',
    host: 'frontend',
    headers: [`traceparent: 00-${CALLERS_TRACE}-b7ad6b7169203331-01`, 'x-request-id: theirs'],
  },
  {
    to: 'inbound',
    name: 'from outside, 404 of the app',
    send: 'GET /x',
    is: '404 app',
    answer: reply('404 Not Found'),
  },
];

export const VIRTUAL_SERVICE_CASES: readonly PeerCase[] = [
  tools('exact path, in a subset', 'GET /exact', '200 tools'),
  tools('exact path with a query', 'GET /exact?x', '200 tools'),
  tools('not quite the path: nothing matches', 'GET /exactly', '404'),
  tools('case ignored', 'GET /foLDed', '200 catalog'),
  tools('regex', 'GET /part/42/x', '200 ratings'),
  tools('regex matches the whole path', 'GET /part/42/xy', '404'),
  tools('method', 'POST /method', '200 catalog'),
  tools('another method', 'PUT /method', '404'),
  tools('authority', 'GET /authority', '200 catalog', { host: 'tools.default.svc' }),
  tools('another authority', 'GET /authority', '404'),
  tools('headers by prefix, regex and presence', 'GET /headers', '200 ratings', {
    headers: ['X-Kind: hammer', 'x-size: 12', 'x-any: '],
  }),
  tools('headers: one does not match', 'GET /headers', '404', {
    headers: ['x-kind: hammer', 'x-size: 1234', 'x-any: a'],
  }),
  tools('headers: one is missing', 'GET /headers', '404', { headers: ['x-kind: hammer', 'x-size: 12'] }),
  tools('headers: one must not be there', 'GET /headers', '404', {
    headers: ['x-kind: hammer', 'x-size: 12', 'x-any: a', 'x-no: 1'],
  }),
  tools('headers: the forbidden one has another value', 'GET /headers', '200 ratings', {
    headers: ['x-kind: hammer', 'x-size: 12', 'x-any: a', 'x-no: 2'],
  }),
  tools('query', 'GET /query?w=abc&v=1', '200 ratings'),
  tools('query: another value', 'GET /query?w=abc&v=2', '404'),
  tools('query: missing', 'GET /query', '404'),
  tools('labels of the caller', 'GET /source', '200 ratings'),
  tools('another namespace of the caller', 'GET /elsewhere', '404'),
  tools('port of the service', 'GET /port', '200 ratings', { host: 'tools:8081' }),
  tools('another port of the service', 'GET /port', '404'),
  tools('a destination has the port of the request', 'GET /all', '200 other', { host: 'tools:8081' }),
  tools('rewrite of prefix and authority', 'GET /rewrite/a/b?c=d', '200 tools'),
  tools('rewrite by regex', 'GET /regex/a/b/c?d', '200 tools'),
  tools('redirect with everything', 'GET /redirect?q=1', '308'),
  tools('redirect to another host', 'GET /away/x?q=1', '302'),
  tools('redirect with the port of the request', 'GET /derive/x', '307', { host: 'tools:8081' }),
  tools('an answer of its own', 'GET /teapot', '418'),
  tools('an answer of its own to a POST', 'POST /teapot', '418', { body: 'leaves', isFresh: true }),
  tools('header edits of rule and destination', 'GET /edit', '200 tools', {
    headers: ['x-set: caller', 'x-add: caller', 'x-remove: r'],
    answer: EDITED,
  }),
  tools('a short timeout', 'GET /hurry', '504 tools', { answer: { kind: 'late', afterMs: 1500 } }),
  tools('several mirrors', 'GET /mirrors', '200 tools', { seen: 3 }),
  tools('several mirrors of a body', 'POST /mirrors', '200 tools', { body: 'x'.repeat(3000), seen: 3 }),
  tools('a subset without instances', 'GET /blunt', '503'),
  tools('a destination that nobody has', 'GET /nowhere', '503'),
  tools('a subset that no rule defines', 'GET /no-subset', '503'),
  tools('a destination outside', 'GET /partner', '200 partner'),
  tools('a connection for three requests at most', 'GET /all', '200 tools'),
];

export const HTTP_ROUTE_CASES: readonly PeerCase[] = [
  library('exact wins over prefix', 'GET /a', '200 ratings'),
  library('the longer prefix wins', 'GET /a/b/c', '200 catalog'),
  library('the shorter prefix', 'GET /a/c', '200 library'),
  library('prefixes end at a slash', 'GET /ab', '404'),
  library('regex', 'GET /xyzzy', '200 ratings'),
  library('all conditions', 'GET /if?v=1', '200 library', { headers: ['x-kind: hammer'] }),
  library('one condition fails', 'GET /if?v=2', '404', { headers: ['x-kind: hammer'] }),
  library('header edits of rule and backend', 'GET /edit', '200 library', {
    headers: ['x-set: caller', 'x-add: caller', 'x-remove: r'],
    answer: EDITED,
  }),
  library('rewrite of the whole path and the host', 'GET /full/x?y', '200 library'),
  library('rewrite of a prefix', 'GET /old/x', '200 library'),
  library('rewrite of a prefix with nothing after it', 'GET /old?y', '200 library'),
  library('redirect of a prefix', 'GET /moved/x?y', '302'),
  library('redirect to https', 'GET /secure', '302'),
  library('a mirror', 'GET /mirror', '200 library', { seen: 2 }),
  library('a timeout', 'GET /hurry', '504 library', { answer: { kind: 'late', afterMs: 1500 } }),
  library('a backend that does not exist', 'GET /broken', '500'),
  library('no backend', 'GET /none', '500'),
];

export const OUTSIDE_CASES: readonly PeerCase[] = [
  out('a ServiceEntry with a rule', 'GET /x', '200 partner', { host: 'api.partner.test' }),
  out('a ServiceEntry, its other port', 'GET /x', '200 other', { host: 'api.partner.test:9000' }),
  out('a ServiceEntry by DNS', 'GET /x', '200 partner', { host: 'named.partner.test' }),
  out('a ServiceEntry of WorkloadEntries', 'GET /x', '200 partner', { host: 'machines.partner.test' }),
  out('a host that only a rule knows', 'GET /x?y', '200 ratings', { host: 'only.a.name.test' }),
  out('a service of another namespace', 'GET /x', '200 other', { host: 'stock.warehouse' }),
  out('the short name of another namespace', 'GET /x', '502', { host: 'stock' }),
  out('an instance that refuses', 'GET /x', '503', { host: 'closed' }),
  out('a service without instances', 'GET /x', '503', { host: 'empty' }),
];

export const MESH_CASES: Readonly<Record<string, readonly PeerCase[]>> = {
  'mesh-bookshop': BOOKSHOP_CASES,
  'mesh-virtual-service': VIRTUAL_SERVICE_CASES,
  'mesh-http-route': HTTP_ROUTE_CASES,
  'mesh-outside': OUTSIDE_CASES,
};

export interface Split {
  readonly host: string;
  readonly path: string;
  /** By upstream. */
  readonly shares: Readonly<Record<string, number>>;
  /** The header by which the upstream can tell that it was meant, if the rule sets one. */
  readonly header: string | null;
}

export const SPLITS: readonly Split[] = [
  { host: 'reviews', path: '/reviews/1', shares: { reviewsV1: 0.9, reviewsV2: 0.1 }, header: null },
  { host: 'tools', path: '/split', shares: { catalog: 0.7, ratings: 0.25, tools: 0.05 }, header: 'x-to' },
  { host: 'library', path: '/split', shares: { library: 0.75, ratings: 0.25 }, header: null },
];
