// What is counted per handshake under Envoy's names: `listener.ADDRESS.ssl.*` and `cluster.NAME.ssl.*`.

export class TlsTally {
  /** True once a TLS context counts here: others have no statistics of TLS. */
  isUsed = false;
  handshakes = 0;
  connectionErrors = 0;
  sessionsReused = 0;
  /** Handshakes of peers that showed no certificate. */
  withoutCertificate = 0;
  failNoCertificate = 0;
  failError = 0;
  failNames = 0;
  failHash = 0;
  /** Connections that came before the secrets did. */
  secretsNotReady = 0;
  /** New versions of secrets that were put in force. */
  contextUpdates = 0;
  /** New versions that no context could be made of: the one before stayed in force. */
  contextFailures = 0;
  readonly versions = new Map<string, number>();
  readonly ciphers = new Map<string, number>();

  countSession(version: string, cipher: string, isReused: boolean): void {
    this.handshakes++;
    if (isReused) this.sessionsReused++;
    this.versions.set(version, (this.versions.get(version) ?? 0) + 1);
    this.ciphers.set(cipher, (this.ciphers.get(cipher) ?? 0) + 1);
  }
}
