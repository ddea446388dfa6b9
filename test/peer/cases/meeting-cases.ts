// Where two features meet, and fields that Envoy has gained since the protos that we generate from.
import { raw, reply } from '../../support/raw-upstream.ts';
import type { CaseTable, PeerCase } from '../peer-case.ts';

const A = ['x-a: val'];
const given = (target: string, is: string, headers: readonly string[]): PeerCase => ({
  name: `${target} with ${headers.join('; ')}`,
  send: `GET ${target}`,
  is,
  headers,
});
const plain = (target: string, is: string): PeerCase => ({ name: target, send: `GET ${target}`, is });
const cookie = (value: string, is: string): PeerCase => given('/cookie', is, [`cookie: ${value}`]);
const GRPC = ['content-type: application/grpc'];

export const MEETING_CASES: CaseTable = {
  'newer-fields': [
    given('/path?q=1', '200 a', A),
    plain('/path?q=1', '200 a'),
    given('/same?q=1', '200 a', A),
    plain('/same?q=1', '200 a'),
    given('/host', '200 a', A),
    plain('/host', '200 a'),
    given('/redirect?x=1', '301', A),
    given('/redirect/own?x=1', '301', A),
    given('/body', '200', A),
    plain('/body', '200'),
    { name: 'HEAD of a formatted body', send: 'HEAD /body', is: '200' },
    plain('/binary', '200'),
    plain('/cookie', '404'),
    cookie('a=1', '200'),
    cookie('a=1; b=y', '200'),
    cookie('a=1; b=xy', '404'),
    cookie('a=2; a=1', '404'),
    cookie('a="1"', '200'),
    cookie('a = 1', '404'),
    { name: '/mirror', send: 'GET /mirror', is: '200 a', seen: 2 },
  ],
  'vhost-header': [
    plain('/', '404'),
    given('/', '200 a', ['x-vhost: A.test']),
    given('/', '200 b', ['x-vhost: other']),
    given('/', '200 b', ['x-vhost:']),
  ],
  'edited-framing': [
    { name: 'a body without its length', send: 'POST /removed', is: '200 a', body: 'abc' },
    { name: 'an empty body without its length', send: 'POST /removed', is: '200 a', body: '' },
    { name: 'chunks', send: 'POST /removed', is: '200 a', chunks: ['ab', 'c'] },
    plain('/removed', '200 a'),
    { name: 'an empty response', send: 'GET /removed', is: '200 a', answer: reply('200 OK', [], '') },
    { name: '204', send: 'GET /removed', is: '204 a', answer: raw('HTTP/1.1 204 No Content\r\n\r\n') },
    { name: '304', send: 'GET /removed', is: '304 a', answer: reply('304 Not Modified', ['content-length: 4'], null) },
    given('/by-header', '200 a', ['x-c: a']),
    given('/by-header', '503', ['x-c: nope']),
    plain('/emptied', '200 a'),
    plain('/emptied?x', '200 a'),
    plain('/exact;x=1/path', '200 a'),
    plain('/exact/path;x?y;z', '200 a'),
    given('/scheme', '301', ['x-forwarded-proto: https']),
    {
      name: 'an absolute target',
      send: 'GET http://abs.test/scheme',
      is: '301',
      headers: ['x-forwarded-proto: https'],
    },
    plain('/metadata', '200 a'),
    given('/grpc', '200', GRPC),
    given('/gone', '200', GRPC),
    given('/metadata', '200 a', ['expect: 100-continue']),
    given('/metadata', '200 a', ['x-request-id:']),
  ],
};
