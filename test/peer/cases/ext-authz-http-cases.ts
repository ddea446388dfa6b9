// What an HTTP authorization service is asked, and what its answers do to the request and to the client.
import { raw, reply, type Answer } from '../../support/raw-upstream.ts';
import type { CaseTable, PeerCase } from '../peer-case.ts';

const DEFAULT: Answer = { kind: 'default' };

/** The service answers first, the app after it. */
function checked(name: string, to: string, answer: Answer, more: Partial<PeerCase> = {}): PeerCase {
  return {
    name,
    send: 'GET /x',
    to,
    answer: { kind: 'script', answers: [answer, DEFAULT] },
    is: '200 a',
    seen: 2,
    ...more,
  };
}

/** The app is never asked; `is` is 403 unless the case says it. */
function stopped(name: string, to: string, answer: Answer, more: Partial<PeerCase> = {}): PeerCase {
  return checked(name, to, answer, { is: '403', seen: 1, ...more });
}

const allow = (...headers: string[]): Answer => reply('200 OK', [...headers, 'content-length: 0'], null);

export const EXT_AUTHZ_HTTP_CASES: CaseTable = {
  'ext-authz-http': [
    checked('allowed', 'main', allow()),
    checked('a query and fields that are not sent', 'main', allow(), {
      send: 'GET /x?a=b&c=%20',
      headers: ['Authorization: Bearer t', 'x-a: 1', 'Cookie: c=1'],
    }),
    checked('a POST with a body', 'main', allow(), { send: 'POST /x', body: 'abc' }),
    checked('a chunked body', 'main', allow(), { send: 'POST /x', chunks: ['abc', 'de'] }),
    checked('a HEAD', 'main', allow(), { send: 'HEAD /x' }),
    checked('a PUT without a body', 'main', allow(), { send: 'PUT /x' }),
    checked('fields of the answer go nowhere', 'main', allow('x-up-one: 1', 'set-cookie: a=b')),
    checked('the answer has a body', 'main', reply('200 OK', ['x-y: 1'], 'a body')),
    checked('fields to remove', 'main', allow('x-envoy-auth-headers-to-remove: x-a, x-b ,authorization,host,:path'), {
      headers: ['x-a: 1', 'x-b: 2', 'x-c: 3', 'Authorization: t'],
    }),
    stopped(
      '401 with a challenge',
      'main',
      reply('401 Unauthorized', ['www-authenticate: Basic', 'x-a: 1'], 'go away'),
      { is: '401' },
    ),
    stopped('403 without a body', 'main', reply('403 Forbidden', ['content-length: 0'], null)),
    stopped(
      'a redirect',
      'main',
      reply('302 Found', ['location: https://login.test/', 'set-cookie: a=1', 'set-cookie: b=2'], ''),
      { is: '302' },
    ),
    stopped('201 is not 200', 'main', reply('201 Created', [], 'made'), { is: '201' }),
    stopped('204 is not 200', 'main', raw('HTTP/1.1 204 No Content\r\nx-a: 1\r\n\r\n'), { is: '204' }),
    stopped('a type of its own', 'main', reply('403 Forbidden', ['content-type: application/json'], '{"a":1}')),
    stopped(
      'a chunked body of the answer',
      'main',
      raw('HTTP/1.1 403 Forbidden\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n'),
    ),
    stopped('denied for gRPC', 'main', reply('401 Unauthorized', [], 'no'), {
      is: '200',
      send: 'POST /a.B/C',
      headers: ['content-type: application/grpc'],
    }),
    stopped('500 is no answer', 'main', reply('500 Internal Server Error', ['x-a: 1'], 'oh')),
    stopped('503 is no answer', 'main', reply('503 Service Unavailable', [], 'oh')),
    stopped('the service resets', 'main', { kind: 'reset' }, { is: '403', seen: 1 }),
    stopped(
      'the service is silent',
      'quiet',
      { kind: 'hang' },
      {
        is: '200',
        seen: 1,
        answer: { kind: 'script', answers: [{ kind: 'hang' }, DEFAULT] },
      },
    ),
    { name: 'the service is down', send: 'GET /x', to: 'down', is: '403' },
    { name: 'a route that is not checked', send: 'GET /unchecked', is: '200 a' },
    stopped('a direct response that is denied', 'main', reply('403 Forbidden', [], 'no'), {
      is: '403',
      send: 'GET /direct',
    }),
    checked('a direct response that is allowed', 'main', allow(), { send: 'GET /direct', is: '418', seen: 1 }),
    checked(
      'all kinds of fields',
      'rich',
      allow('x-up-one: 1', 'x-up-two: 2', 'x-more: m', 'x-other: o', 'x-ok-a: a', 'x-meta: data', 'cookie: theirs'),
      {
        send: 'GET /x?q=1',
        headers: [
          'x-a: 1',
          'x-secret: s',
          'x-up-one: client',
          'x-more: client',
          'COOKIE: c=1',
          'x-over: client',
          'authorization: t',
          'other: o',
        ],
      },
    ),
    checked(
      'several entries of one field',
      'rich',
      allow('x-up-one: 1', 'x-up-one: 2', 'x-more: 1', 'x-more: 2', 'set-cookie: a', 'set-cookie: b'),
      {
        headers: ['x-a: 1', 'x-a: 2', 'x-more: 0'],
      },
    ),
    checked('a route edits what the service has set', 'rich', allow('x-up-one: service'), { send: 'GET /edited' }),
    checked('bytes that are no UTF-8', 'rich', allow('x-up-one: caf\u00e9'), {
      headers: ['x-a: caf\u00e9 \u00ff', 'x-b: ok'],
    }),
    stopped(
      'what a client gets of a denial',
      'rich',
      reply(
        '403 Forbidden',
        ['x-why: no', 'x-hidden: h', 'set-cookie: a=1', 'location: /l', 'www-authenticate: B'],
        'no',
      ),
    ),
    stopped('metadata of a denial', 'rich', reply('403 Forbidden', ['x-meta: told'], 'no')),
    stopped('a status of our choice', 'rich', reply('500 Internal Server Error', [], 'oh'), { is: '503' }),
    checked('an error that is let pass', 'open', reply('500 Internal Server Error', [], 'oh')),
    checked('an error that is let pass in silence', 'quiet', reply('500 Internal Server Error', [], 'oh')),
    stopped('a denial is no error', 'open', reply('403 Forbidden', [], 'no')),
    checked('raw fields', 'raw', allow(), { headers: ['x-a: 1', 'x-a: 2', 'x-b: caf\u00e9'] }),
    checked('a body that fits', 'body', allow(), { send: 'POST /x', body: '0123456789' }),
    { name: 'a body that is too large', send: 'POST /x', to: 'body', body: '0123456789a', is: '413', isFresh: true },
    checked('a chunked body that fits', 'body', allow(), { send: 'POST /x', chunks: ['01234', '56'] }),
    {
      name: 'a chunked body that is too large',
      send: 'POST /x',
      to: 'body',
      chunks: ['01234', '56789', 'a'],
      is: '413',
      isFresh: true,
    },
    checked('no body where one is shown', 'body', allow()),
    stopped('a body and a denial', 'body', reply('403 Forbidden', [], 'no'), {
      is: '403',
      send: 'POST /x',
      body: '0123',
    }),
    checked('a client that forges the mark of a partial body', 'body', allow(), {
      headers: ['x-envoy-auth-partial-body: true'],
    }),
    checked('the beginning of a body', 'partial', allow(), { send: 'POST /x', body: '0123456789abcdef' }),
    checked('a body at the limit', 'partial', allow(), { send: 'POST /x', body: '0123456789' }),
    checked('a body below the limit', 'partial', allow(), { send: 'POST /x', body: '01234' }),
    checked('a route without a body', 'body', allow(), { send: 'POST /nobody', body: '0123456789abc' }),
    checked('a route with more of a body', 'body', allow(), { send: 'POST /morebody', body: '0123456789abc' }),
    { name: 'a filter that is off', send: 'GET /x', to: 'idle', is: '200 a' },
    { name: 'a filter that is off and denies', send: 'GET /x', to: 'offdeny', is: '429' },
    {
      name: 'a filter that is off and denies: not a route that is not checked',
      send: 'GET /unchecked',
      to: 'offdeny',
      is: '200 a',
    },
    { name: 'a filter that waits for metadata that is not there', send: 'GET /x', to: 'bymeta', is: '200 a' },
    checked('rules for changes', 'rules', allow('x-yes: 1', 'x-no-a: 1', 'x-envoy-a: 1')),
    checked('rules that allow little', 'strictrules', allow('x-yes: 1')),
    stopped('rules that are broken', 'strictrules', allow('x-yes: 1', 'x-other: 1'), { is: '500' }),
  ],
};
