// What steps, logs and headers may know of a secure connection. The handshake fills it in (src/tls); a
// certificate is parsed when somebody asks for it first.

/** A certificate as people and policies name it. */
export interface CertificateFacts {
  /** RFC 2253: `CN=a,O=b`; empty when it has none. */
  readonly subject: string;
  readonly issuer: string;
  /** Lower-case hex. */
  readonly serial: string;
  readonly names: {
    readonly dns: readonly string[];
    readonly uri: readonly string[];
    readonly email: readonly string[];
    readonly ip: readonly string[];
  };
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  /** SHA-256 and SHA-1 of the certificate, lower-case hex. */
  readonly fingerprint256: string;
  readonly fingerprint1: string;
  /** PEM with line ends. */
  readonly pem: string;
}

export interface TlsFacts {
  /** SNI in lower case; empty when there was none. */
  readonly serverName: string;
  /** What ALPN chose; empty for nothing. */
  readonly protocol: string;
  /** `TLSv1.3` and the like. */
  readonly version: string;
  /** OpenSSL's name of the cipher suite. */
  readonly cipher: string;
  /** True when the peer's certificate was checked and held. */
  readonly isVerified: boolean;
  /** The first URI name of a verified peer; empty for every other. */
  readonly principal: string;
  /** The peer's certificate, verified or not; null when it showed none. */
  readonly certificate: CertificateFacts | null;
  /** PEM of the certificates that the peer sent, its own first; empty for none. */
  readonly chainPem: string;
  /** Our own, as it was shown; null when none was. */
  readonly ownCertificate: CertificateFacts | null;
}
