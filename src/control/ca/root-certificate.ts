// A new root: an ECDSA P-256 key and a certificate that it signs itself, good for ten years. Made when the
// authority starts on an empty directory, and when its root is rotated.
import './reflect-metadata.ts';
import { KeyObject, randomBytes } from 'node:crypto';
import {
  BasicConstraintsExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectKeyIdentifierExtension,
  X509CertificateGenerator,
} from '@peculiar/x509';

export interface RootPair {
  /** PEM. */
  readonly certificate: string;
  /** PEM, PKCS#8. */
  readonly key: string;
}

export const ROOT_YEARS = 10;
const ECDSA = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
/** Clocks of others may be late. */
const BACKDATED_MS = 60 * 60 * 1000;

/** `organization` is the trust domain, as in Istio; roots of one mesh are told apart by their common names. */
export async function makeRoot(organization: string, nowMs: number): Promise<RootPair> {
  const keys = await crypto.subtle.generateKey(ECDSA, true, ['sign', 'verify']);
  const notAfter = new Date(nowMs);
  notAfter.setUTCFullYear(notAfter.getUTCFullYear() + ROOT_YEARS);
  const name = `Outrigger root ${randomBytes(4).toString('hex')}`;
  const certificate = await X509CertificateGenerator.createSelfSigned({
    serialNumber: randomBytes(16).toString('hex'),
    name: [{ O: [organization] }, { CN: [name] }],
    notBefore: new Date(nowMs - BACKDATED_MS),
    notAfter,
    keys,
    signingAlgorithm: ECDSA,
    extensions: [
      new BasicConstraintsExtension(true, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  const key = KeyObject.from(keys.privateKey).export({ type: 'pkcs8', format: 'pem' });
  return { certificate: `${certificate.toString('pem')}\n`, key };
}
