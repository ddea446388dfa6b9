// Certificates as no authority of ours would sign them, signed by it all the same, or by somebody else.
import '../../../../src/control/ca/reflect-metadata.ts';
import { createPrivateKey, generateKeyPairSync, randomBytes, type KeyObject } from 'node:crypto';
import {
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  PublicKey,
  SubjectAlternativeNameExtension,
  X509Certificate,
  X509CertificateGenerator,
} from '@peculiar/x509';

export interface Pair {
  readonly chainPem: string;
  readonly keyPem: string;
}

export interface Forgery {
  /** Self-signed by default. */
  readonly by?: Pair;
  readonly uris?: readonly string[];
  readonly isAuthority?: boolean;
  readonly usage?: KeyUsageFlags | null;
  readonly isForClients?: boolean;
  readonly fromMs?: number;
  readonly untilMs?: number;
}

/** Bits of keyUsage. */
export const SIGNS: KeyUsageFlags = KeyUsageFlags.digitalSignature;
export const SIGNS_CERTIFICATES: KeyUsageFlags = KeyUsageFlags.digitalSignature | KeyUsageFlags.keyCertSign;
export const SIGNS_REVOCATIONS: KeyUsageFlags = KeyUsageFlags.digitalSignature | KeyUsageFlags.cRLSign;

const HOUR_MS = 3_600_000;
const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };

export async function forged({
  by,
  uris = ['spiffe://cluster.local/ns/shop/sa/reviews'],
  isAuthority = false,
  usage = SIGNS,
  isForClients = true,
  fromMs = Date.now() - HOUR_MS,
  untilMs = Date.now() + HOUR_MS,
}: Forgery): Promise<Pair> {
  const own = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const keyPem = own.privateKey.export({ type: 'pkcs8', format: 'pem' });
  // Above a leaf it would narrow down what the leaf is for.
  const purpose = isAuthority ? null : isForClients ? ExtendedKeyUsage.clientAuth : ExtendedKeyUsage.serverAuth;
  const subject = `CN=forged ${randomBytes(4).toString('hex')}`;
  const certificate = await X509CertificateGenerator.create({
    serialNumber: randomBytes(16).toString('hex'),
    subject,
    issuer: by === undefined ? subject : new X509Certificate(by.chainPem).subject,
    notBefore: new Date(fromMs),
    notAfter: new Date(untilMs),
    publicKey: new PublicKey(own.publicKey.export({ type: 'spki', format: 'der' })),
    signingKey: webKey(by === undefined ? own.privateKey : createPrivateKey(by.keyPem)),
    signingAlgorithm: ALGORITHM,
    extensions: [
      ...(usage === null ? [] : [new KeyUsagesExtension(usage, true)]),
      ...(purpose === null ? [] : [new ExtendedKeyUsageExtension([purpose])]),
      new BasicConstraintsExtension(isAuthority, undefined, true),
      ...(uris.length === 0
        ? []
        : [new SubjectAlternativeNameExtension(uris.map((value) => ({ type: 'url', value }) as const))]),
    ],
  });
  return { chainPem: `${certificate.toString('pem')}\n${by?.chainPem ?? ''}`, keyPem };
}

function webKey(key: KeyObject) {
  return key.toCryptoKey(ALGORITHM, false, ['sign']);
}
