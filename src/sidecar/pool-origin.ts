// Whom pooled connections are for, where a cluster does not let just any request use them: one host (auto_sni,
// auto_san_validation), or one downstream connection whose addresses the PROXY protocol told the upstream.
import type { PoolScope } from '../plan/cluster.ts';
import type { Connection, Exchange } from '../plan/exchange.ts';

export interface PoolOrigin {
  /** The host of the requests, in lower case; empty: any. */
  readonly serverName: string;
  /** The downstream connection; null: any, or none at all. */
  readonly client: Connection | null;
  /** Requests of high priority, which have limits of their own. */
  readonly isHigh: boolean;
  /** Not HTTP: bytes as they come. Absent: HTTP. */
  readonly isOpaque?: boolean;
}

export const ANYBODY: PoolOrigin = { serverName: '', client: null, isHigh: false };
export const HIGH: PoolOrigin = { serverName: '', client: null, isHigh: true };

export function originOf(scope: PoolScope, x: Exchange): PoolOrigin {
  return {
    serverName: scope.host ? x.request.hostname().toLowerCase() : '',
    client: scope.client ? x.connection : null,
    isHigh: x.isHighPriority,
  };
}

/** Equal for origins that share connections. Clients share them by their addresses, which is what upstreams see. */
export function originKey({ serverName, client, isHigh }: PoolOrigin): string {
  const name = isHigh ? `${serverName} high` : serverName;
  if (client === null) return name;
  const { remoteAddress, remotePort, localAddress, localPort } = client;
  return `${name} ${remoteAddress} ${remotePort} ${localAddress} ${localPort}`;
}
