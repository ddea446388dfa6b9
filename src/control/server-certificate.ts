// The certificate that the control service shows on its TLS port: its own names, for servers only, so that nobody who
// stole it could pass for a workload; signed by our own authority, and never kept on a disk. It lives a day and is made
// anew after half of it, or when something else signs.
import './ca/reflect-metadata.ts';
import { generateKeyPairSync, randomBytes, type KeyObject } from 'node:crypto';
import { isIP } from 'node:net';
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  PublicKey,
  SubjectAlternativeNameExtension,
  X509CertificateGenerator,
  type JsonGeneralName,
} from '@peculiar/x509';
import type { AuthorityMaterial } from './ca/authority-material.ts';
import { webKeyOf } from './ca/signing-key.ts';
import { issuerOf } from './ca/workload-certificate.ts';

export interface ServerCertificate {
  /** The certificate, what leads to its root, and the root: who knows the root by its hash only finds it here. */
  readonly chainPem: string;
  readonly keyPem: string;
  readonly notAfterMs: number;
  /** When the next one is due. */
  readonly renewAtMs: number;
  /** Fingerprint of what signed it. */
  readonly signer: string;
}

const LIFETIME_MS = 24 * 60 * 60 * 1000;
const BACKDATED_MS = 2 * 60 * 1000;

/** `names`: DNS names and IP addresses. Rejects when Web Cryptography does. */
export async function makeServerCertificate(
  { signer, key, algorithm, intermediates, roots, notAfterMs: authorityEndsMs }: AuthorityMaterial,
  names: readonly string[],
  nowMs: number,
): Promise<ServerCertificate> {
  const issuer = await issuerOf(signer.pem, webKeyOf(key, algorithm), algorithm);
  const own = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const notAfterMs = Math.min(nowMs + LIFETIME_MS, authorityEndsMs);
  const certificate = await X509CertificateGenerator.create({
    serialNumber: randomBytes(16).toString('hex'),
    subject: 'CN=outrigger-control',
    issuer: issuer.certificate.subjectName,
    notBefore: new Date(nowMs - BACKDATED_MS),
    notAfter: new Date(notAfterMs),
    publicKey: publicKeyOf(own.publicKey),
    signingKey: issuer.key,
    signingAlgorithm: issuer.algorithm,
    extensions: [
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
      new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth]),
      new BasicConstraintsExtension(false, undefined, true),
      new AuthorityKeyIdentifierExtension(issuer.keyId),
      new SubjectAlternativeNameExtension(names.map(generalName)),
    ],
  });
  const [root = signer] = roots;
  const above = [...(signer === root ? [] : [signer]), ...intermediates, root];
  const chain = [...new Map(above.map((each) => [each.fingerprint256, each.pem])).values()];
  return {
    chainPem: [`${certificate.toString('pem')}\n`, ...chain].join(''),
    keyPem: own.privateKey.export({ type: 'pkcs8', format: 'pem' }),
    notAfterMs,
    renewAtMs: nowMs + (notAfterMs - nowMs) / 2,
    signer: signer.fingerprint256,
  };
}

function publicKeyOf(key: KeyObject): PublicKey {
  return new PublicKey(key.export({ type: 'spki', format: 'der' }));
}

function generalName(value: string): JsonGeneralName {
  return { type: isIP(value) === 0 ? 'dns' : 'ip', value };
}
