// What browsers ask before and with requests of other origins, and what they are told.
import { reply } from '../../support/raw-upstream.ts';
import type { CaseTable, PeerCase } from '../peer-case.ts';

const ORIGIN = 'Origin: https://exact.test';
const ASKS = 'Access-Control-Request-Method: PUT';
const ANSWERED = reply('200 OK', [
  'Access-Control-Allow-Origin: https://app.test',
  'Access-Control-Expose-Headers: x-app',
]);

function simple(name: string, path: string, origin: string, more: Partial<PeerCase> = {}): PeerCase {
  return { name, send: `GET ${path}`, headers: [`Origin: ${origin}`], is: '200 a', ...more };
}

function preflight(name: string, path: string, origin: string, more: Partial<PeerCase> = {}): PeerCase {
  return { name, send: `OPTIONS ${path}`, headers: [`Origin: ${origin}`, ASKS], is: '200', ...more };
}

const EXACT = 'https://exact.test';

export const CORS_CASES: CaseTable = {
  cors: [
    simple('an allowed origin', '/full', EXACT),
    simple('a prefix', '/full', 'https://prefix.anything'),
    simple('an expression', '/full', 'https://some.regex.test'),
    simple('an expression is the whole origin', '/full', 'https://some.regex.test.evil'),
    simple('a suffix in other letters', '/full', 'https://x.SUFFIX.test'),
    simple('exact is exact: a port', '/full', 'https://exact.test:443'),
    simple('exact is exact: letters', '/full', 'https://EXACT.test'),
    simple('another origin', '/full', 'https://evil.test'),
    simple('the origin null', '/full', 'null'),
    simple('an empty origin', '/full', ''),
    { name: 'no origin', send: 'GET /full', is: '200 a' },
    { name: 'several origins', send: 'GET /full', headers: [ORIGIN, 'Origin: https://evil.test'], is: '200 a' },
    simple('what the app said is replaced', '/full', EXACT, { answer: ANSWERED }),
    simple('what the app said stays for others', '/full', 'https://evil.test', { answer: ANSWERED }),
    simple('a POST', '/full', EXACT, { send: 'POST /full', body: 'abc' }),
    preflight('a preflight', '/full', EXACT),
    preflight('a preflight of another origin', '/full', 'https://evil.test'),
    preflight('a preflight without a method to ask for', '/full', EXACT, { headers: [ORIGIN], is: '200 a' }),
    preflight('a preflight with an empty method', '/full', EXACT, {
      headers: [ORIGIN, 'Access-Control-Request-Method:'],
      is: '200 a',
    }),
    preflight('a preflight that is no OPTIONS', '/full', EXACT, { send: 'GET /full', is: '200 a' }),
    preflight('a preflight without an origin', '/full', '', { headers: [ASKS], is: '200 a' }),
    preflight('a preflight asks for fields', '/full', EXACT, {
      headers: [ORIGIN, ASKS, 'Access-Control-Request-Headers: x-anything'],
    }),
    preflight('a private network', '/full', EXACT, {
      headers: [ORIGIN, ASKS, 'Access-Control-Request-Private-Network: true'],
    }),
    preflight('a private network that is not meant', '/full', EXACT, {
      headers: [ORIGIN, ASKS, 'Access-Control-Request-Private-Network: false'],
    }),
    simple('any origin', '/star', 'https://whoever.test'),
    preflight('any origin, method and field', '/star', 'https://whoever.test', {
      headers: ['Origin: https://whoever.test', ASKS, 'Access-Control-Request-Headers: x-one, x-two'],
    }),
    preflight('any field, and none is asked for', '/star', 'https://whoever.test'),
    preflight('any method, a private network that nobody allows', '/star', EXACT, {
      headers: [ORIGIN, ASKS, 'Access-Control-Request-Private-Network: true'],
    }),
    simple('a policy that allows nobody', '/empty', EXACT),
    preflight('a preflight that nobody allows goes on', '/empty', EXACT, { is: '200 a' }),
    preflight('a policy of origins alone', '/minimal', EXACT),
    simple('a policy of origins alone, simply', '/minimal', EXACT),
    simple('a shadow policy', '/shadow', EXACT),
    preflight('a preflight to a shadow policy', '/shadow', EXACT, { is: '200 a' }),
    simple('no policy', '/none', EXACT, { answer: ANSWERED }),
    preflight('a preflight without a policy', '/none', EXACT, { is: '200 a' }),
    preflight('a filter that is switched off', '/disabled', EXACT, { is: '200 a' }),
    simple('an app that is down', '/down', EXACT, { is: '503' }),
    preflight('a preflight to an app that is down', '/down', EXACT),
    preflight('a preflight to no route', '/nothing', EXACT, { is: '404' }),
    simple('the policy of the host', '/x', 'https://host.test', { host: 'inherited.test' }),
    preflight('the policy of the host, before', '/x', 'https://host.test', { host: 'inherited.test' }),
    simple('the policy of the route wins', '/own', 'https://host.test', { host: 'inherited.test' }),
    simple('what the route leaves out is the host’s', '/own', 'https://route.test', { host: 'inherited.test' }),
    preflight('what the route leaves out is the host’s, before', '/own', 'https://route.test', {
      host: 'inherited.test',
    }),
    preflight('a route that is off', '/off', 'https://host.test', { host: 'inherited.test', is: '200 a' }),
    simple('a direct response', '/direct', 'https://host.test', { host: 'inherited.test', is: '418' }),
    preflight('a preflight to a direct response', '/direct', 'https://host.test', {
      host: 'inherited.test',
      is: '418',
    }),
    preflight('a preflight to a redirect', '/redirect', 'https://host.test', { host: 'inherited.test', is: '301' }),
    simple('the older field of the host', '/x', 'https://older.test', { host: 'older.test' }),
    preflight('the older field of the host, before', '/x', 'https://older.test', { host: 'older.test' }),
    preflight('the older fields of route and host', '/own', 'https://route.test', { host: 'older.test' }),
    simple('the older field counts for nothing beside the newer', '/typed', 'https://older.test', {
      host: 'older.test',
    }),
    preflight('the newer beside the older', '/typed', 'https://typed.test', { host: 'older.test' }),
  ],
};
