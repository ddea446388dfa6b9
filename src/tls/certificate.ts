// What the mesh wants to know of one X.509 certificate: its names, its owner and issuer in the order of
// RFC 2253, its fingerprints and its life. Parsed once, when a secret or a peer brings it. PEM text may hold
// several certificates and comments between them.
import { createHash, X509Certificate } from 'node:crypto';
import { alternativeNamesOf, type AlternativeNames } from './alternative-names.ts';

export interface Certificate {
  readonly x509: X509Certificate;
  readonly names: AlternativeNames;
  /** RFC 2253: the most specific part first, `CN=a,O=b`; empty when the certificate has no subject. */
  readonly subject: string;
  readonly issuer: string;
  /** Lower-case hex without separators, as Envoy prints it. */
  readonly serial: string;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  /** SHA-256 and SHA-1 of the whole certificate, lower-case hex. */
  readonly fingerprint256: string;
  readonly fingerprint1: string;
  readonly pem: string;
}

const BLOCK = /-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----[\s\S]+?-----END (?:TRUSTED |X509 )?CERTIFICATE-----/g;

/** The certificates of PEM text, in order; or what is wrong. */
export function parseCertificates(pem: string): readonly Certificate[] | string {
  const blocks = pem.match(BLOCK) ?? [];
  if (blocks.length === 0) return 'holds no PEM certificate';
  try {
    return blocks.map((block) => certificateOf(new X509Certificate(block)));
  } catch (cause) {
    return `holds a certificate that cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`;
  }
}

export function certificateOf(x509: X509Certificate): Certificate {
  return {
    x509,
    names: alternativeNamesOf(x509),
    subject: nameText(x509.subject),
    issuer: nameText(x509.issuer),
    serial: x509.serialNumber.toLowerCase(),
    notBeforeMs: x509.validFromDate.getTime(),
    notAfterMs: x509.validToDate.getTime(),
    fingerprint256: hashOf('sha256', x509),
    fingerprint1: hashOf('sha1', x509),
    pem: x509.toString(),
  };
}

function hashOf(algorithm: 'sha1' | 'sha256', x509: X509Certificate): string {
  return createHash(algorithm).update(x509.raw).digest('hex');
}

/** SHA-256 of the subject public key info, base64 (RFC 7469 section 2.4). */
export function keyFingerprint(x509: X509Certificate): string {
  const info = x509.publicKey.export({ type: 'spki', format: 'der' });
  return createHash('sha256').update(info).digest('base64');
}

/** OpenSSL gives one line for each part, the most general first; a certificate may have no subject at all. */
function nameText(lines: string | undefined): string {
  if (lines === undefined || lines === '') return '';
  return lines.split('\n').toReversed().join(',');
}
