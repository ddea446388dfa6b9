// Finds the TLS context of a connection to an endpoint: that of the cluster's newest settings. It is asked once
// per connection, so a new configuration holds for every connection that is opened after it.
import { isIP } from 'node:net';
import type { Endpoint } from '../plan/cluster.ts';
import type { SecureTarget } from './dial-secure.ts';
import type { Books } from './books.ts';

export interface Wanted {
  readonly endpoint: Endpoint;
  /** The host that the connection is for; empty: any. */
  readonly serverName: string;
}

/** Null: plaintext. */
export function secureTargetOf(books: Books, cluster: string, { endpoint, serverName }: Wanted): SecureTarget | null {
  const transport = books.clusters.get(cluster)?.value.transport ?? null;
  const tls = transport?.of(endpoint) ?? null;
  if (transport === null || tls === null) return null;
  const { names } = transport;
  const isName = isIP(serverName) === 0;
  return { tls, serverName: names.sni && isName ? serverName : '', expectedName: names.san ? serverName : '' };
}
