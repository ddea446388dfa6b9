// Join tokens: how a workload outside of Kubernetes proves once who it is, to get its first certificate. A token is a
// JWT (RFC 7519) signed with ES256 by a key of its own beside the authority's, bounded to one workload and to at most
// a day. It says by which root the control service is to be known. Its text is a secret: it is never logged.
import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, randomUUID } from 'node:crypto';
import type { KeyObject, X509Certificate } from 'node:crypto';
import { errors, jwtVerify, SignJWT } from 'jose';
import { spiffeId } from '../../tls/spiffe-id.ts';
import { JOIN_KEY, type AuthorityStore } from './authority-files.ts';

export interface JoinGrant {
  readonly namespace: string;
  readonly serviceAccount: string;
  /** More than 0 and at most JOIN_LIFETIME_MAX_MS. */
  readonly ttlMs: number;
  /** The roots of now. During a rotation there are two, and the token names both. */
  readonly roots: readonly X509Certificate[];
}

export type JoinVerdict =
  | {
      readonly kind: 'verified';
      readonly namespace: string;
      readonly serviceAccount: string;
      /** `jti`: may be logged. */
      readonly tokenId: string;
      readonly expiresAtMs: number;
    }
  /** It is no join token, but perhaps somebody else's token. */
  | { readonly kind: 'foreign' }
  /** The reason may be told to the caller; it holds nothing of the token. */
  | { readonly kind: 'refused'; readonly fault: 'expired' | 'signature' | 'malformed'; readonly reason: string };

export const JOIN_AUDIENCE = 'outrigger-join';
export const JOIN_LIFETIME_MAX_MS = 24 * 60 * 60 * 1000;
const ALGORITHM = 'ES256';
const CHARACTERS_MAX = 4096;
/** Clocks of control services and of who makes tokens differ by so much at most. */
const SKEW_S = 60;
const TOKEN_ID_CHARACTERS_MAX = 64;

export class JoinTokens {
  readonly #store: AuthorityStore;
  readonly #unwatch: () => void;
  #pem = '';
  #privateKey: KeyObject;
  #publicKey: KeyObject;

  /** Makes the key when there is none yet. Rejects when it cannot be read or written. */
  static async open(store: AuthorityStore): Promise<JoinTokens> {
    return new JoinTokens(store, await keyOf(store));
  }

  private constructor(store: AuthorityStore, pem: string) {
    this.#store = store;
    this.#pem = pem;
    this.#privateKey = createPrivateKey(pem);
    this.#publicKey = createPublicKey(this.#privateKey);
    // Whoever replaces or removes the key makes all tokens of before worthless.
    this.#unwatch = store.watch(() => void this.reload());
  }

  close(): void {
    this.#unwatch();
  }

  /** Never rejects: while the key cannot be read, the one of before is in force. */
  async reload(): Promise<void> {
    try {
      const pem = await keyOf(this.#store);
      if (pem === this.#pem) return;
      const key = createPrivateKey(pem);
      this.#privateKey = key;
      this.#publicKey = createPublicKey(key);
      this.#pem = pem;
    } catch {
      // Half written, or not there for a moment: the next look sees.
    }
  }

  /** The token; rejects when the names or the time are not such as a token may carry. */
  async create({ namespace, serviceAccount, ttlMs, roots }: JoinGrant, nowMs: number): Promise<string> {
    if (spiffeId({ trustDomain: 'any', namespace, serviceAccount }) === null)
      throw new RangeError(`"${namespace}/${serviceAccount}" is not namespace/service-account`);
    if (!(ttlMs >= 1000 && ttlMs <= JOIN_LIFETIME_MAX_MS))
      throw new RangeError('a join token lives from one second to 24 hours');
    const nowS = Math.floor(nowMs / 1000);
    const hashes = roots.map((root) => rootHash(root));
    const [first] = hashes;
    return await new SignJWT({ ca: hashes.length === 1 && first !== undefined ? first : hashes })
      .setProtectedHeader({ alg: ALGORITHM, typ: 'JWT' })
      .setAudience(JOIN_AUDIENCE)
      .setSubject(`${namespace}/${serviceAccount}`)
      .setJti(randomUUID())
      .setIssuedAt(nowS)
      .setExpirationTime(nowS + Math.floor(ttlMs / 1000))
      .sign(this.#privateKey);
  }

  /** Never rejects. */
  async verify(token: string, nowMs: number): Promise<JoinVerdict> {
    if (audienceOf(token) !== JOIN_AUDIENCE) return { kind: 'foreign' };
    try {
      const { payload } = await jwtVerify(token, this.#publicKey, {
        algorithms: [ALGORITHM],
        audience: JOIN_AUDIENCE,
        currentDate: new Date(nowMs),
        clockTolerance: 0,
        requiredClaims: ['sub', 'exp', 'iat', 'jti'],
      });
      return judge(payload, nowMs);
    } catch (cause) {
      if (cause instanceof errors.JWTExpired) return refused('expired', 'the join token has expired');
      if (cause instanceof errors.JWSSignatureVerificationFailed)
        return refused('signature', 'the join token is not signed by this authority');
      return refused('malformed', 'the join token is malformed');
    }
  }
}

/** `sha256:` and the hash of the public key (SubjectPublicKeyInfo) in lower-case hex, as `--ca-hash` takes it. */
export function rootHash({ publicKey }: X509Certificate): string {
  return `sha256:${createHash('sha256')
    .update(publicKey.export({ type: 'spki', format: 'der' }))
    .digest('hex')}`;
}

interface Claims {
  readonly sub?: string;
  readonly exp?: number;
  readonly iat?: number;
  readonly jti?: string;
}

function judge({ sub = '', exp = 0, iat = 0, jti = '' }: Claims, nowMs: number): JoinVerdict {
  const [namespace = '', serviceAccount = '', ...rest] = sub.split('/');
  if (rest.length > 0 || spiffeId({ trustDomain: 'any', namespace, serviceAccount }) === null)
    return refused('malformed', 'the join token names no workload');
  if (typeof jti !== 'string' || jti === '' || jti.length > TOKEN_ID_CHARACTERS_MAX)
    return refused('malformed', 'the join token has no id');
  if (iat > nowMs / 1000 + SKEW_S) return refused('malformed', 'the join token was made in the future');
  // Whoever signs tokens without us is held to the same bound.
  if (exp - iat > JOIN_LIFETIME_MAX_MS / 1000) return refused('malformed', 'the join token lives longer than a day');
  return { kind: 'verified', namespace, serviceAccount, tokenId: jti, expiresAtMs: exp * 1000 };
}

/** What a token says of its audience before anything is checked: only to tell whose it is to check it. */
function audienceOf(token: string): string {
  const parts = token.length > CHARACTERS_MAX ? [] : token.split('.');
  const [, payload = ''] = parts;
  if (parts.length !== 3) return '';
  try {
    const claims: unknown = JSON.parse(Buffer.from(payload, 'base64url').toString('utf8'));
    return typeof claims === 'object' && claims !== null && 'aud' in claims ? String(claims.aud) : '';
  } catch {
    // Not a JWT of anybody.
    return '';
  }
}

async function keyOf(store: AuthorityStore): Promise<string> {
  const there = (await store.read()).get(JOIN_KEY);
  if (there !== undefined) return there;
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return await store.add(JOIN_KEY, privateKey.export({ type: 'pkcs8', format: 'pem' }));
}

function refused(fault: 'expired' | 'signature' | 'malformed', reason: string): JoinVerdict {
  return { kind: 'refused', fault, reason };
}
