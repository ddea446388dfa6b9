// A JSON Web Key Set as keys that signatures can be checked with: RSA, EC on the three NIST curves, Ed25519, and shared
// secrets (`oct`). A key that is malformed, unknown or not for signatures is left out, and a set in which nothing is
// left says why. Nothing in a key, above all no secret, ever appears in a text. Bounded: bytes by the caller, keys here.
// Source: RFC 7517, RFC 7518 section 6, RFC 8037; what a set may look like is Envoy's source/common/jwt/jwks.cc.
import { createPublicKey, createSecretKey, type KeyObject } from 'node:crypto';
import { decodeBase64Url } from './base64-url.ts';

export type SigningKeyKind = 'RSA' | 'EC' | 'OKP' | 'oct';

export interface SigningKey {
  readonly kind: SigningKeyKind;
  /** Empty: any token may try it. */
  readonly kid: string;
  /** Empty: any algorithm of its kind. */
  readonly alg: string;
  /** Of an EC key, as Node calls it; else empty. */
  readonly curve: string;
  readonly key: KeyObject;
}

export interface KeySet {
  readonly keys: readonly SigningKey[];
  /** Why there are no keys; null where there are some. */
  readonly failure: KeySetFailure | null;
  /** Somebody published what only the issuer may have. */
  readonly holdsPrivateKey: boolean;
}

export type KeySetFailure = 'bad-json' | 'no-keys' | 'bad-keys' | 'no-valid-keys';

/** Keys of one set; the rest is left out. A token without a kid tries each that its algorithm fits. */
export const KEYS_MAX = 100;
/** Bytes of one set. */
export const JWKS_BYTES_MAX = 1024 * 1024;
/** RFC 7518 section 3.3; Envoy takes shorter ones. */
const RSA_BITS_MIN = 2048;
const RSA_BITS_MAX = 16_384;
/** What an RSA key of 16384 bits takes, and more than enough for any other field. */
const FIELD_CHARS_MAX = 4096;

type Fields = Readonly<Record<string, unknown>>;

function noKeys(failure: KeySetFailure): KeySet {
  return Object.freeze({ keys: [], failure, holdsPrivateKey: false });
}

/** The set in `text`: `{ "keys": [...] }`, or an object of X.509 certificates in PEM by kid. Never throws. */
export function parseKeySet(text: string): KeySet {
  if (text.length > JWKS_BYTES_MAX) return noKeys('bad-json');
  const set = fieldsOf(parsed(text));
  if (set === null) return noKeys('bad-json');
  if (!Object.hasOwn(set, 'keys')) return certificateSet(set);
  const list = set['keys'];
  if (!Array.isArray(list)) return noKeys('bad-keys');
  const keys: SigningKey[] = [];
  for (const entry of list.slice(0, KEYS_MAX)) {
    const fields = fieldsOf(entry);
    const key = fields === null ? null : keyOf(fields);
    if (key !== null) keys.push(key);
  }
  if (keys.length === 0) return noKeys('no-valid-keys');
  const holdsPrivateKey = list.some((entry) => fieldsOf(entry)?.['d'] !== undefined);
  return Object.freeze({ keys, failure: null, holdsPrivateKey });
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function fieldsOf(value: unknown): Fields | null {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : null;
}

function text(fields: Fields, name: string): string | null {
  if (!Object.hasOwn(fields, name)) return null;
  const value = fields[name];
  return typeof value === 'string' && value.length <= FIELD_CHARS_MAX ? value : null;
}

/** Null: it is malformed, of a kind that we do not know, or not for signatures. */
function keyOf(fields: Fields): SigningKey | null {
  const use = fields['use'];
  if (use !== undefined && use !== 'sig') return null;
  const operations = fields['key_ops'];
  if (operations !== undefined && !(Array.isArray(operations) && operations.includes('verify'))) return null;
  const base = { kid: text(fields, 'kid') ?? '', alg: text(fields, 'alg') ?? '' };
  switch (fields['kty']) {
    case 'RSA':
      return rsaKey(fields, base);
    case 'EC':
      return ecKey(fields, base);
    case 'OKP':
      return edwardsKey(fields, base);
    case 'oct':
      return sharedKey(fields, base);
    default:
      return null;
  }
}

type Base = Pick<SigningKey, 'kid' | 'alg'>;

/** Exponents that keys are made with; others are slow on purpose. */
const EXPONENTS: ReadonlySet<bigint | undefined> = new Set([3n, 65_537n]);

function rsaKey(fields: Fields, base: Base): SigningKey | null {
  if (base.alg !== '' && !/^[RP]S/.test(base.alg)) return null;
  const n = text(fields, 'n');
  const e = text(fields, 'e');
  if (n === null || e === null || e.length > 6) return null;
  const key = imported({ kty: 'RSA', n, e });
  return key === null || !isSoundRsa(key) ? null : { kind: 'RSA', ...base, curve: '', key };
}

function isSoundRsa(key: KeyObject): boolean {
  const { modulusLength = 0, publicExponent } = key.asymmetricKeyDetails ?? {};
  return modulusLength >= RSA_BITS_MIN && modulusLength <= RSA_BITS_MAX && EXPONENTS.has(publicExponent);
}

const CURVES: ReadonlyMap<string, readonly [alg: string, name: string]> = new Map([
  ['P-256', ['ES256', 'prime256v1']],
  ['P-384', ['ES384', 'secp384r1']],
  ['P-521', ['ES512', 'secp521r1']],
]);
const CURVE_OF_ALG: ReadonlyMap<string, string> = new Map([
  ['', 'P-256'],
  ['ES256', 'P-256'],
  ['ES384', 'P-384'],
  ['ES512', 'P-521'],
]);

function ecKey(fields: Fields, base: Base): SigningKey | null {
  const crv = fields['crv'] === undefined ? (CURVE_OF_ALG.get(base.alg) ?? '') : text(fields, 'crv');
  const curve = CURVES.get(crv ?? '');
  const x = text(fields, 'x');
  const y = text(fields, 'y');
  if (crv === null || curve === undefined || x === null || y === null) return null;
  if (base.alg !== '' && base.alg !== curve[0]) return null;
  const key = imported({ kty: 'EC', crv, x, y });
  return key === null ? null : { kind: 'EC', ...base, curve: curve[1], key };
}

function edwardsKey(fields: Fields, base: Base): SigningKey | null {
  const x = text(fields, 'x');
  if (fields['crv'] !== 'Ed25519' || x === null || (base.alg !== '' && base.alg !== 'EdDSA')) return null;
  const key = imported({ kty: 'OKP', crv: 'Ed25519', x });
  return key === null ? null : { kind: 'OKP', ...base, curve: '', key };
}

function sharedKey(fields: Fields, base: Base): SigningKey | null {
  if (base.alg !== '' && !/^HS(256|384|512)$/.test(base.alg)) return null;
  const bytes = decodeBase64Url((text(fields, 'k') ?? '').replace(/=+$/, ''));
  if (bytes === null || bytes.length === 0) return null;
  return { kind: 'oct', ...base, curve: '', key: createSecretKey(bytes) };
}

function imported(jwk: Readonly<Record<string, string>>): KeyObject | null {
  try {
    return createPublicKey({ key: jwk, format: 'jwk' });
  } catch {
    // Fields that are no key: the set is used without it.
    return null;
  }
}

const CERTIFICATE_BEGIN = '-----BEGIN CERTIFICATE-----\n';
const CERTIFICATE_END = '\n-----END CERTIFICATE-----\n';

/** Certificates of RSA keys by kid, as Google publishes them. */
function certificateSet(set: Fields): KeySet {
  const entries = Object.entries(set).slice(0, KEYS_MAX);
  const keys: SigningKey[] = [];
  for (const [kid, pem] of entries) {
    const isCertificate = typeof pem === 'string' && pem.startsWith(CERTIFICATE_BEGIN) && pem.endsWith(CERTIFICATE_END);
    if (kid === '' || !isCertificate) return noKeys('no-keys');
    const key = ofCertificate(pem);
    if (key !== null) keys.push({ kind: 'RSA', kid, alg: '', curve: '', key });
  }
  if (keys.length > 0) return Object.freeze({ keys, failure: null, holdsPrivateKey: false });
  return noKeys(entries.length === 0 ? 'no-keys' : 'no-valid-keys');
}

function ofCertificate(pem: string): KeyObject | null {
  try {
    const key = createPublicKey(pem);
    return key.asymmetricKeyType === 'rsa' && isSoundRsa(key) ? key : null;
  } catch {
    return null;
  }
}

/** The set as JSON, with what is public of its keys and nothing else; shared secrets are left out. */
export function publicKeySet(set: KeySet): string {
  const keys = set.keys
    .filter(({ kind }) => kind !== 'oct')
    .map(({ key, kid, alg }) => ({
      ...key.export({ format: 'jwk' }),
      ...(kid === '' ? {} : { kid }),
      ...(alg === '' ? {} : { alg }),
    }));
  return JSON.stringify({ keys });
}
