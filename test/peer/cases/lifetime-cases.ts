// How long things may last, and what the client is told when they last longer; changes of protocol.
import { raw } from '../../support/raw-upstream.ts';
import type { CaseTable, PeerCase } from '../peer-case.ts';

const get = (name: string, target: string, is: string, rest: Partial<PeerCase> = {}): PeerCase => ({
  name,
  send: `GET ${target}`,
  is,
  isFresh: true,
  ...rest,
});

const HANG = { kind: 'hang' } as const;
const HALF = raw('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhi');
const GET = (target: string): string => `GET ${target} HTTP/1.1\r\nHost: example.test\r\n\r\n`;
const HALF_POST = (target: string): readonly string[] => [
  `POST ${target} HTTP/1.1\r\nHost: example.test\r\nContent-Length: 9\r\n\r\nhalf`,
];
const OFFER = ['Connection: Upgrade', 'Upgrade: websocket'];
const AGREED = raw('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nbytes', true);
const NO = raw('HTTP/1.1 400 Bad Request\r\nContent-Length: 2\r\n\r\nno');
const CONNECT = 'CONNECT far.test:443';
const connecting = (rest = ''): readonly string[] => [`${CONNECT} HTTP/1.1\r\nHost: far.test:443\r\n${rest}\r\n`];
const EXPECTING = 'POST /x HTTP/1.1\r\nHost: example.test\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n';

export const LIFETIME_CASES: CaseTable = {
  lifetimes: [
    get('half a head', '/', '408', { to: 'headers', raw: ['GET / HTTP/1.1\r\nHost: example.test\r\n'] }),
    get('half a body', '/', '408 a', { to: 'request', send: 'POST /', raw: HALF_POST('/') }),
    get('half a body, in chunks', '/', '408 a', {
      to: 'request',
      send: 'POST /',
      raw: ['POST / HTTP/1.1\r\nHost: example.test\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n'],
    }),
    get('half a head counts as the request', '/', '408', { to: 'request', raw: ['GET / HTTP/1.1\r\nHost: e'] }),
    get('a slow answer is not the request', '/', '200 a', { to: 'request', answer: { kind: 'late', afterMs: 400 } }),
    get('a stream without an answer', '/', '504 a', { to: 'idle', answer: HANG }),
    get('a stream with half a body', '/', '408 a', { to: 'idle', send: 'POST /', raw: HALF_POST('/') }),
    get('a stream with half an answer', '/', '200 a', { to: 'idle', answer: HALF }),
    get('a route with a limit of its own', '/own', '504 a', { to: 'idle', answer: HANG }),
    get('a stream that lasts', '/', '504 a', { to: 'duration', answer: HANG }),
    get('a stream that lasts, its request', '/', '408 a', { to: 'duration', send: 'POST /', raw: HALF_POST('/') }),
    get('a stream that lasts, its answer', '/', '200 a', { to: 'duration', answer: HALF }),
    get('a route that allows less', '/own', '504 a', { to: 'duration', answer: HANG }),
    get('a route that allows more', '/none', '200 a', { to: 'duration', answer: { kind: 'late', afterMs: 500 } }),
    get('a gRPC timeout below the maximum', '/grpc', '504 a', {
      to: 'duration',
      answer: HANG,
      headers: ['grpc-timeout: 100m'],
    }),
    get('a gRPC timeout above the maximum', '/grpc', '504 a', {
      to: 'duration',
      answer: HANG,
      headers: ['grpc-timeout: 10S'],
    }),
    get('an idle connection', '/', '200 a', { to: 'quiet', raw: [GET('/')], responses: 2 }),
    get('a connection of age', '/', '200 a', {
      to: 'aged',
      raw: [GET('/')],
      answer: { kind: 'late', afterMs: 500 },
    }),
    get('the last of so many requests', '/', '200 a', {
      to: 'counted',
      raw: [GET('/1') + GET('/2') + GET('/3')],
      responses: 3,
      seen: 2,
    }),
  ],
  upgrades: [
    get('an upstream agrees', '/', '101 a', { headers: OFFER, answer: AGREED }),
    get('an upstream refuses', '/', '400 a', { headers: OFFER, answer: NO }),
    get('in another case', '/', '101 a', { headers: ['Connection: upgrade', 'Upgrade: WebSocket'], answer: AGREED }),
    get('beside other options', '/', '101 a', {
      headers: ['Connection: keep-alive, Upgrade', 'Upgrade: websocket'],
      answer: AGREED,
    }),
    get('a protocol that is not configured', '/', '403', { headers: ['Connection: Upgrade', 'Upgrade: other'] }),
    get('a protocol that is switched off', '/', '403', { headers: ['Connection: Upgrade', 'Upgrade: off-here'] }),
    get('a route that forbids it', '/none', '403', { headers: OFFER }),
    get('a route that allows it', '/own', '400 a', {
      headers: ['Connection: Upgrade', 'Upgrade: off-here'],
      answer: NO,
    }),
    get('a route that asks for it', '/asked/x', '101 a', { headers: OFFER, answer: AGREED }),
    get('no route', '/', '403', { to: 'bare', headers: OFFER }),
    get('h2c', '/', '200 a', {
      headers: ['Connection: Upgrade, HTTP2-Settings', 'Upgrade: h2c', 'HTTP2-Settings: AAMAAABkAAQAAP__'],
    }),
    get('an answer by the route itself', '/direct', '200', { headers: OFFER }),
    get('CONNECT goes on', '/', '200 a', {
      to: 'proxy',
      send: CONNECT,
      raw: connecting(),
      answer: raw('HTTP/1.1 200 OK\r\n\r\nbytes', true),
    }),
    get('CONNECT is refused upstream', '/', '403 a', {
      to: 'proxy',
      send: CONNECT,
      raw: connecting(),
      answer: raw('HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n'),
    }),
    get('CONNECT without a route', '/', '404', { to: 'bare', send: CONNECT, raw: connecting() }),
    get('CONNECT that nobody allowed', '/', '403', { to: 'unasked', send: CONNECT, raw: connecting() }),
    get('CONNECT ends here', '/', '200 a', {
      to: 'ends',
      send: CONNECT,
      raw: [`${connecting()[0]}${GET('/inside')}`],
      answer: raw('bytes', true),
    }),
    get('100 by the sidecar', '/x', '200 a', { send: 'POST /x', raw: [EXPECTING, 'hi'] }),
    get('100 by the upstream', '/x', '200 a', { to: 'continue', send: 'POST /x', raw: [EXPECTING, 'hi'] }),
    get('trailers of a request', '/x', '200 a', {
      to: 'trailers',
      send: 'POST /x',
      raw: [
        'POST /x HTTP/1.1\r\nHost: example.test\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-Sum: 1\r\n\r\n',
      ],
    }),
    get('trailers of a response', '/x', '200 a', {
      to: 'trailers',
      headers: ['Connection: TE', 'TE: trailers'],
      answer: raw('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-Sum: 1\r\n\r\n'),
    }),
  ],
};
