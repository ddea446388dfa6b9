// A workload's certificate, an X.509-SVID: one critical URI name and an empty subject, CA=false, for both ends of a
// TLS connection, with a random serial of 128 bits. Everything in it but the public key comes from the caller's
// identity and this file, nothing from the request.
import './reflect-metadata.ts';
import { randomBytes, type webcrypto } from 'node:crypto';
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
  type PublicKey,
} from '@peculiar/x509';
import type { SpiffeId } from '../../base/brand.ts';
import type { SigningAlgorithm } from './signing-key.ts';

/** A certificate that signs, in the form that @peculiar/x509 wants: made once for many certificates. */
export interface Issuer {
  readonly certificate: X509Certificate;
  readonly key: webcrypto.CryptoKey;
  readonly algorithm: SigningAlgorithm;
  /** RFC 5280 section 4.2.1.1: the subject key identifier of the issuer, in hex. */
  readonly keyId: string;
}

export interface Issued {
  readonly id: SpiffeId;
  readonly publicKey: PublicKey;
  readonly isRsa: boolean;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

const RSA_USAGE: KeyUsageFlags = KeyUsageFlags.digitalSignature | KeyUsageFlags.keyEncipherment;
/** RFC 5280 section 4.2.1.2. */
const SUBJECT_KEY_ID = '2.5.29.14';

export async function issuerOf(pem: string, key: webcrypto.CryptoKey, algorithm: SigningAlgorithm): Promise<Issuer> {
  const certificate = new X509Certificate(pem);
  const written = certificate.getExtension(SUBJECT_KEY_ID);
  const keyId =
    written instanceof SubjectKeyIdentifierExtension
      ? written.keyId
      : Buffer.from(await certificate.publicKey.getKeyIdentifier()).toString('hex');
  return { certificate, key, algorithm, keyId };
}

/** The certificate in PEM. Rejects when Web Cryptography does. */
export async function issue(
  issuer: Issuer,
  { id, publicKey, isRsa, notBeforeMs, notAfterMs }: Issued,
): Promise<string> {
  const certificate = await X509CertificateGenerator.create({
    serialNumber: randomBytes(16).toString('hex'),
    issuer: issuer.certificate.subjectName,
    notBefore: new Date(notBeforeMs),
    notAfter: new Date(notAfterMs),
    publicKey,
    signingKey: issuer.key,
    signingAlgorithm: issuer.algorithm,
    extensions: [
      new KeyUsagesExtension(isRsa ? RSA_USAGE : KeyUsageFlags.digitalSignature, true),
      new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth, ExtendedKeyUsage.clientAuth]),
      new BasicConstraintsExtension(false, undefined, true),
      await SubjectKeyIdentifierExtension.create(publicKey),
      new AuthorityKeyIdentifierExtension(issuer.keyId),
      // RFC 5280 section 4.2.1.6: critical, because the subject is empty.
      new SubjectAlternativeNameExtension([{ type: 'url', value: id }], true),
    ],
  });
  return `${certificate.toString('pem')}\n`;
}
