// How a sidecar with an identity talks to the control service: which roots it verifies the server by, which name the
// server must have, and whether it shows its certificate or its token. Asked before each connection, because files,
// roots and certificates change. The token goes out only on connections whose server OpenSSL has verified.
import { readFileSync } from 'node:fs';
import { X509Certificate } from 'node:crypto';
import type { ConnectionOptions } from 'node:tls';
import { alternativeNamesOf } from '../tls/alternative-names.ts';
import { parseCertificates } from '../tls/certificate.ts';
import { nodeTls } from '../tls/node-tls.ts';
import type { ControlAddress } from './discovery.ts';
import type { GrpcMetadata } from './grpc-client.ts';
import { readJoinToken } from './join-token.ts';
import { findRoot } from './root-by-hash.ts';

export interface AccessOptions {
  readonly control: ControlAddress;
  /** Where the token is; null: there is none. */
  readonly tokenFile: string | null;
  /** PEM of the roots that vouch for the control service; null: a hash does, or the own trust bundle. */
  readonly rootFile: string | null;
  /** Lower-case hex SHA-256 of a root's public key; null: what the token says. */
  readonly rootHash: string | null;
}

/** What a workload has of its own. */
export interface OwnCredentials {
  /** PEM; both empty once it has expired. */
  readonly chainPem: string;
  readonly keyPem: string;
  readonly rootsPem: string;
}

export type Credential = 'token' | 'certificate';

export type Access =
  | {
      readonly kind: 'granted';
      readonly shows: Credential;
      readonly tls: ConnectionOptions;
      readonly metadata: GrpcMetadata;
    }
  /** `what`: which part is missing. */
  | { readonly kind: 'denied'; readonly what: 'token' | 'root'; readonly reason: string };

/** Names of the control service by which it may be reached at any address. */
export const CONTROL_NAMES = ['istiod.istio-system.svc', 'outrigger-control.outrigger-system.svc'] as const;

export class ControlAccess {
  readonly control: ControlAddress;
  readonly #options: AccessOptions;
  /** Null before the first certificate. */
  own: OwnCredentials | null = null;
  /** Found by its hash. */
  #foundRoot = '';
  /** A connection that showed the certificate came to nothing: the token is tried next. */
  #isCertificateDoubted = false;
  #isRootDoubted = false;

  constructor(options: AccessOptions) {
    this.#options = options;
    this.control = options.control;
  }

  async prepare(): Promise<Access> {
    const { tokenFile } = this.#options;
    const token = tokenFile === null ? 'there is no token' : readJoinToken(tokenFile);
    const { chainPem = '', keyPem = '' } = this.own ?? {};
    if (chainPem === '' && typeof token === 'string') return { kind: 'denied', what: 'token', reason: token };
    const roots = await this.#roots();
    if (roots.kind === 'failed') return { kind: 'denied', what: 'root', reason: roots.reason };
    const { host } = this.control;
    const tls: ConnectionOptions = {
      ca: roots.pem,
      minVersion: 'TLSv1.2',
      checkServerIdentity: (_name, { raw }) => checkName(host, new X509Certificate(raw)),
    };
    const isTokenBetter = this.#isCertificateDoubted && typeof token !== 'string' && !(token.expiresAtMs < Date.now());
    if (chainPem !== '' && !isTokenBetter) {
      return { kind: 'granted', shows: 'certificate', tls: { ...tls, cert: chainPem, key: keyPem }, metadata: {} };
    }
    if (typeof token === 'string') return { kind: 'denied', what: 'token', reason: token };
    return { kind: 'granted', shows: 'token', tls, metadata: { authorization: `Bearer ${token.text}` } };
  }

  /** The other side has answered as it should. */
  worked(): void {
    this.#isCertificateDoubted = false;
    this.#isRootDoubted = false;
  }

  /** Nothing came of a connection: the next one tries another way, if there is one. */
  failed(shown: Credential): void {
    this.#isCertificateDoubted = shown === 'certificate';
    this.#isRootDoubted = true;
  }

  async #roots(): Promise<{ kind: 'found'; pem: string } | { kind: 'failed'; reason: string }> {
    const { rootFile } = this.#options;
    const own = this.own?.rootsPem ?? '';
    if (rootFile !== null) {
      const given = readRootFile(rootFile);
      if (given.kind === 'found') return { kind: 'found', pem: `${given.pem}\n${own}` };
      return own === '' ? given : { kind: 'found', pem: own };
    }
    if (own !== '' && !this.#isRootDoubted) return { kind: 'found', pem: own };
    const hashes = this.#hashes();
    if (hashes.size === 0 && own === '') {
      return { kind: 'failed', reason: 'nothing says by which root the control service is verified' };
    }
    if (hashes.size > 0 && (this.#foundRoot === '' || this.#isRootDoubted)) {
      const found = await findRoot(this.control, hashes);
      if (found.kind === 'found') this.#foundRoot = found.pem;
      else if (own === '') return found;
    }
    return { kind: 'found', pem: `${this.#foundRoot}\n${own}` };
  }

  #hashes(): ReadonlySet<string> {
    const { rootHash, tokenFile } = this.#options;
    if (rootHash !== null) return new Set([rootHash]);
    const token = tokenFile === null ? '' : readJoinToken(tokenFile);
    return new Set(typeof token === 'string' ? [] : token.rootHashes);
  }
}

function readRootFile(path: string): { kind: 'found'; pem: string } | { kind: 'failed'; reason: string } {
  let pem: string;
  try {
    pem = readFileSync(path, 'utf8');
  } catch (cause) {
    return {
      kind: 'failed',
      reason: `the root file cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`,
    };
  }
  const certificates = parseCertificates(pem);
  if (typeof certificates === 'string') return { kind: 'failed', reason: `the root file ${path} ${certificates}` };
  return { kind: 'found', pem: certificates.map((certificate) => certificate.pem).join('') };
}

/** A name of the host that was dialled, or the control service's own. */
function checkName(host: string, leaf: X509Certificate): Error | undefined {
  const { dns } = alternativeNamesOf(leaf);
  if (CONTROL_NAMES.some((name) => dns.includes(name))) return undefined;
  return nodeTls().checkServerIdentity(host, leaf.toLegacyObject());
}
