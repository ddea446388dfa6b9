// The far end of one secure connection, as logs, headers and policies see it. What costs something to find
// out (parsing a certificate) is found out on first use and kept: most requests never look.
import type { X509Certificate } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import { certificateOf, type Certificate } from './certificate.ts';
import type { KeyPair } from './key-pair.ts';

const CHAIN_LENGTH_MAX = 100;

export class TlsPeer {
  /** SNI as the client sent it; empty when it sent none, or resumed a TLS 1.2 session. */
  readonly serverName: string;
  /** The protocol that ALPN chose; empty for none. */
  readonly protocol: string;
  /** `TLSv1.3` and the like. */
  readonly version: string;
  /** True when a chain, name or fingerprint of the peer's certificate was checked and held. */
  readonly isVerified: boolean;
  readonly isResumed: boolean;
  /** What we showed; null when nothing. */
  readonly ownCertificate: Certificate | null;
  readonly #socket: TLSSocket;
  #certificate: Certificate | null | undefined = undefined;
  #cipher: string | null = null;

  constructor(socket: TLSSocket, isVerified: boolean, own: KeyPair | null) {
    this.#socket = socket;
    this.isVerified = isVerified;
    this.ownCertificate = own === null ? null : own.leaf;
    // `servername` is false without one, which its type does not say.
    const { servername, alpnProtocol }: { servername?: unknown; alpnProtocol: string | false | null } = socket;
    this.serverName = typeof servername === 'string' ? servername.toLowerCase() : '';
    this.protocol = typeof alpnProtocol === 'string' ? alpnProtocol : '';
    this.version = socket.getProtocol() ?? '';
    this.isResumed = socket.isSessionReused();
  }

  /** The peer's certificate; null when it showed none. */
  get certificate(): Certificate | null {
    if (this.#certificate === undefined) {
      const x509 = this.#socket.getPeerX509Certificate();
      this.#certificate = x509 === undefined ? null : certificateOf(x509);
    }
    return this.#certificate;
  }

  get chainPem(): string {
    let pem = '';
    let next = this.certificate?.x509;
    for (let depth = 0; next !== undefined && depth < CHAIN_LENGTH_MAX; depth++) {
      pem += next.toString();
      const issuer: X509Certificate | undefined = next.issuerCertificate;
      next = issuer?.raw.equals(next.raw) === true ? undefined : issuer;
    }
    return pem;
  }

  /** OpenSSL's name of the cipher suite. */
  get cipher(): string {
    this.#cipher ??= this.#socket.getCipher().name;
    return this.#cipher;
  }

  /** The first URI name of a peer that was verified; empty for every other. */
  get principal(): string {
    return this.isVerified ? (this.certificate?.names.uri[0] ?? '') : '';
  }
}
