// What is tried again, how often, and what the client gets in the end.
import { raw, reply, type Answer } from '../../support/raw-upstream.ts';
import type { CaseTable, PeerCase } from '../peer-case.ts';

const status = (code: number, ...headers: string[]): Answer => reply(`${code} X`, headers, `answer ${code}`);
const GOOD: Answer = { kind: 'default' };
const RESET: Answer = { kind: 'reset' };
const CLOSE: Answer = { kind: 'close' };
const HANG: Answer = { kind: 'hang' };
const HALF_HEAD: Answer = raw('HTTP/1.1 200 O', true);
const HALF_BODY: Answer = raw('HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf', true);
const NONSENSE: Answer = raw('NONSENSE\r\n\r\n', true);

/** `run`: the target, how it ends, and how many requests there were. */
const row = (name: string, run: string, answers: readonly Answer[], rest: Partial<PeerCase> = {}): PeerCase => {
  const [target = '', is = '', seen = ''] = run.split(/ ends | after /);
  return {
    name,
    send: `GET ${target}`,
    is,
    seen: Number(seen),
    isFresh: true,
    answer: { kind: 'script', answers },
    ...rest,
  };
};
/** What may not be sent twice goes once, whatever it meets. */
const POST = (target: string): Partial<PeerCase> => ({ send: `POST ${target}`, body: 'hello' });
const INTERNAL = 'x-forwarded-for: 10.1.2.3';
const STRANGER = 'x-forwarded-for: 8.8.8.8';
const asks = (name: string, value: string): string => `x-envoy-${name}: ${value}`;

export const RETRY_CASES: CaseTable = {
  retries: [
    row('nothing without a policy', '/ ends 503 after 1', [status(503)]),
    row('a 503 under 5xx', '/5xx ends 200 after 2', [status(503), GOOD]),
    row('a 500 under 5xx, twice', '/5xx ends 200 after 3', [status(500), status(599), GOOD]),
    row('the last answer stands', '/5xx ends 503 after 3', [status(501), status(502), status(503)]),
    row('one retry by default', '/once ends 503 after 2', [status(503)]),
    row('no retries', '/none ends 503 after 1', [status(503)]),
    row('not a 404', '/5xx ends 404 after 1', [status(404)]),
    row('a reset under 5xx', '/5xx ends 200 after 2', [RESET, GOOD]),
    row('resets under 5xx until none is left', '/5xx ends 503 after 3', [RESET], POST('/5xx')),
    row('a close under 5xx', '/5xx ends 200 after 2', [CLOSE, GOOD]),
    row('half a head under 5xx', '/5xx ends 200 after 2', [HALF_HEAD, GOOD]),
    row('half a body is not tried again', '/5xx ends 200 after 1', [HALF_BODY]),
    row('nonsense under 5xx', '/5xx ends 200 after 2', [NONSENSE, GOOD]),
    row('nonsense under reset', '/reset ends 200 after 2', [NONSENSE, GOOD]),
    row('nonsense until none is left', '/once ends 502 after 2', [NONSENSE]),
    row('a 504 under gateway-error', '/gateway ends 200 after 2', [status(504), GOOD]),
    row('not a 500 under gateway-error', '/gateway ends 500 after 1', [status(500)]),
    row('a reset under gateway-error', '/gateway ends 200 after 2', [RESET, GOOD]),
    row('a reset under reset', '/reset ends 200 after 2', [RESET, GOOD]),
    row('not a 503 under reset', '/reset ends 503 after 1', [status(503)]),
    row(
      'not a reset that had the request under reset-before-request',
      '/unsent ends 503 after 1',
      [RESET],
      POST('/unsent'),
    ),
    row('not a reset under connect-failure', '/connect ends 503 after 1', [RESET], POST('/connect')),
    row('not a reset under refused-stream', '/refused ends 503 after 1', [RESET], POST('/refused')),
    row('not a reset under retriable-4xx', '/4xx ends 503 after 1', [RESET], POST('/4xx')),
    row('a 409 under retriable-4xx', '/4xx ends 200 after 2', [status(409), GOOD]),
    row('not a 408 under retriable-4xx', '/4xx ends 408 after 1', [status(408)]),
    row('a listed status', '/codes ends 200 after 3', [status(418), status(503), GOOD]),
    row('not a status that is not listed', '/codes ends 500 after 1', [status(500)]),
    row('not a reset under retriable-status-codes', '/codes ends 503 after 1', [RESET], POST('/codes')),
    row('a list without its condition is idle', '/unlisted ends 418 after 1', [status(418)]),
    row('not what is rate limited', '/5xx ends 503 after 1', [status(503, 'x-envoy-ratelimited: true')]),
    row('what is rate limited, when asked', '/limited ends 200 after 2', [
      status(503, 'x-envoy-ratelimited: true'),
      GOOD,
    ]),
    row('a good answer that is rate limited', '/limited ends 200 after 2', [
      status(200, 'x-envoy-ratelimited: true'),
      GOOD,
    ]),
    row('what is overloaded', '/5xx ends 200 after 2', [status(503, 'x-envoy-overloaded: true'), GOOD]),
    row('a header of the answer', '/headers ends 200 after 2', [status(200, 'x-again: please'), GOOD]),
    row('not another header of the answer', '/headers ends 503 after 1', [status(503, 'x-again: no')]),
    row('with the header that the request needs', '/asked ends 200 after 2', [status(503), GOOD], {
      headers: ['x-retry-me: 1'],
    }),
    row('without the header that the request needs', '/asked ends 503 after 1', [status(503)]),
    ...[1, 4, 8, 13, 14].map((code) =>
      row(`grpc-status ${code} in the head`, '/grpc ends 200 after 2', [status(200, `grpc-status: ${code}`), GOOD]),
    ),
    row('not grpc-status 5', '/grpc ends 200 after 1', [status(200, 'grpc-status: 5')]),
    row('not a 503 under gRPC conditions', '/grpc ends 503 after 1', [status(503)]),
    row('not a reset under gRPC conditions', '/grpc ends 503 after 1', [RESET], POST('/grpc')),
    row('an attempt that is too slow', '/slow ends 200 after 2', [HANG, GOOD]),
    row('attempts that are too slow until none is left', '/slow ends 504 after 3', [HANG]),
    row('too slow without a condition', '/slow-only ends 504 after 1', [HANG]),
    row('too slow under reset', '/slow-reset ends 200 after 2', [HANG, GOOD]),
    row('too slow under connect-failure', '/slow-connect ends 504 after 1', [HANG]),
    row('an attempt that is too quiet', '/quiet ends 200 after 2', [HANG, GOOD]),
    row('attempts that are too quiet', '/quiet ends 504 after 2', [HANG]),
    row('what says more than may be waited for', '/wait ends 200 after 2', [status(503, 'retry-after: 9'), GOOD]),
    row('nobody listens', '/closed ends 503 after 0', []),
    row('nobody listens, reset-before-request', '/shut-unsent ends 503 after 0', []),
    row('nobody listens, gateway-error', '/shut-gateway ends 503 after 0', []),
    row('another endpoint', '/other-host ends 200 after 2', [status(503), GOOD]),
    row('never a canary', '/no-canary ends 503 after 4', [status(503)]),
    row('the next priority', '/next-priority ends 200 after 2', [status(503), GOOD]),
    row('a body goes again', '/5xx ends 200 after 2', [status(503), GOOD], { send: 'POST /5xx', body: 'hello' }),
    row('chunks go again', '/5xx ends 200 after 2', [status(503), GOOD], { send: 'POST /5xx', chunks: ['hel', 'lo'] }),
    row('a body that is too large goes once', '/ ends 503 after 1', [status(503)], {
      send: 'POST /',
      host: 'small.test',
      body: 'more than ten',
    }),
    row('a body that just fits', '/ ends 200 after 2', [status(503), GOOD], {
      send: 'POST /',
      host: 'small.test',
      body: 'tenletters',
    }),
    row('the route allows more', '/big ends 200 after 2', [status(503), GOOD], {
      send: 'POST /big',
      host: 'small.test',
      body: 'more than ten',
    }),
    row('the policy of the host', '/ ends 200 after 2', [status(503), GOOD], { host: 'host.test' }),
    row('the host says whether it was too slow', '/ ends 200 after 3', [HANG, status(503), GOOD], {
      host: 'host.test',
    }),
    row('the policy of the route replaces it', '/own ends 503 after 1', [status(503)], { host: 'host.test' }),
    row('an internal client asks', '/ ends 200 after 2', [status(503), GOOD], {
      headers: [INTERNAL, asks('retry-on', '5xx')],
    }),
    row('a stranger asks', '/ ends 503 after 1', [status(503)], { headers: [STRANGER, asks('retry-on', '5xx')] }),
    row('nobody knows who asks', '/ ends 503 after 1', [status(503)], { headers: [asks('retry-on', '5xx')] }),
    row('an edit asks', '/edited ends 200 after 2', [status(503), GOOD]),
    row('an internal client asks for more', '/once ends 503 after 4', [status(503)], {
      headers: [INTERNAL, asks('max-retries', '3')],
    }),
    row('an internal client asks for none', '/once ends 503 after 1', [status(503)], {
      headers: [INTERNAL, asks('max-retries', '0')],
    }),
    row('an internal client asks for nonsense', '/once ends 503 after 2', [status(503)], {
      headers: [INTERNAL, asks('max-retries', 'x')],
    }),
    row('an internal client adds a condition', '/reset ends 200 after 3', [status(503), RESET, GOOD], {
      headers: [INTERNAL, asks('retry-on', 'bogus, gateway-error')],
    }),
    row('an internal client lists statuses', '/ ends 200 after 2', [status(418), GOOD], {
      headers: [INTERNAL, asks('retry-on', 'retriable-status-codes'), asks('retriable-status-codes', '417, 418,x')],
    }),
    row('an internal client lists headers', '/ ends 200 after 2', [status(200, 'X-More: 1'), GOOD], {
      headers: [INTERNAL, asks('retry-on', 'retriable-headers'), asks('retriable-header-names', 'x-less, X-More')],
    }),
    row('an internal client asks by gRPC words', '/ ends 200 after 2', [status(200, 'grpc-status: 14'), GOOD], {
      headers: [INTERNAL, asks('retry-grpc-on', 'unavailable')],
    }),
    row('words of gRPC count in their own field only', '/ ends 200 after 1', [status(200, 'grpc-status: 14')], {
      headers: [INTERNAL, asks('retry-on', 'unavailable')],
    }),
    row('an internal client bounds an attempt', '/5xx ends 200 after 2', [HANG, GOOD], {
      headers: [INTERNAL, asks('upstream-rq-per-try-timeout-ms', '150')],
    }),
    row('an internal client asks where the request lacks a header', '/asked ends 503 after 1', [status(503)], {
      headers: [INTERNAL, asks('retry-on', '5xx')],
    }),
    row('a hedge wins', '/hedged ends 200 after 2', [HANG, GOOD], { host: 'host.test' }),
    row('a hedge after another', '/hedged ends 200 after 3', [HANG, HANG, GOOD], { host: 'host.test' }),
    row(
      'a bad answer beside a hedge waits for the other',
      '/hedged ends 200 after 3',
      [{ kind: 'late', afterMs: 500 }, status(503), HANG],
      { host: 'host.test' },
    ),
    row('an internal client hedges', '/slow ends 200 after 2', [{ kind: 'late', afterMs: 300 }, HANG], {
      headers: [INTERNAL, asks('hedge-on-per-try-timeout', 'true'), asks('max-retries', '1')],
    }),
  ],
};
