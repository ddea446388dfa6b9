// Tokens as Envoy's JWT filter judges them: no token and every way in which one can be bad, each algorithm, each place,
// each requirement, and what a good one leaves behind. Tokens are made when the cases are read.
import { ISSUER, STRANGER, base64Url, inSeconds, makeToken, type TokenWish } from '../../support/tokens/token-maker.ts';
import type { CaseTable, PeerCase } from '../peer-case.ts';

const at = (name: string, target: string, is: string, headers: readonly string[] = []): PeerCase => ({
  name,
  send: `GET ${target}`,
  is,
  headers,
});
const bearer = (token: string): string => `Authorization: Bearer ${token}`;
const shown = (name: string, target: string, is: string, wish: TokenWish = {}): PeerCase =>
  at(name, target, is, [bearer(makeToken(wish))]);
const good = makeToken();

const BAD: readonly PeerCase[] = [
  at('no token', '/exact', '401'),
  at('another scheme', '/exact', '401', ['Authorization: Basic abc']),
  at('no token behind the scheme', '/exact', '401', ['Authorization: Bearer']),
  at('a token of one part', '/exact', '401', ['Authorization: Bearer abc']),
  at('a token of two parts', '/exact', '401', ['Authorization: Bearer abc.def']),
  at('a token of four parts', '/exact', '401', [`Authorization: Bearer ${good}.abc`]),
  at('a header that is no base64url', '/exact', '401', ['Authorization: Bearer a!b.e30.abc']),
  at('a header that is no JSON', '/exact', '401', [`Authorization: Bearer ${base64Url('{')}.e30.abc`]),
  at('a header that is a list', '/exact', '401', [`Authorization: Bearer ${base64Url('[]')}.e30.abc`]),
  at('a header without alg', '/exact', '401', [`Authorization: Bearer ${base64Url('{}')}.e30.abc`]),
  at('an alg that is a number', '/exact', '401', [`Authorization: Bearer ${base64Url('{"alg":1}')}.e30.abc`]),
  shown('alg none', '/exact', '401', { alg: 'none', signature: 'abc' }),
  shown('alg None', '/exact', '401', { header: { alg: 'None' } }),
  shown('alg in lower case', '/exact', '401', { header: { alg: 'rs256' } }),
  shown('a kid that is a number', '/exact', '401', { header: { kid: 5 } }),
  at('a payload that is no JSON', '/exact', '401', [
    `Authorization: Bearer ${base64Url('{"alg":"RS256"}')}.${base64Url('x')}.abc`,
  ]),
  shown('a payload that is a string', '/exact', '401', { payloadText: '"text"' }),
  shown('an iss that is a number', '/exact', '401', { claims: { iss: 5 } }),
  shown('a sub that is a number', '/exact', '401', { claims: { sub: 5 } }),
  shown('an iat that is text', '/exact', '401', { claims: { iat: 'now' } }),
  shown('an iat below zero', '/exact', '401', { claims: { iat: -1 } }),
  shown('an nbf that is text', '/exact', '401', { claims: { nbf: 'now' } }),
  shown('an exp that is text', '/exact', '401', { claims: { exp: String(inSeconds(60)) } }),
  shown('an exp below zero', '/exact', '401', { claims: { exp: -5 } }),
  shown('a jti that is a number', '/exact', '401', { claims: { jti: 5 } }),
  shown('an aud that is a number', '/exact', '401', { claims: { aud: 5 } }),
  shown('an aud with a number in it', '/exact', '401', { claims: { aud: ['a', 5] } }),
  shown('a signature that is no base64url', '/exact', '401', { signature: 'a!b' }),
  shown('an empty signature', '/exact', '401', { signature: '' }),
  shown('another token’s signature', '/exact', '401', { signature: good.split('.')[2] ?? '', claims: { sub: 'eve' } }),
  shown('an unknown issuer', '/exact', '401', { claims: { iss: 'https://evil.test' } }),
  shown('an issuer with a slash more', '/exact', '401', { claims: { iss: `${ISSUER}/` } }),
  shown('no issuer', '/exact', '401', { claims: { iss: undefined } }),
  shown('the key of a stranger', '/exact', '401', { by: STRANGER }),
  shown('the key of a stranger under a known kid', '/exact', '401', { by: STRANGER, header: { kid: 'rsa' } }),
  shown('an unknown kid', '/exact', '401', { header: { kid: 'unknown' } }),
  shown('the kid of another kind of key', '/exact', '401', { header: { kid: 'p256' } }),
  shown('HS256 with the public key as secret', '/exact', '401', { alg: 'HS256', header: { kid: 'rsa' } }),
  shown('HS256 with a public key that says no algorithm', '/exact', '401', { by: 'rsa-any', alg: 'HS256' }),
  shown('an algorithm that the key does not have', '/exact', '401', { alg: 'RS512' }),
];

const TIMES: readonly PeerCase[] = [
  shown('expired long ago', '/exact', '401', { claims: { exp: inSeconds(-3600) } }),
  // Tokens are made before the first case runs: a slow machine may take more than the 60 s of the default skew.
  shown('expired within the skew', '/patient', '200 a', { claims: { exp: inSeconds(-30) } }),
  shown('expired just beyond the skew', '/exact', '401', { claims: { exp: inSeconds(-62) } }),
  shown('no exp', '/exact', '200 a', { claims: { exp: undefined } }),
  shown('an exp with a fraction', '/exact', '200 a', { claims: { exp: inSeconds(3000) + 0.5 } }),
  shown('not yet valid', '/exact', '401', { claims: { nbf: inSeconds(600) } }),
  shown('not yet valid, within the skew', '/exact', '200 a', { claims: { nbf: inSeconds(30) } }),
  shown('a narrow skew', '/strict', '401', { claims: { exp: inSeconds(-30) } }),
  shown('a lifetime that is allowed', '/strict', '200 a'),
  shown('a lifetime that is too long', '/strict', '401', { claims: { exp: inSeconds(9000) } }),
  shown('no lifetime where there is a longest', '/strict', '401', { claims: { exp: undefined } }),
  shown('no expiration where one is required', '/expiring', '401', { claims: { exp: undefined } }),
  shown('an expiration where one is required', '/expiring', '200 a'),
  shown('a subject that is not allowed', '/strict', '401', { claims: { sub: 'bob' } }),
  shown('no subject where it must match', '/strict', '401', { claims: { sub: undefined } }),
];

const ALGORITHMS: readonly PeerCase[] = [
  shown('RS256', '/exact', '200 a'),
  ...'RS256 RS384 RS512 PS256 PS384 PS512'.split(' ').map((alg) => {
    return shown(`${alg} with a key that takes any`, '/exact', '200 a', { by: 'rsa-any', alg });
  }),
  shown('ES256', '/exact', '200 a', { by: 'p256' }),
  shown('ES384', '/exact', '200 a', { by: 'p384' }),
  shown('ES512', '/exact', '200 a', { by: 'p521' }),
  shown('EdDSA', '/exact', '200 a', { by: 'ed' }),
  shown('HS256 with a shared secret', '/exact', '200 a', { by: 'oct' }),
  shown('EdDSA with a short signature', '/exact', '401', { by: 'ed', signature: 'abcd' }),
  shown('ES256 with a short signature', '/exact', '401', { by: 'p256', signature: 'abcd' }),
  shown('no kid', '/exact', '200 a', { header: { kid: undefined } }),
  shown('an empty kid', '/exact', '200 a', { header: { kid: '' } }),
  shown('no kid, another key', '/exact', '200 a', { by: 'p384', header: { kid: undefined } }),
  shown('jku, x5u and jwk in the header', '/exact', '401', {
    by: STRANGER,
    header: { jku: 'http://evil.test/keys', x5u: 'http://evil.test/c', jwk: { kty: 'oct', k: 'AAAA' }, kid: undefined },
  }),
];

const AUDIENCES: readonly PeerCase[] = [
  shown('no audience', '/audience', '403'),
  shown('a wrong audience', '/audience', '403', { claims: { aud: 'other' } }),
  shown('an empty list of audiences', '/audience', '403', { claims: { aud: [] } }),
  shown('an audience', '/audience', '200 a', { claims: { aud: 'books' } }),
  shown('one of several audiences', '/audience', '200 a', { claims: { aud: ['x', 'books'] } }),
  shown('an audience without its scheme', '/audience', '200 a', { claims: { aud: 'shop.test' } }),
  shown('an audience with another scheme', '/audience', '200 a', { claims: { aud: 'http://shop.test' } }),
  shown('an audience in upper case', '/audience', '403', { claims: { aud: 'BOOKS' } }),
  shown('an audience of the requirement', '/narrow', '200 a', { claims: { aud: 'narrow' } }),
  shown('an audience that the requirement does not name', '/narrow', '403', { claims: { aud: 'books' } }),
  shown('a wrong audience, and expired', '/audience', '401', { claims: { aud: 'x', exp: 5 } }),
  shown('a wrong audience, and a wrong key', '/audience', '403', { by: STRANGER, claims: { aud: 'x' } }),
];

const PLACES: readonly PeerCase[] = [
  at('the scheme in lower case', '/exact', '401', [`Authorization: bearer ${good}`]),
  at('two blanks behind the scheme', '/exact', '200 a', [`Authorization: Bearer  ${good}`]),
  at('a tab behind the scheme', '/exact', '401', [`Authorization: Bearer\t${good}`]),
  at('text in front of the scheme', '/exact', '200 a', [`Authorization: Basic x, Bearer ${good}`]),
  at('a comma behind the token', '/exact', '401', [`Authorization: Bearer ${good},x`]),
  at('quotes around the token', '/exact', '401', [`Authorization: Bearer "${good}"`]),
  at('two good lines', '/exact', '401', [bearer(good), bearer(makeToken({ by: 'p256' }))]),
  at('a good and a bad line', '/exact', '401', [bearer(good), bearer(makeToken({ by: STRANGER }))]),
  at('a bad and a good line', '/exact', '401', [bearer(makeToken({ by: STRANGER })), bearer(good)]),
  at('a parameter', `/audience?access_token=${makeToken({ claims: { aud: 'books' } })}`, '200 a'),
  at('a bad parameter', `/audience?access_token=${makeToken({ by: STRANGER, claims: { aud: 'books' } })}`, '401'),
  at('a parameter behind others', `/audience?a=1&access_token=${makeToken({ claims: { aud: 'books' } })}`, '200 a'),
  at(
    'a parameter whose name is encoded',
    `/audience?access%5Ftoken=${makeToken({ claims: { aud: 'books' } })}`,
    '200 a',
  ),
  at('an empty parameter', '/audience?access_token=', '401'),
  at('a parameter without a value', '/audience?access_token', '401'),
  at(
    'a parameter and a header',
    `/audience?access_token=${makeToken({ by: STRANGER, claims: { aud: 'books' } })}`,
    '401',
    [bearer(makeToken({ claims: { aud: 'books' } }))],
  ),
  at('the default place where others are named', '/places', '401', [bearer(good)]),
  at('a header of its own', '/places', '200 a', [`X-Token: Key=${good}`]),
  at('a header of its own without the prefix', '/places', '401', [`X-Token: ${good}`]),
  at('a header without a prefix', '/places', '200 a', [`x-raw: ${good}`]),
  at('a parameter of its own', `/places?tok=${good}`, '200 a'),
  at('a cookie', '/places', '200 a', [`Cookie: a=b; session=${good}`]),
  at('a quoted cookie', '/places', '200 a', [`Cookie: session="${good}"`]),
  at('a bad cookie', '/places', '401', ['Cookie: session=abc']),
  at('a cookie and a header', '/places', '200 a', [`Cookie: session=${good}`, `x-raw: ${good}`]),
  at('a bad cookie and a good header', '/places', '401', ['Cookie: session=abc', `x-raw: ${good}`]),
];

const CLAIMS = {
  number: 12,
  flag: true,
  list: ['a', 1],
  object: { inner: 'deep' },
  scope: 'read  write',
};
const OUTPUTS: readonly PeerCase[] = [
  shown('outputs', '/outputs', '200 a', { claims: CLAIMS }),
  shown('outputs without the claims', '/outputs', '200 a', { claims: { sub: undefined } }),
  shown('a fraction, a false, an empty list', '/outputs', '200 a', { claims: { number: 2.5, flag: false, list: [] } }),
  shown('a number below zero', '/outputs', '200 a', { claims: { number: -7, sub: '' } }),
  shown('a number beyond 2^53', '/outputs', '200 a', { claims: { number: 2 ** 60 } }),
  shown('an object, a null, a list for a text', '/outputs', '200 a', {
    claims: { number: { a: 1 }, flag: null, object: ['x'], scope: 5 },
  }),
  at('outputs that the client brings along', '/outputs', '200 a', [
    bearer(makeToken({ claims: { sub: undefined } })),
    'x-sub: admin',
    'x-payload: evil',
  ]),
  at('a failure in metadata', '/outputs', '401', [bearer(makeToken({ by: STRANGER }))]),
  at('a missing token, several providers', '/outputs', '401'),
];

const REQUIREMENTS: readonly PeerCase[] = [
  at('no rule matches', '/other', '200 a', [bearer('bad')]),
  at('a rule that requires nothing', '/open', '200 a'),
  at('a path with a query', '/exact?x=1', '401'),
  at('a path with a query, and a token', '/exact?x=1', '200 a', [bearer(good)]),
  at('a header rule that does not match', '/header', '200 a'),
  at('a header rule that matches', '/header', '401', ['x-mode: guarded']),
  shown('either: the second', '/either', '200 a'),
  shown('either: the first', '/either', '200 a', { claims: { iss: 'other' } }),
  shown('either: none of them', '/either', '401', { claims: { iss: 'third' } }),
  shown('either: expired', '/either', '401', { claims: { exp: 5 } }),
  at('either: no token', '/either', '401'),
  at('optional: no token', '/optional', '200 a'),
  shown('optional: a good one', '/optional', '200 a'),
  shown('optional: a bad one', '/optional', '401', { by: STRANGER }),
  shown('optional: an unknown issuer', '/optional', '401', { claims: { iss: 'x' } }),
  at('missing allowed: no token', '/missing', '200 a'),
  shown('missing allowed: a bad one', '/missing', '401', { by: STRANGER, claims: { iss: 'other' } }),
  shown('missing allowed: a good one', '/missing', '200 a', { claims: { iss: 'other' } }),
  at('failed allowed: no token', '/failed', '200 a'),
  shown('failed allowed: a bad one', '/failed', '200 a', { by: STRANGER, claims: { iss: 'other' } }),
  at('failed allowed: nonsense', '/failed', '200 a', [bearer('a.b')]),
  at('both: both', '/all', '200 a', [bearer(good), `x-any: ${makeToken({ claims: { iss: 'z' } })}`]),
  at('both: one', '/all', '401', [bearer(good)]),
  at('both: one of them bad', '/all', '401', [bearer(good), 'x-any: abc']),
  at('mesh: no token', '/istio', '200 a'),
  shown('mesh: the first issuer', '/istio', '200 a'),
  shown('mesh: the second issuer', '/istio', '200 a', { claims: { iss: 'other' } }),
  shown('mesh: an unknown issuer', '/istio', '401', { claims: { iss: 'x' } }),
  shown('mesh: a bad token of a known issuer', '/istio', '401', { by: STRANGER }),
  shown('mesh: an expired token', '/istio', '401', { claims: { exp: 5 } }),
  at('the route switches it off', '/exact/off', '200 a'),
  at('the route names a requirement', '/open/named', '401'),
  shown('the route names a requirement, and a token', '/open/named', '200 a'),
  shown('the route names an unknown requirement', '/open/unknown', '403'),
  {
    ...at('a preflight', '/exact', '200 a', ['Origin: http://x.test', 'Access-Control-Request-Method: PUT']),
    send: 'OPTIONS /exact',
  },
  { ...at('OPTIONS without an origin', '/exact', '401'), send: 'OPTIONS /exact' },
  { ...at('gRPC', '/exact', '200', ['content-type: application/grpc']), send: 'POST /exact' },
  { ...at('HEAD', '/exact', '401'), send: 'HEAD /exact' },
  { ...at('a body', '/exact', '401'), send: 'POST /exact', body: 'abc' },
];

const ROUTING: readonly PeerCase[] = [
  at('claims: no token', '/claims', '200 a'),
  shown('claims: another group', '/claims', '200 a', { claims: { group: 'alpha' } }),
  shown('claims: the group', '/claims', '200 b', { claims: { group: 'beta' } }),
  shown('claims: one of several groups', '/claims', '200 b', { claims: { group: ['alpha', 'beta'] } }),
  shown('claims: a group that is a number', '/claims', '200 a', { claims: { group: 5 } }),
  shown('claims: a bad token', '/claims', '401', { by: STRANGER, claims: { group: 'beta' } }),
  shown('claims: a header of a claim', '/claims/plan', '200 b', { claims: { plan: 'gold' } }),
  shown('claims: another header of a claim', '/claims/plan', '200 a', { claims: { plan: 'tin' } }),
  at('claims: a header that the client brings along', '/claims/plan', '200 b', ['x-plan: gold']),
  at('claims: the same, with a token', '/claims/plan', '200 a', ['x-plan: gold', bearer(good)]),
  shown('claims: a direct response', '/claims/direct', '299', { claims: { plan: 'gold' } }),
  shown('claims: away from a redirect', '/claims/only', '200 a', { claims: { plan: 'gold' } }),
  at('claims: the redirect', '/claims/only', '301'),
  at('claims: inverted, no token', '/claims/not', '200 b'),
  shown('claims: inverted, the group', '/claims/not', '200 b', { claims: { group: 'beta' } }),
  {
    ...shown('claims: with a body', '/claims', '200 b', { claims: { group: 'beta' } }),
    send: 'POST /claims',
    body: 'abc',
  },
];

export const TOKEN_CASES: CaseTable = {
  tokens: [...BAD, ...TIMES, ...ALGORITHMS, ...AUDIENCES, ...PLACES, ...OUTPUTS, ...REQUIREMENTS, ...ROUTING],
};
