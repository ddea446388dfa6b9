// Bodies, their framing in both directions, connection reuse, heads that are refused, and raw TCP.
import { raw, reply } from '../../support/raw-upstream.ts';
import type { CaseTable, PeerCase } from '../peer-case.ts';

const at = (name: string, rest: Partial<PeerCase>): PeerCase => ({ name, send: 'GET /', is: '200 a', ...rest });
/** Bytes that are not one valid request, and what Envoy answers. */
const bad = (name: string, bytes: string, is = '400'): PeerCase => ({
  name,
  send: 'GET /',
  raw: [bytes],
  is,
  isFresh: true,
});

const CHUNKED = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n';
const HEAD = 'GET / HTTP/1.1\r\nHost: a\r\n';
const POST = 'POST / HTTP/1.1\r\nHost: a\r\n';
const LARGE = 'large '.repeat(400_000);

export const FRAMING_CASES: CaseTable = {
  framing: [
    at('content-length both ways', { send: 'POST /', body: 'request', answer: reply('200 OK', [], 'response') }),
    at('an empty body with content-length 0', { send: 'POST /', body: '', answer: reply('200 OK', [], '') }),
    at('a POST without a body or a length', { send: 'POST /' }),
    at('chunked request', { send: 'POST /', chunks: ['one', 'two and more', 'x'.repeat(300)] }),
    at('chunked request without a chunk', { send: 'POST /', chunks: [] }),
    at('chunked request to GET', { chunks: ['body'] }),
    at('chunk extensions and trailers of the request', {
      send: 'POST /',
      raw: [`${POST}Transfer-Encoding: chunked\r\nTrailer: x-t\r\n\r\n3;ext=1\r\nabc\r\n0\r\nx-t: 1\r\n\r\n`],
    }),
    at('chunked response', { answer: raw(`${CHUNKED}\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n`) }),
    at('chunked response in pieces', {
      answer: { kind: 'pieces', pieces: [`${CHUNKED}\r\n3\r`, '\nab', 'c\r\n0', '\r\n\r\n'], gapMs: 20 },
    }),
    at('trailers of the response', { answer: raw(`${CHUNKED}Trailer: x-t\r\n\r\n3\r\nabc\r\n0\r\nx-t: 1\r\n\r\n`) }),
    at('a response that ends with the connection', { answer: raw('HTTP/1.1 200 OK\r\n\r\nuntil the end', true) }),
    at('a response that asks to close', {
      answer: raw('HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok', true),
    }),
    at('an HTTP/1.0 response', { answer: raw('HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok', true) }),
    at('HEAD with content-length', { send: 'HEAD /', answer: raw('HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n') }),
    at('HEAD with chunked', { send: 'HEAD /', answer: raw(`${CHUNKED}\r\n`) }),
    at('HEAD without either', { send: 'HEAD /', answer: raw('HTTP/1.1 200 OK\r\n\r\n') }),
    at('204', { is: '204 a', answer: raw('HTTP/1.1 204 No Content\r\nx-a: 1\r\n\r\n') }),
    at('204 with content-length 0', {
      is: '204 a',
      answer: raw('HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n'),
    }),
    at('304', { is: '304 a', answer: raw('HTTP/1.1 304 Not Modified\r\nETag: "x"\r\n\r\n') }),
    at('304 with a length', { is: '304 a', answer: raw('HTTP/1.1 304 Not Modified\r\nContent-Length: 12\r\n\r\n') }),
    at('the connection still works after all that', {}),
    at('103 before 200', {
      answer: raw('HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'),
    }),
    at('100 before 200 without being asked', {
      send: 'POST /',
      body: 'abc',
      answer: raw('HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'),
    }),
    at('102 before 200', {
      answer: raw('HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'),
    }),
    at('expect: 100-continue', {
      send: 'POST /',
      raw: [`${POST}Expect: 100-continue\r\nContent-Length: 3\r\n\r\n`, 'abc'],
    }),
    at('a status nobody knows', { is: '299 a', answer: reply('299 Whatever') }),
    at('a status without a reason', { is: '404 a', answer: raw('HTTP/1.1 404 \r\nContent-Length: 0\r\n\r\n') }),
    at('500 with a body', { is: '500 a', answer: reply('500 Oh', ['x-a: 1'], 'sorry') }),
    at('a large request', { send: 'POST /', body: LARGE }),
    at('a large chunked request', { send: 'POST /', chunks: [LARGE, LARGE] }),
    at('a large response', { answer: reply('200 OK', [], LARGE) }),
    at('a large chunked response', {
      answer: raw(`${CHUNKED}\r\n${LARGE.length.toString(16)}\r\n${LARGE}\r\n0\r\n\r\n`),
    }),
    at('two requests in one piece', {
      raw: ['GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n'],
      responses: 2,
      seen: 2,
    }),
    at('a POST and a GET in one piece', {
      raw: [`${POST}Content-Length: 3\r\n\r\nabcGET /2 HTTP/1.1\r\nHost: a\r\n\r\n`],
      send: 'POST /',
      responses: 2,
      seen: 2,
    }),
    at('a head byte by byte at its end', { raw: ['GET /slow HTTP/1.1\r\nHo', 'st: a\r', '\n\r', '\n'] }),
    at('empty lines before a request', { raw: ['\r\n\r\nGET /after HTTP/1.1\r\nHost: a\r\n\r\n'] }),
    at('connection: close from the client', { headers: ['Connection: close'] }),
    at('connection: keep-alive from the client', { headers: ['Connection: keep-alive'] }),
    at('other methods', { send: 'PATCH /x', body: '{}' }),
    at('DELETE', { send: 'DELETE /x' }),
    at('OPTIONS', { send: 'OPTIONS /x' }),
    at('header values with odd bytes', { headers: ['x-utf: caf\u00c3\u00a9', 'x-tab: a\tb', 'x-empty:'] }),
    at('response header values with odd bytes', { answer: reply('200 OK', ['x-utf: caf\u00c3\u00a9', 'x-empty:']) }),
    at('repeated headers both ways', {
      headers: ['x-many: 1', 'x-many: 2', 'x-many: 1'],
      answer: reply('200 OK', ['set-cookie: a', 'set-cookie: b', 'x-many: 2', 'x-many: 1']),
    }),
  ],
  malformed: [
    bad('no version', 'GET /\r\nHost: a\r\n\r\n', '426'),
    bad('a version that is not HTTP', 'GET / HTP/1.1\r\nHost: a\r\n\r\n'),
    bad('version 1.2', 'GET / HTTP/1.2\r\nHost: a\r\n\r\n', '426'),
    bad('version 2.0', 'GET / HTTP/2.0\r\nHost: a\r\n\r\n', '426'),
    bad('no Host', 'GET / HTTP/1.1\r\n\r\n'),
    bad('a space before the colon', `${HEAD}x-a : 1\r\n\r\n`),
    bad('a header line without a colon', `${HEAD}nonsense\r\n\r\n`),
    bad('a header without a name', `${HEAD}: 1\r\n\r\n`),
    bad('a folded header line', `${HEAD}x-a: 1\r\n 2\r\n\r\n`, '200 a'),
    bad('NUL in a value', `${HEAD}x-a: 1\x002\r\n\r\n`),
    bad('a lone CR in a value', `${HEAD}x-a: 1\r2\r\n\r\n`, '200 a'),
    bad('a bad character in a name', `${HEAD}x(a: 1\r\n\r\n`),
    bad('a target with a space', 'GET /a b HTTP/1.1\r\nHost: a\r\n\r\n'),
    bad('a method of odd bytes', 'GE(T / HTTP/1.1\r\nHost: a\r\n\r\n'),
    bad('content-length and chunked', `${POST}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`),
    bad('content-lengths that differ', `${POST}Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd`),
    bad('content-length with a sign', `${POST}Content-Length: +3\r\n\r\nabc`),
    bad('content-length that is no number', `${POST}Content-Length: x\r\n\r\nabc`),
    bad('content-length with a list', `${POST}Content-Length: 3, 3\r\n\r\nabc`),
    bad('a transfer coding nobody asked for', `${POST}Transfer-Encoding: gzip\r\n\r\n`, '501'),
    bad('a binary greeting', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n'),
  ],
  tcp: [
    at('HTTP passes as it is', { headers: ['X-Case: Kept', 'Connection: x-hop'] }),
    at('an answer passes as it is', {
      answer: raw('HTTP/1.1 299 Odd Reason\r\nX-Case: Kept\r\nContent-Length: 2\r\n\r\nok'),
      is: '299 a',
    }),
    at('a large body up', { send: 'POST /', body: LARGE }),
    at('a large body down', { answer: reply('200 OK', [], LARGE) }),
    at('a body that ends with the connection', { answer: raw('HTTP/1.1 200 OK\r\n\r\nthe end', true) }),
    at('weighted clusters', { to: 'weighted' }),
    at('no endpoint closes the connection', { to: 'nowhere', is: 'close' }),
  ],
};
