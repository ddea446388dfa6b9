// What both ends of TLS share once compiled: versions, ciphers, curves and protocols in the names that
// node:tls takes. Envoy writes BoringSSL's names; the few that differ are translated, and one that is
// unknown is reported by the compiler, because OpenSSL would drop it without a word.
import type { SecureContextOptions, SecureVersion } from 'node:tls';

export interface TlsSettings {
  readonly minVersion: SecureVersion;
  readonly maxVersion: SecureVersion;
  /** OpenSSL's list for TLS 1.2 and older, with TLS 1.3's own suites before it. */
  readonly ciphers: string;
  readonly curves: string;
  /** Empty: OpenSSL's own. */
  readonly signatures: string;
  /** Offered or accepted in this order; empty: no ALPN. */
  readonly protocols: readonly string[];
}

/** TLS 1.3 suites cannot be chosen in Envoy; this is BoringSSL's order. */
const TLS13 = 'TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256';

/** Envoy's default, for servers and clients alike (TlsParameters.cipher_suites). */
export const DEFAULT_CIPHERS: readonly string[] = [
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-RSA-CHACHA20-POLY1305',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
];

export const DEFAULT_CURVES: readonly string[] = ['X25519', 'P-256'];

/** BoringSSL's IANA-like names of the suites that it knows, as OpenSSL calls them. */
const RENAMED: ReadonlyMap<string, string> = new Map([
  ['TLS_RSA_WITH_AES_128_CBC_SHA', 'AES128-SHA'],
  ['TLS_RSA_WITH_AES_256_CBC_SHA', 'AES256-SHA'],
  ['TLS_RSA_WITH_AES_128_GCM_SHA256', 'AES128-GCM-SHA256'],
  ['TLS_RSA_WITH_AES_256_GCM_SHA384', 'AES256-GCM-SHA384'],
  ['TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256', 'ECDHE-ECDSA-AES128-GCM-SHA256'],
  ['TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384', 'ECDHE-ECDSA-AES256-GCM-SHA384'],
  ['TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256', 'ECDHE-RSA-AES128-GCM-SHA256'],
  ['TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384', 'ECDHE-RSA-AES256-GCM-SHA384'],
  ['TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA', 'ECDHE-ECDSA-AES128-SHA'],
  ['TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA', 'ECDHE-ECDSA-AES256-SHA'],
  ['TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA', 'ECDHE-RSA-AES128-SHA'],
  ['TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA', 'ECDHE-RSA-AES256-SHA'],
  ['TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256', 'ECDHE-RSA-CHACHA20-POLY1305'],
  ['TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256', 'ECDHE-ECDSA-CHACHA20-POLY1305'],
  ['ECDHE-RSA-CHACHA20-POLY1305-SHA256', 'ECDHE-RSA-CHACHA20-POLY1305'],
  ['ECDHE-ECDSA-CHACHA20-POLY1305-SHA256', 'ECDHE-ECDSA-CHACHA20-POLY1305'],
]);

/** The suites of Envoy's `[A|B]` groups and single names, in OpenSSL's names and in order. */
export function cipherNames(suites: readonly string[]): readonly string[] {
  return suites
    .flatMap((suite) => suite.replaceAll(/[[\]]/g, '').split(/[|:]/))
    .map((name) => name.trim())
    .filter((name) => name !== '')
    .map((name) => RENAMED.get(name) ?? name);
}

export function cipherList(names: readonly string[]): string {
  return `${TLS13}:${names.join(':')}`;
}

/** The part of a secure context that does not depend on secrets. */
export function contextOptions(settings: TlsSettings): SecureContextOptions {
  const { minVersion, maxVersion, ciphers, curves, signatures } = settings;
  const isOld = minVersion === 'TLSv1' || minVersion === 'TLSv1.1';
  return {
    minVersion,
    maxVersion,
    // OpenSSL 3 takes the old versions at security level 0 only; who writes them wants them.
    ciphers: isOld ? `${ciphers}:@SECLEVEL=0` : ciphers,
    ecdhCurve: curves,
    ...(signatures === '' ? {} : { sigalgs: signatures }),
  };
}
