// A certificate chain with its private key, checked to belong together: what a TlsCertificate becomes. The
// key's text stays inside; nothing here prints or returns it but to the TLS contexts.
import { createHash, createPrivateKey, type KeyObject } from 'node:crypto';
import { parseCertificates, type Certificate } from './certificate.ts';

export interface KeyPairSource {
  /** PEM: the leaf, then its intermediates. */
  readonly chain: string;
  /** PEM. */
  readonly key: string;
  /** The file of the chain, or `<inline>`; for people. */
  readonly path: string;
  /** Empty: the key is not encrypted. */
  readonly password: string;
}

export interface KeyPair {
  /** Tells one version from another. */
  readonly id: string;
  readonly leaf: Certificate;
  /** The leaf first. */
  readonly chain: readonly Certificate[];
  /** The file of the chain, or `<inline>`. */
  readonly path: string;
  readonly source: KeyPairSource;
  /** `rsa` or `ec` (and the like): a client takes what it can check. */
  readonly keyType: string;
}

/** The pair, or why it is none. The text of the key is never part of the reason. */
export function readKeyPair(source: KeyPairSource): KeyPair | string {
  const chain = parseCertificates(source.chain);
  if (typeof chain === 'string') return `certificate_chain ${chain}`;
  const [leaf] = chain;
  if (leaf === undefined) return 'certificate_chain holds no certificate';
  const key = readKey(source);
  if (typeof key === 'string') return key;
  if (!leaf.x509.checkPrivateKey(key)) return 'private_key does not belong to the certificate';
  const keyType = key.asymmetricKeyType ?? '';
  const bits = key.asymmetricKeyDetails?.modulusLength ?? 0;
  if (keyType === 'rsa' && bits < 2048) return `an RSA key of ${bits} bits is too weak: it takes 2048`;
  const id = createHash('sha256').update(source.chain).update('\0').update(source.key).digest('hex');
  return { id, leaf, chain, path: source.path, source, keyType };
}

function readKey({ key, password }: KeyPairSource): KeyObject | string {
  try {
    return createPrivateKey(password === '' ? { key } : { key, passphrase: password });
  } catch {
    return password === '' ? 'private_key cannot be read' : 'private_key cannot be read with this password';
  }
}

/** The names a server certificate is chosen by: its DNS names, or its common name when it has none. */
export function serverNamesOf({ leaf }: KeyPair): readonly string[] {
  if (leaf.names.dns.length > 0) return leaf.names.dns.map((name) => name.toLowerCase());
  const common = /(?:^|,)CN=([^,]+)/.exec(leaf.subject)?.[1];
  return common === undefined ? [] : [common.toLowerCase()];
}
