// Whom pooled connections are for, where a cluster does not let just any request use them: one host (auto_sni,
// auto_san_validation), or one downstream connection whose addresses the PROXY protocol told the upstream.
import type { PoolScope } from '../plan/cluster.ts';
import type { Connection, Exchange } from '../plan/exchange.ts';

export interface PoolOrigin {
  /** The host of the requests, in lower case; empty: any. */
  readonly serverName: string;
  /** The downstream connection; null: any, or none at all. */
  readonly client: Connection | null;
}

export const ANYBODY: PoolOrigin = { serverName: '', client: null };

export function originOf(scope: PoolScope, x: Exchange): PoolOrigin {
  return {
    serverName: scope.host ? x.request.hostname().toLowerCase() : '',
    client: scope.client ? x.connection : null,
  };
}

/** Equal for origins that share connections. Clients share them by their addresses, which is what upstreams see. */
export function originKey({ serverName, client }: PoolOrigin): string {
  if (client === null) return serverName;
  const { remoteAddress, remotePort, localAddress, localPort } = client;
  return `${serverName} ${remoteAddress} ${remotePort} ${localAddress} ${localPort}`;
}
