// Tokens taken apart, keys read, signatures checked: whatever comes in, the answer is a value.
import {
  array,
  assert,
  asyncProperty,
  constantFrom,
  json,
  jsonValue,
  nat,
  oneof,
  pre,
  property,
  record,
  string as anyString,
} from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodeBase64Url } from '../../../src/base/base64-url.ts';
import { isSignedBy } from '../../../src/policy/jwt-jose.ts';
import { keysFor } from '../../../src/policy/jwt-signature.ts';
import { JWT } from '../../../src/policy/jwt-status.ts';
import { parseToken, TOKEN_CHARS_MAX } from '../../../src/policy/jwt-token.ts';
import { parseKeySet } from '../../../src/base/key-set.ts';
import {
  STRANGER,
  base64Url,
  makeToken,
  publicJwk,
  publicJwks,
  type TokenWish,
} from '../../support/tokens/token-maker.ts';

async function verdictOf(text: string, jwks: string = publicJwks()): Promise<string> {
  const token = parseToken(text);
  if ('details' in token) return token.text;
  const keys = keysFor(token, parseKeySet(jwks));
  if ('details' in keys) return keys.text;
  for (const { key } of keys) if (await isSignedBy(text, token.alg, key)) return JWT.ok.text;
  return JWT.verificationFails.text;
}

function nested(depth: number): string {
  return `{"a":${'['.repeat(depth)}${']'.repeat(depth)}}`;
}

describe('a token', () => {
  test.each<[string, TokenWish, string]>([
    ['is verified', {}, 'OK'],
    ['may have no kid', { header: { kid: undefined } }, 'OK'],
    ['asks nobody to understand more', { header: { crit: ['exp'] } }, JWT.verificationFails.text],
    ['asks for no other payload', { header: { crit: ['b64'], b64: true } }, JWT.verificationFails.text],
    ['has one spelling of its signature', { signature: 'AB' }, JWT.signatureBadBase64.text],
    ['has no padding', { signature: 'AA==' }, JWT.signatureBadBase64.text],
    ['is not signed by none', { alg: 'none', signature: 'AA' }, JWT.algNotSupported.text],
    ['is not signed by none in other letters', { alg: 'none', header: { alg: 'nOnE' } }, JWT.badFormat.text],
    ['names a key of the set', { header: { kid: 'zzz' } }, JWT.noMatchingKey.text],
    ['has a kid that is text', { header: { kid: null } }, JWT.headerBadKid.text],
    ['is not signed with a public key as secret', { by: 'rsa-any', alg: 'HS256' }, JWT.verificationFails.text],
    ['is not signed by a stranger', { by: STRANGER, header: { kid: 'rsa' } }, JWT.verificationFails.text],
    ['has bytes that are UTF-8', { payloadText: '"\\u0000' }, JWT.payloadBadJson.text],
    ['may be nested', { payloadText: nested(90) }, 'OK'],
    ['is not nested without end', { payloadText: nested(101) }, JWT.payloadBadJson.text],
    ['is not nested very deeply', { payloadText: nested(15_000) }, JWT.payloadBadJson.text],
    ['has an exp below 2^64', { claims: { exp: 2 ** 64 } }, JWT.expOutOfRange.text],
    ['has an exp that is there', { claims: { exp: null } }, JWT.expNotInteger.text],
  ])('%s', async (_name, wish, wanted) => {
    expect(await verdictOf(makeToken(wish))).toBe(wanted);
  });

  test('is not taken when it is too long', async () => {
    const long = makeToken({ claims: { a: 'x'.repeat(TOKEN_CHARS_MAX) } });
    expect(await verdictOf(long)).toBe(JWT.badFormat.text);
  });

  test('has claims that nobody can change, and none that an object only inherits', () => {
    const token = parseToken(makeToken({ payloadText: '{"__proto__":{"iss":"evil"},"a":{"b":[1]}}' }));
    expect('details' in token).toBe(false);
    if ('details' in token) return;
    expect(token.iss).toBe('');
    expect(Object.isFrozen(token.payload)).toBe(true);
    expect(Object.isFrozen(token.payload['a'])).toBe(true);
  });

  test('never throws, whatever it is', async () => {
    const part = oneof(
      anyString(),
      json().map(base64Url),
      constantFrom('', '.', '..', base64Url('{"alg":"RS256"}'), 'e30', '\u00ff', '=='),
    );
    const text = oneof(
      anyString(),
      array(part, { maxLength: 5 }).map((parts) => parts.join('.')),
    );
    await assert(
      asyncProperty(text, async (any) => {
        expect(await verdictOf(any)).not.toBe('OK');
      }),
      { numRuns: 300 },
    );
  });

  test('is refused whichever letter of it is another one', async () => {
    const good = makeToken({ by: 'ed' });
    await assert(
      asyncProperty(
        nat({ max: good.length - 1 }),
        constantFrom(...'A Q g w 0 9 _ - b'.split(' ')),
        async (at, letter) => {
          const changed = good.slice(0, at) + letter + good.slice(at + 1);
          pre(changed !== good);
          expect(await verdictOf(changed)).not.toBe('OK');
        },
      ),
      { numRuns: 200 },
    );
  });
});

describe('a key set', () => {
  const rsa = publicJwk('rsa');
  test.each<[string, unknown, TokenWish, string]>([
    ['is a JSON object', [], {}, JWT.jwksBadJson.text],
    ['has keys', {}, {}, JWT.jwksNoKeys.text],
    ['has a list of keys', { keys: {} }, {}, JWT.jwksBadKeys.text],
    ['has at least one key', { keys: [] }, {}, JWT.noValidKeys.text],
    ['passes over what is no key', { keys: [5, null, { kty: 'RSA' }, { kty: 'x' }, rsa] }, {}, 'OK'],
    ['has keys for signatures', { keys: [{ ...rsa, use: 'enc' }] }, {}, JWT.noValidKeys.text],
    ['may say so', { keys: [{ ...rsa, use: 'sig', key_ops: ['verify'] }] }, {}, 'OK'],
    ['has RSA keys of a common exponent', { keys: [{ ...rsa, e: 'AAAAAAAB' }] }, {}, JWT.noValidKeys.text],
    [
      'has RSA keys of some size',
      { keys: [{ ...rsa, n: rsa['n']?.toString().slice(0, 160) }] },
      {},
      JWT.noValidKeys.text,
    ],
    ['has RSA keys for RSA', { keys: [{ ...rsa, alg: 'ES256' }] }, {}, JWT.noValidKeys.text],
    ['has curves that fit', { keys: [{ ...publicJwk('p256'), alg: 'ES384' }] }, { by: 'p256' }, JWT.noValidKeys.text],
    ['may leave out the algorithm', { keys: [{ ...publicJwk('p256'), alg: undefined }] }, { by: 'p256' }, 'OK'],
    ['has points on the curve', { keys: [{ ...publicJwk('p256'), x: 'AAAA' }] }, { by: 'p256' }, JWT.noValidKeys.text],
    ['has secrets of some length', { keys: [{ kty: 'oct', k: '' }] }, {}, JWT.noValidKeys.text],
    [
      'tries sixteen keys for a token',
      { keys: [...Array.from({ length: 15 }, () => publicJwk('rsa-any')), rsa] },
      { header: { kid: undefined } },
      'OK',
    ],
    [
      'tries no more',
      { keys: [...Array.from({ length: 16 }, () => publicJwk('rsa-any')), rsa] },
      { header: { kid: undefined } },
      JWT.verificationFails.text,
    ],
    ['tries each key of a kid', { keys: [{ ...publicJwk('rsa-any'), kid: 'rsa' }, rsa] }, {}, 'OK'],
    [
      'has as many keys as it may',
      { keys: [...Array.from({ length: 99 }, () => rsa), publicJwk('ed')] },
      { by: 'ed' },
      'OK',
    ],
    [
      'has no more',
      { keys: [...Array.from({ length: 100 }, () => rsa), publicJwk('ed')] },
      { by: 'ed' },
      JWT.noMatchingKey.text,
    ],
    [
      'has curves that sign as they must',
      { keys: [{ ...publicJwk('p256'), alg: undefined }] },
      { by: 'p256', alg: 'ES384', header: { kid: 'p256' } },
      JWT.verificationFails.text,
    ],
  ])('%s', async (_name, jwks, wish, wanted) => {
    expect(await verdictOf(makeToken(wish), JSON.stringify(jwks))).toBe(wanted);
  });

  test('never throws, whatever it is', () => {
    const field = oneof(anyString(), constantFrom('RSA', 'EC', 'OKP', 'oct', 'AQAB', 'P-256', 'Ed25519'), jsonValue());
    const key = record(
      { kty: field, n: field, e: field, x: field, y: field, crv: field, k: field, alg: field },
      { requiredKeys: [] },
    );
    assert(
      property(
        oneof(
          anyString(),
          json(),
          array(key).map((keys) => JSON.stringify({ keys })),
        ),
        (text) => {
          const set = parseKeySet(text);
          expect(set.keys.length > 0).toBe(set.failure === null);
        },
      ),
      { numRuns: 300 },
    );
  });
});

test.each<[string, string | null]>([
  ['', ''],
  ['AA', '\u0000'],
  ['A', null],
  ['AB', null],
  ['AAE', '\u0000\u0001'],
  ['AAF', null],
  ['YWJj', 'abc'],
  ['YW Jj', null],
  ['YWJj=', null],
  ['+/+/', null],
  ['-_-_', '\u00fb\u00ff\u00bf'],
  ['é', null],
])('base64url %j', (text, wanted) => {
  expect(decodeBase64Url(text)?.toString('latin1') ?? null).toBe(wanted);
});
