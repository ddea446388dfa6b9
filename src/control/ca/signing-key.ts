// Private keys of the authority: what is strong enough to sign, and how Web Cryptography, which @peculiar/x509
// works with, takes a key that was read from PKCS#8, SEC1 or PKCS#1. The text of a key never leaves this folder.
import { createPrivateKey, type KeyObject, type webcrypto } from 'node:crypto';

export type SigningAlgorithm =
  | { readonly name: 'ECDSA'; readonly namedCurve: string; readonly hash: string }
  | { readonly name: 'RSASSA-PKCS1-v1_5'; readonly hash: string };

export const RSA_BITS_MIN = 2048;
/** A signature by a longer key costs more than it protects, and whoever sends one chooses what we pay. */
export const RSA_BITS_MAX = 8192;

const CURVES: ReadonlyMap<string, SigningAlgorithm> = new Map([
  ['prime256v1', { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }],
  ['secp384r1', { name: 'ECDSA', namedCurve: 'P-384', hash: 'SHA-384' }],
  ['secp521r1', { name: 'ECDSA', namedCurve: 'P-521', hash: 'SHA-512' }],
]);

/** The key, or why it is none; without any of its text. */
export function readPrivateKey(pem: string): KeyObject | string {
  if (/-----BEGIN ENCRYPTED|ENCRYPTED-----|Proc-Type: 4,ENCRYPTED/.test(pem))
    return 'is encrypted: write it without a password, with a mode of 0600';
  try {
    return createPrivateKey(pem);
  } catch {
    return 'is no private key in PEM (PKCS#8, SEC1 or PKCS#1)';
  }
}

/** How a key signs; or why it may not. */
export function algorithmOf(key: KeyObject): SigningAlgorithm | string {
  const { modulusLength = 0, namedCurve = '' } = key.asymmetricKeyDetails ?? {};
  switch (key.asymmetricKeyType) {
    case 'ec':
      return CURVES.get(namedCurve) ?? `is on the curve ${namedCurve}: P-256, P-384 and P-521 are taken`;
    case 'rsa':
      if (modulusLength < RSA_BITS_MIN) return `is an RSA key of ${modulusLength} bits: it takes ${RSA_BITS_MIN}`;
      if (modulusLength > RSA_BITS_MAX) return `is an RSA key of ${modulusLength} bits: the most is ${RSA_BITS_MAX}`;
      return { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' };
    default:
      return `is of the kind ${String(key.asymmetricKeyType)}: EC and RSA keys are taken`;
  }
}

export function webKeyOf(key: KeyObject, algorithm: SigningAlgorithm): webcrypto.CryptoKey {
  return key.toCryptoKey(algorithm, false, ['sign']);
}
