// Makes tokens, good and bad ones, with keys that only tests have (private-keys.json). `publicJwks` is what a provider
// may know: all keys but the stranger's.
import { constants, createHmac, createPrivateKey, createPublicKey, sign, type KeyObject } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

interface TestKey {
  readonly kid: string;
  readonly kty: string;
  readonly alg?: string;
  readonly k?: string;
}

function readKeys(): readonly TestKey[] {
  const parsed: unknown = JSON.parse(readFileSync(join(import.meta.dirname, 'private-keys.json'), 'utf8'));
  if (typeof parsed !== 'object' || parsed === null || !('keys' in parsed) || !Array.isArray(parsed.keys)) return [];
  return parsed.keys;
}

const KEYS: ReadonlyMap<string, TestKey> = new Map(readKeys().map((key) => [key.kid, key]));
export const ISSUER = 'https://issuer.test';
export const STRANGER = 'stranger';

function keyNamed(kid: string): TestKey {
  const key = KEYS.get(kid);
  if (key === undefined) throw new Error(`no test key ${kid}`);
  return key;
}

function privateKey(kid: string): KeyObject {
  return createPrivateKey({ key: { ...keyNamed(kid) }, format: 'jwk' });
}

/** The public half of a key as a JWK; of a shared secret: the secret. */
export function publicJwk(kid: string): Readonly<Record<string, unknown>> {
  const key = keyNamed(kid);
  const { alg } = key;
  const shown = key.kty === 'oct' ? { ...key } : createPublicKey(privateKey(kid)).export({ format: 'jwk' });
  return { ...shown, kid, ...(alg === undefined ? {} : { alg }) };
}

/** A key set; all keys but the stranger's unless told which. */
export function publicJwks(kids: readonly string[] = [...KEYS.keys()].filter((kid) => kid !== STRANGER)): string {
  return JSON.stringify({ keys: kids.map(publicJwk) });
}

export interface TokenWish {
  /** The key that signs; `rsa` by default. */
  readonly by?: string;
  readonly alg?: string;
  /** Added to, or in the place of, `{ alg, kid, typ: JWT }`; undefined takes a field out. */
  readonly header?: Readonly<Record<string, unknown>>;
  /** Added to, or in the place of, `{ iss, sub, exp: in an hour }`; undefined takes a claim out. */
  readonly claims?: Readonly<Record<string, unknown>>;
  /** In the place of the payload's JSON. */
  readonly payloadText?: string;
  readonly headerText?: string;
  /** In the place of a signature. */
  readonly signature?: string;
}

export function inSeconds(seconds: number): number {
  return Math.floor(Date.now() / 1000) + seconds;
}

export function makeToken(wish: TokenWish = {}): string {
  const by = wish.by ?? 'rsa';
  const alg = wish.alg ?? keyNamed(by).alg ?? 'RS256';
  const header = wish.headerText ?? JSON.stringify({ alg, kid: by, typ: 'JWT', ...wish.header });
  const claims = { iss: ISSUER, sub: 'ann', exp: inSeconds(3600), ...wish.claims };
  const payload = wish.payloadText ?? JSON.stringify(claims);
  const signed = `${base64Url(header)}.${base64Url(payload)}`;
  return `${signed}.${wish.signature ?? signatureOf(signed, by, alg)}`;
}

export function base64Url(text: string): string {
  return Buffer.from(text).toString('base64url');
}

function signatureOf(signed: string, by: string, alg: string): string {
  const data = Buffer.from(signed);
  const hash = `sha${alg.slice(2)}`;
  const key = keyNamed(by);
  if (alg.startsWith('HS')) {
    // With an asymmetric key: the confusion of its public half with a secret.
    const secret =
      key.k === undefined
        ? createPublicKey(privateKey(by)).export({ format: 'pem', type: 'spki' })
        : Buffer.from(key.k, 'base64url');
    return createHmac(hash, secret).update(data).digest('base64url');
  }
  const secret = privateKey(by);
  if (alg === 'none') return '';
  if (alg === 'EdDSA') return sign(null, data, secret).toString('base64url');
  if (alg.startsWith('ES')) return sign(hash, data, { key: secret, dsaEncoding: 'ieee-p1363' }).toString('base64url');
  if (alg.startsWith('PS')) {
    const { RSA_PKCS1_PSS_PADDING: padding, RSA_PSS_SALTLEN_DIGEST: saltLength } = constants;
    return sign(hash, data, { key: secret, padding, saltLength }).toString('base64url');
  }
  return sign(hash, data, secret).toString('base64url');
}
