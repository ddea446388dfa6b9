// Whether a certificate leads to a root that is trusted now. OpenSSL has checked the chain at the handshake, against the
// roots of then; a stream lives longer than that, so the same chain is judged again when roots change or time passes.
// A chain that OpenSSL did not accept is never accepted here.
import type { X509Certificate } from 'node:crypto';
import { parseCertificates } from '../../tls/certificate.ts';

const PATH_LENGTH_MAX = 10;

/** The certificates of PEM text; none when it cannot be read, so that nothing is trusted. */
export function rootsOf(bundlePem: string): readonly X509Certificate[] {
  const read = parseCertificates(bundlePem);
  return typeof read === 'string' ? [] : read.map(({ x509 }) => x509);
}

/** Empty when `leaf` leads to a root and all on the way are valid at `nowMs`; else `untrusted` or `expired`. */
export function pathFault(
  leaf: X509Certificate,
  others: readonly X509Certificate[],
  roots: readonly X509Certificate[],
  nowMs: number,
): '' | 'untrusted' | 'expired' {
  let current = leaf;
  for (let length = 0; length < PATH_LENGTH_MAX; length++) {
    if (!isValidAt(current, nowMs)) return 'expired';
    const subject = current;
    const root = roots.find((candidate) => isIssuedBy(subject, candidate) && isValidAt(candidate, nowMs));
    if (root !== undefined) return '';
    const issuer = others.find((candidate) => candidate.ca && isIssuedBy(subject, candidate));
    if (issuer === undefined) return 'untrusted';
    current = issuer;
  }
  return 'untrusted';
}

function isValidAt(certificate: X509Certificate, nowMs: number): boolean {
  return certificate.validFromDate.getTime() <= nowMs && nowMs < certificate.validToDate.getTime();
}

function isIssuedBy(subject: X509Certificate, issuer: X509Certificate): boolean {
  return subject.checkIssued(issuer) && subject.verify(issuer.publicKey);
}
