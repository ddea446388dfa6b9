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
      for (const [certificate, notAfterMs] of tally.expirations()) {
        stats.push({
          name: `${scope}.${name}.ssl.certificate.${certificate}.expiration_unix_time_seconds`,
          kind: 'gauge',
          value: Math.floor(notAfterMs / 1000),
          metric: `${scope}_ssl_certificate_expiration_unix_time_seconds`,
          labelNames: ['envoy_tls_certificate', LABELS[scope]],
          labels: [certificate, name],
        });
      }
    }
    if (stats.length > 0) stats.push(this.#days());
    return stats;
  }

  /** Whole days until the first of them ends; 0 once it has. */
  #days(): Stat {
    const ends = [...this.#tallies.values()].flatMap(({ tally }) => [...tally.expirations()].map(([, endMs]) => endMs));
    const days = ends.length === 0 ? NO_CERTIFICATE_DAYS : Math.floor((Math.min(...ends) - Date.now()) / DAY_MS);
    const name = 'server.days_until_first_cert_expiring';
    return { name, kind: 'gauge', value: Math.max(0, days), metric: DAYS_METRIC, labelNames: [], labels: [] };
  }
}

const DAY_MS = 86_400_000;
/** As Envoy says it. */
const NO_CERTIFICATE_DAYS = 4_294_967_295;
const DAYS_METRIC = 'server_days_until_first_cert_expiring';

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
