// What makes a peer's certificate acceptable: a compiled CertificateValidationContext. OpenSSL checks the chain
// against `authorities` during the handshake; names, fingerprints and what OpenSSL cannot be told are judged
// here from its result, before a byte of the application passes. In doubt the peer is refused.
import type { X509Certificate } from 'node:crypto';
import { alternativeNamesOf } from './alternative-names.ts';
import { certificateOf, keyFingerprint, type Certificate } from './certificate.ts';
import { matchesNames, type NameMatcher } from './name-match.ts';
import { svidFault } from './svid.ts';

export interface Trust {
  /** Tells one version from another: a session of another version is not resumed. */
  readonly id: string;
  /** Trusted certificates, whole chains or intermediates alike; empty: the chain is not checked. */
  readonly authorities: readonly Certificate[];
  /** The file of the authorities, or `<inline>`. */
  readonly path: string;
  /** PEM certificate revocation lists; with one, every certificate of a chain must be covered. */
  readonly revocations: readonly string[];
  readonly allowsExpired: boolean;
  /** trust_chain_verification ACCEPT_UNTRUSTED: whoever comes is let in, and counts as not verified. */
  readonly acceptsUntrusted: boolean;
  /** Intermediates between the leaf and its authority at most; null: as OpenSSL has it. */
  readonly depthMax: number | null;
  /** One of them must match; empty: any name will do. */
  readonly names: readonly NameMatcher[];
  /** One of the names is a SPIFFE id or begins as one: the certificate must be a workload's. */
  readonly asksSpiffeId: boolean;
  /** Lower-case hex SHA-256 of certificates, and base64 SHA-256 of keys: one of either must match. */
  readonly hashes: ReadonlySet<string>;
  readonly keyHashes: ReadonlySet<string>;
}

/** What a handshake brought. */
export interface Presented {
  /** The leaf; its issuerCertificate leads to the rest of what the peer sent. */
  readonly leaf: X509Certificate;
  /** OpenSSL's code, for example `CERT_HAS_EXPIRED`; empty when the chain is good. */
  readonly chainError: string;
  readonly isResumed: boolean;
}

export type Judgement =
  /** `isVerified`: a chain, a name or a fingerprint was checked and held. */
  | { readonly kind: 'accepted'; readonly isVerified: boolean }
  | { readonly kind: 'refused'; readonly reason: 'chain' | 'names' | 'hash'; readonly details: string };

const EXPIRY_ERRORS: ReadonlySet<string> = new Set(['CERT_HAS_EXPIRED', 'CERT_NOT_YET_VALID']);
const CHAIN_LENGTH_MAX = 100;

/** Judges the certificate of a peer. Source: Envoy's default certificate validator. */
export function judge(trust: Trust, presented: Presented): Judgement {
  const verdict = judgeStrictly(trust, presented);
  if (verdict.kind === 'refused' && trust.acceptsUntrusted) return { kind: 'accepted', isVerified: false };
  return verdict;
}

function judgeStrictly(trust: Trust, presented: Presented): Judgement {
  const { leaf } = presented;
  const details = chainFault(trust, presented);
  if (details !== '') return { kind: 'refused', reason: 'chain', details };
  if (trust.names.length > 0 && !matchesNames(alternativeNamesOf(leaf), trust.names)) {
    return { kind: 'refused', reason: 'names', details: `SAN matcher, certificate SANs are [${allNames(leaf)}]` };
  }
  const fault = trust.asksSpiffeId ? svidFault(leaf, false) : null;
  if (fault !== null) return { kind: 'refused', reason: 'names', details: fault.details };
  const pins = trust.hashes.size + trust.keyHashes.size;
  if (pins > 0 && !trust.hashes.has(certificateOf(leaf).fingerprint256) && !trust.keyHashes.has(keyFingerprint(leaf))) {
    return { kind: 'refused', reason: 'hash', details: 'certificate hash' };
  }
  return { kind: 'accepted', isVerified: trust.authorities.length > 0 || trust.names.length > 0 || pins > 0 };
}

function allNames(leaf: X509Certificate): string {
  const { dns, email, ip, uri } = alternativeNamesOf(leaf);
  return [...dns, ...email, ...ip, ...uri].join(', ');
}

function chainFault(trust: Trust, { leaf, chainError, isResumed }: Presented): string {
  if (trust.authorities.length === 0) return '';
  // OpenSSL looks at dates when a session begins, and not again.
  if (isResumed && !trust.allowsExpired && Date.now() >= leaf.validToDate.getTime()) return 'CERT_HAS_EXPIRED';
  const isExpiry = trust.allowsExpired && EXPIRY_ERRORS.has(chainError);
  if (chainError !== '' && !isExpiry) return chainError;
  // OpenSSL reports one fault of several, so an expired chain is built again to see that nothing else is wrong.
  // A resumed session carries no chain; it was judged when it began.
  if ((!isExpiry && trust.depthMax === null) || (isResumed && !isExpiry)) return '';
  const depth = depthOf(leaf, trust.authorities);
  if (depth === -1) return chainError === '' ? 'UNABLE_TO_GET_ISSUER_CERT' : `${chainError}, untrusted`;
  return trust.depthMax !== null && depth > trust.depthMax ? 'CERT_CHAIN_TOO_LONG' : '';
}

/** Intermediates between the leaf and the first authority that vouches for it; -1 when none does. */
function depthOf(leaf: X509Certificate, authorities: readonly Certificate[]): number {
  if (authorities.some(({ x509 }) => x509.raw.equals(leaf.raw))) return 0;
  const sent: X509Certificate[] = [];
  for (let next = leaf.issuerCertificate; next !== undefined && sent.length < CHAIN_LENGTH_MAX;) {
    if (sent.some(({ raw }) => raw.equals(next?.raw ?? raw))) break;
    sent.push(next);
    next = next.issuerCertificate;
  }
  let current = leaf;
  for (let depth = 0; depth <= sent.length; depth++) {
    const subject = current;
    if (authorities.some(({ x509 }) => isIssuedBy(subject, x509))) return depth;
    const issuer = sent.find((candidate) => candidate.ca && isIssuedBy(subject, candidate));
    if (issuer === undefined) return -1;
    current = issuer;
  }
  return -1;
}

function isIssuedBy(subject: X509Certificate, issuer: X509Certificate): boolean {
  return subject.checkIssued(issuer) && subject.verify(issuer.publicKey);
}
