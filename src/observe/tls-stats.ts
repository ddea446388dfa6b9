// Envoy's statistics of TLS, per listener and per cluster: `listener.ADDRESS.ssl.handshake` and the like, with
// one counter for each version and cipher suite that was agreed on.
import { TlsTally } from '../tls/tls-tally.ts';
import type { Stat } from './proxy-stats.ts';

type Scope = 'listener' | 'cluster';

const LABELS: Readonly<Record<Scope, string>> = {
  listener: 'envoy_listener_address',
  cluster: 'envoy_cluster_name',
};

export class TlsTallies {
  readonly #tallies = new Map<string, { readonly scope: Scope; readonly name: string; readonly tally: TlsTally }>();

  /** Made on first use and kept across updates. */
  of(scope: Scope, name: string): TlsTally {
    const key = `${scope}.${name}`;
    const known = this.#tallies.get(key);
    if (known !== undefined) return known.tally;
    const tally = new TlsTally();
    this.#tallies.set(key, { scope, name, tally });
    return tally;
  }

  /** Of those that TLS is used on. */
  list(): Stat[] {
    const stats: Stat[] = [];
    for (const { scope, name, tally } of this.#tallies.values()) {
      if (!tally.isUsed) continue;
      for (const [leaf, value] of numbersOf(scope, tally)) {
        stats.push({
          name: `${scope}.${name}.${leaf}`,
          kind: 'counter',
          value,
          metric: `${scope}_${leaf.replaceAll(/[.-]/g, '_')}`,
          labelNames: [LABELS[scope]],
          labels: [name],
        });
      }
    }
    return stats;
  }
}

function numbersOf(scope: Scope, tally: TlsTally): readonly (readonly [string, number])[] {
  const side = scope === 'listener' ? 'server_ssl_socket_factory.downstream' : 'client_ssl_socket_factory.upstream';
  const socket = scope === 'listener' ? 'server_ssl_socket_factory' : 'client_ssl_socket_factory';
  return [
    ['ssl.handshake', tally.handshakes],
    ['ssl.connection_error', tally.connectionErrors],
    ['ssl.session_reused', tally.sessionsReused],
    ['ssl.no_certificate', tally.withoutCertificate],
    ['ssl.fail_verify_no_cert', tally.failNoCertificate],
    ['ssl.fail_verify_error', tally.failError],
    ['ssl.fail_verify_san', tally.failNames],
    ['ssl.fail_verify_cert_hash', tally.failHash],
    [`${socket}.ssl_context_update_by_sds`, tally.contextUpdates],
    [`${socket}.ssl_context_update_failed`, tally.contextFailures],
    [`${side}_context_secrets_not_ready`, tally.secretsNotReady],
    ...[...tally.versions].map(([version, count]) => [`ssl.versions.${version}`, count] as const),
    ...[...tally.ciphers].map(([cipher, count]) => [`ssl.ciphers.${cipher}`, count] as const),
  ];
}
