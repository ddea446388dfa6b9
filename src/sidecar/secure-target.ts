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
  { serverName, client }: PoolOrigin,
): SecureTarget | null {
  const transport = books.clusters.get(cluster)?.value.transport?.current ?? null;
  if (transport === null) return null;
  const { tls, proxyVersion } = transport.of(endpoint);
  if (tls === null && proxyVersion === null) return null;
  const { names } = transport;
  const isName = isIP(serverName) === 0;
  const sni = names.sni && isName ? serverName : '';
  return { tls, serverName: sni, expectedName: names.san ? serverName : '', proxyVersion, client };
}
