// What is counted per handshake under Envoy's names: `listener.ADDRESS.ssl.*` and `cluster.NAME.ssl.*`.
import type { KeyPair } from './key-pair.ts';
import type { Slot } from './slot.ts';
import type { Trust } from './trust.ts';

/** Envoy's names of what has no name of its own: the hash of nothing. */
const UNNAMED = 'unnamed_cert_e3b0c442';
const UNNAMED_AUTHORITY = 'unnamed_ca_cert_e3b0c442';

export class TlsTally {
  /** By name: what the contexts made last take their secrets from. Their ends are told, not their contents. */
  readonly slots: Map<string, Slot<KeyPair> | Slot<Trust>> = new Map();
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

  /** A context was made of these. */
  use(certificates: readonly Slot<KeyPair>[], trust: Slot<Trust> | null): void {
    this.isUsed = true;
    for (const slot of certificates) this.slots.set(slot.name || UNNAMED, slot);
    if (trust !== null) this.slots.set(trust.name || UNNAMED_AUTHORITY, trust);
  }

  /** When each of its certificates ends: the first of a chain or bundle, in milliseconds since the Unix epoch. */
  *expirations(): Iterable<readonly [name: string, notAfterMs: number]> {
    for (const [name, { value }] of this.slots) {
      const certificates = value === null ? [] : 'leaf' in value ? [value.leaf] : value.authorities;
      if (certificates.length > 0) yield [name, Math.min(...certificates.map(({ notAfterMs }) => notAfterMs))];
    }
  }
}
