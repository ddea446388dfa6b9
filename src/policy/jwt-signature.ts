// Which of a set's keys may have signed a token; whether one has is found out by jwt-checks.ts. The key decides what may
// be done with it: an RSA key takes RS* and PS*, an EC key the one algorithm of its curve, Ed25519 EdDSA, a shared secret
// HS*; so the public half of a pair never serves as a secret, and `none` is no algorithm. A kid only selects among the
// keys of the set; `jku`, `x5u` and `jwk` of the token's header are not looked at.
// Source: RFC 7515 section 5.2, RFC 7518 section 3, RFC 8037 section 3.1; statuses are Envoy's.
import type { KeySet, KeySetFailure, SigningKey } from '../base/key-set.ts';
import { JWT, type JwtStatus } from './jwt-status.ts';
import type { JwtToken } from './jwt-token.ts';

interface Algorithm {
  readonly kind: SigningKey['kind'];
  /** EC: the curve, and the bytes of a signature. */
  readonly curve: string;
  readonly signatureBytes: number;
}

function algorithm(kind: SigningKey['kind'], rest: Partial<Algorithm> = {}): Algorithm {
  return Object.freeze({ kind, curve: '', signatureBytes: 0, ...rest });
}

const ALGORITHMS: ReadonlyMap<string, Algorithm> = new Map([
  ['RS256', algorithm('RSA')],
  ['RS384', algorithm('RSA')],
  ['RS512', algorithm('RSA')],
  ['PS256', algorithm('RSA')],
  ['PS384', algorithm('RSA')],
  ['PS512', algorithm('RSA')],
  ['ES256', algorithm('EC', { curve: 'prime256v1', signatureBytes: 64 })],
  ['ES384', algorithm('EC', { curve: 'secp384r1', signatureBytes: 96 })],
  ['ES512', algorithm('EC', { curve: 'secp521r1', signatureBytes: 132 })],
  ['EdDSA', algorithm('OKP')],
  ['HS256', algorithm('oct')],
  ['HS384', algorithm('oct')],
  ['HS512', algorithm('oct')],
]);

const ED25519_BYTES = 64;
/** Keys that one token may be checked with: without a kid it may mean each, and whoever sends bad ones chooses that. */
const TRIES_MAX = 16;

/** Why a set has no keys, in Envoy's words. */
export const FAILURES: Readonly<Record<KeySetFailure, JwtStatus>> = {
  'bad-json': JWT.jwksBadJson,
  'no-keys': JWT.jwksNoKeys,
  'bad-keys': JWT.jwksBadKeys,
  'no-valid-keys': JWT.noValidKeys,
};

/** The keys of the set that may have signed the token, to be tried in turn; or why none can have. */
export function keysFor(token: JwtToken, set: KeySet): readonly SigningKey[] | JwtStatus {
  if (set.failure !== null) return FAILURES[set.failure];
  const found = ALGORITHMS.get(token.alg);
  if (found === undefined) return JWT.algNotSupported;
  const keys: SigningKey[] = [];
  let isSelected = false;
  for (const key of set.keys) {
    if (!isCandidate(key, token)) continue;
    isSelected = true;
    if (key.kind !== found.kind || key.curve !== found.curve) continue;
    if (keys.length >= TRIES_MAX) break;
    if (found.kind === 'OKP' && token.signature.length !== ED25519_BYTES) return JWT.ed25519WrongLength;
    if (found.kind !== 'EC' || token.signature.length === found.signatureBytes) keys.push(key);
  }
  // Nobody whom we ask to understand more than we do is told yes (RFC 7515 section 4.1.11).
  if (keys.length > 0 && !Object.hasOwn(token.header, 'crit')) return keys;
  return isSelected ? JWT.verificationFails : JWT.noMatchingKey;
}

function isCandidate(key: SigningKey, token: JwtToken): boolean {
  if (token.kid !== '' && key.kid !== '' && key.kid !== token.kid) return false;
  return key.alg === '' || key.alg === token.alg;
}
