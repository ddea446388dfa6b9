// Local rate limits as Envoy enforces them: which bucket a request takes from, and what the client and the upstream see when
// it is empty. Buckets are filled once an hour, so that cases depend on the order here and not on time.
import type { CaseTable, PeerCase } from '../peer-case.ts';

const at = (name: string, target: string, is: string, rest: Partial<PeerCase> = {}): PeerCase => ({
  name,
  send: `GET ${target}`,
  is,
  ...rest,
});
const GRPC: Partial<PeerCase> = { headers: ['content-type: application/grpc'] };
const who = (name: string): Partial<PeerCase> => ({ headers: [`x-who: ${name}`] });
const from = (address: string): Partial<PeerCase> => ({ headers: [`x-forwarded-for: ${address}`] });

/** A request that is served, and the same again, which is not. */
const once = (name: string, target: string, rest: Partial<PeerCase> = {}): PeerCase[] => [
  at(`${name}: the first`, target, '200 a', rest),
  at(`${name}: the second`, target, '429', rest),
];

const as503 = (one: PeerCase): PeerCase => (one.is === '429' ? { ...one, is: '503' } : one);

/** A request that is served as often as it comes. */
const always = (name: string, target: string, rest: Partial<PeerCase> = {}): PeerCase[] => [
  at(`${name}: the first`, target, '200 a', rest),
  at(`${name}: the second`, target, '200 a', rest),
];

export const RATE_LIMIT_CASES: CaseTable = {
  'rate-limits': [
    ...once('a bucket of one', '/one'),
    ...always('a bucket of two, with its headers', '/two'),
    at('a bucket of two: the third', '/two', '429'),
    ...once('more tokens than the brim', '/fill'),
    at('another status and headers: the first', '/status', '200 a', who('ann')),
    at('another status and headers: the second', '/status', '503', who('ann')),
    ...once('a status below 400', '/low-status'),
    ...always('not switched on', '/off'),
    ...always('in shadow mode', '/shadow'),
    ...once('switched on by the runtime', '/runtime'),
    ...always('enforced by the runtime never', '/runtime-off'),
    at('gRPC: the first', '/unavailable', '200 a', GRPC),
    at('gRPC: the second', '/unavailable', '200', GRPC),
    at('gRPC as RESOURCE_EXHAUSTED: the first', '/exhausted', '200 a', GRPC),
    at('gRPC as RESOURCE_EXHAUSTED: the second', '/exhausted', '200', GRPC),
    ...once('another request as RESOURCE_EXHAUSTED', '/exhausted-plain'),
    ...once('a bucket of the connection', '/connection', {}),
    at('a bucket of another connection', '/connection', '200 a', { isFresh: true }),
    at('HEAD over the limit', '/one', '429', { send: 'HEAD /one' }),

    ...once('a generic key', '/generic'),
    ...once('a generic key under another name', '/own-key'),
    ...once('a header', '/header', who('ann')),
    at('another value of the header: the first', '/header', '200 a', who('bob')),
    at('another value of the header: the second', '/header', '200 a', who('bob')),
    at('another value of the header: the third', '/header', '429', who('bob')),
    ...always('a value that nothing limits', '/header', who('carl')),
    ...always('no such header', '/header'),
    at('two lines of the header', '/header', '429', { headers: ['x-who: ann', 'x-who: bob'] }),
    ...once('two entries', '/two-entries', who('ann')),
    ...always('two entries in the other order', '/order', who('ann')),
    ...always('a part of the entries', '/partial', who('ann')),
    ...once('an entry that may be left out', '/skip'),
    ...always('an entry that may not be left out', '/no-skip'),
    ...once('the method', '/pseudo', { send: 'POST /pseudo' }),
    ...always('another method', '/pseudo'),
    ...once('two descriptors, the slower of which is empty', '/several'),
    ...once('the source cluster', '/source'),
    ...once('the destination cluster', '/destination'),
    ...once('the remote address', '/remote', from('10.1.2.3')),
    ...always('another remote address', '/remote', from('10.1.2.4')),
    at('a masked address: the first', '/masked', '200 a', from('10.1.2.3')),
    at('a masked address: another of the range', '/masked', '429', from('10.1.99.99')),
    ...always('a masked address: outside of the range', '/masked', from('10.2.0.1')),
    at('a masked IPv6 address: the first', '/masked6', '200 a', from('2001:db8:1::1')),
    at('a masked IPv6 address: another of the range', '/masked6', '429', from('2001:db8:ffff::2')),
    ...once('headers that match', '/match', who('ann')),
    ...always('headers that do not match', '/match', who('bob')),
    ...once('headers that are not to match', '/not-match', who('bob')),
    ...always('headers that are not to match, and do', '/not-match', who('ann')),
    ...once('query parameters that match', '/query?q=1'),
    ...always('query parameters that do not match', '/query?q=2'),
    ...always('a limit of another stage', '/stage'),
    ...once('a limit of the stage', '/stage-1'),
    ...always('a limit that has a key to disable it', '/disable-key'),
    ...once('the bucket for all too', '/default-too'),
    ...always('not the bucket for all', '/default-not'),
    at('not the bucket for all: the third', '/default-not', '429'),
    ...once('the bucket for all, since nothing matches', '/default-not-matched'),
    ...once('any value', '/wild', who('ann')),
    ...once('any other value', '/wild', who('bob')),
    ...once('any value beside one that is given', '/wild-mixed', who('ann')),
    ...once('limits of the host', '/host-limits'),
    ...always('limits of the host, overridden', '/host-overridden'),
    ...once('limits of the host, included by the route', '/host-included'),
    ...once('limits of the host, included by the settings', '/host-included-by-filter'),
    ...always('limits of the host, ignored', '/host-ignored'),
    ...once('metadata of the route', '/metadata'),
    ...once('the default of metadata', '/metadata-default'),
    ...always('no metadata', '/metadata-none'),

    // As RateLimitPolicies of routes are translated for a real Envoy.
    ...once('on by the route: a value', '/switched-on', { send: 'PUT /switched-on', ...who('ann') }).map(as503),
    at('on by the route: another value', '/switched-on', '200 a', { send: 'PUT /switched-on', ...who('bob') }),
    at('on by the route: no value', '/switched-on', '200 a', { send: 'PUT /switched-on' }),
    at('on by the route: another method', '/switched-on', '200 a', who('ann')),
    at('on by the route: the bucket for all is empty', '/switched-on', '429', who('ann')),
    at('on by the route, a redirect: the first', '/switched-on-redirect', '301'),
    at('on by the route, a redirect: the second', '/switched-on-redirect', '429'),
    at('a direct response: the first', '/direct', '200'),
    at('a direct response: the second', '/direct', '429'),
    at('the split entry: the first', '/split', '200 a', { headers: ['x-split: 1'] }),
    at('the split entry: the second', '/split', '429', { headers: ['x-split: 1'] }),
    at('settings of the host: the first', '/x', '200 a', { host: 'host.test' }),
    at('settings of the host: another route of it', '/y', '429', { host: 'host.test' }),
    ...always('switched off by the route', '/off', { host: 'host.test' }).map((one) => ({
      ...one,
      name: `host: ${one.name}`,
    })),
    at('the filter itself: the first', '/a', '200 a'),
    at('the filter itself: no route takes it', '/zzz', '429'),
  ],
};
