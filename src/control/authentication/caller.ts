// What a call over TLS brings to prove who makes it: the certificate of its connection and the tokens of its metadata.
// Tokens stay in here; nothing that is logged or kept is made from them but their hash.
import type { X509Certificate } from 'node:crypto';
import type { Metadata } from '@grpc/grpc-js';

export interface PresentedCertificate {
  readonly leaf: X509Certificate;
  /** What else the peer sent: what lies between the leaf and a root, in its order. */
  readonly others: readonly X509Certificate[];
  /** OpenSSL's code of what is wrong with the chain, from the handshake; empty when it leads to a root of then. */
  readonly chainError: string;
}

export interface Caller {
  /** `address:port` of the other end. */
  readonly address: string;
  /** Null: it showed none. */
  readonly certificate: PresentedCertificate | null;
  readonly tokens: readonly string[];
}

/** A token that is longer is not looked at. */
export const TOKEN_CHARACTERS_MAX = 16_384;

const BEARER = /^Bearer +([\w.~+/=-]+)$/i;

/** The bearer tokens of a call. More than one is as good as none: nobody knows which one counts. */
export function bearerTokens(metadata: Metadata): readonly string[] {
  const tokens: string[] = [];
  for (const value of metadata.get('authorization')) {
    const token = typeof value === 'string' ? BEARER.exec(value)?.[1] : undefined;
    if (token !== undefined) tokens.push(token);
  }
  return tokens;
}
