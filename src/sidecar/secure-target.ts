// Finds what comes first on a connection to an endpoint, PROXY header and TLS context: that of the cluster's newest
// settings. It is asked once per connection, so a new configuration holds for every connection opened after it.
import { isIP } from 'node:net';
import type { Endpoint } from '../plan/cluster.ts';
import type { SecureTarget } from './dial-secure.ts';
import type { Books } from './books.ts';
import type { PoolOrigin } from './pool-origin.ts';

/** Null: plaintext without a header. */
export function secureTargetOf(
  books: Books,
  cluster: string,
  endpoint: Endpoint,
  { serverName, client, isOpaque = false }: PoolOrigin,
): SecureTarget | null {
  const transport = books.clusters.get(cluster)?.value.transport?.current ?? null;
  if (transport === null) return null;
  const { tls, proxyVersion } = transport.of(endpoint);
  if (tls === null && proxyVersion === null) return null;
  const { names } = transport;
  const isName = isIP(serverName) === 0;
  const sni = names.sni && isName ? serverName : '';
  const protocols = tls === null ? [] : protocolsFor(tls.init.settings.protocols, isOpaque);
  return { tls, serverName: sni, expectedName: names.san ? serverName : '', proxyVersion, client, protocols };
}

/** Of HTTP inside a mesh's TLS; `istio` alone is any bytes. */
const MESH_HTTP = 'istio-http/';

/**
 * A port of which nobody said what it speaks has a cluster that offers both (control/translate/mesh-tls.ts): what is
 * known to be HTTP by now offers that, all else the other. Empty: as configured.
 */
function protocolsFor(configured: readonly string[], isOpaque: boolean): readonly string[] {
  const fitting = configured.filter((name) => name.startsWith(MESH_HTTP) !== isOpaque);
  const isMixed = configured.some((name) => name.startsWith(MESH_HTTP)) && fitting.length < configured.length;
  return isMixed ? fitting : [];
}
