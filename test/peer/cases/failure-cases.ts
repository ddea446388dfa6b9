// What the client sees when something upstream is wrong, or is late.
import { raw } from '../../support/raw-upstream.ts';
import type { CaseTable, PeerCase } from '../peer-case.ts';

const plain = (name: string, target: string, is: string, rest: Partial<PeerCase> = {}): PeerCase => ({
  name,
  send: `GET ${target}`,
  is,
  ...rest,
});

const HANG = { kind: 'hang' } as const;
const LATE = { kind: 'late', afterMs: 60 } as const;

export const FAILURE_CASES: CaseTable = {
  failures: [
    plain('a cluster that does not exist', '/missing', '503', { headers: ['x-cluster: zzz'] }),
    plain('no such cluster as 404', '/missing/404', '404', { headers: ['x-cluster: zzz'] }),
    plain('no such cluster as 500', '/missing/500', '500', { headers: ['x-cluster: zzz'] }),
    plain('a cluster without endpoints', '/empty', '503'),
    plain('a cluster without endpoints, with a body', '/empty', '503', { send: 'POST /empty', body: 'abc' }),
    plain('a cluster without endpoints, HEAD', '/empty', '503', { send: 'HEAD /empty' }),
    plain('a refused connection', '/refused', '503'),
    plain('a refused connection, with a body', '/refused', '503', { send: 'POST /refused', body: 'abc' }),
    plain('no route', '/none', '404'),
    plain('no route, with a body', '/none', '404', { send: 'POST /none', body: 'abc' }),
    plain('the upstream closes without an answer', '/a', '503 a', {
      answer: { kind: 'close' },
      send: 'POST /a',
      body: 'x',
    }),
    plain('the upstream resets without an answer', '/a', '503 a', {
      answer: { kind: 'reset' },
      send: 'POST /a',
      body: 'x',
    }),
    plain('the upstream answers nonsense', '/a', '502 a', {
      answer: raw('nonsense\r\n\r\n', true),
      send: 'POST /a',
      body: 'x',
    }),
    plain('the upstream cuts the body short', '/a', '200 a', {
      answer: raw('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc', true),
    }),
    plain('the upstream cuts a chunked body short', '/a', '200 a', {
      answer: raw('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n', true),
    }),
    plain('the upstream is well again', '/a', '200 a'),
  ],
  timeouts: [
    plain('a route timeout', '/short', '504', { answer: HANG, seen: 1 }),
    plain('a route timeout, with a body', '/short', '504', { answer: HANG, send: 'POST /short', body: 'abc', seen: 1 }),
    plain('an answer in time', '/long', '200 a', { answer: LATE }),
    plain('no timeout', '/off', '200 a', { answer: LATE }),
    plain('the default timeout', '/default', '200 a', { answer: LATE }),
    plain('idle_timeout of the route', '/idle', '504', { answer: HANG, seen: 1 }),
    plain('the response has begun when the timeout strikes', '/short', '200 a', {
      answer: raw('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc'),
    }),
    plain('the connection of a 504 goes on', '/off', '200 a'),
  ],
  clusters: [
    plain('STRICT_DNS', '/strict', '200 a'),
    plain('LOGICAL_DNS', '/logical', '200 a'),
    plain('one request per connection', '/single', '200 a'),
    plain('one request per connection, again', '/single', '200 a'),
    plain('LEAST_REQUEST', '/least', '200 a'),
    plain('RANDOM', '/random', '200 a'),
  ],
};
