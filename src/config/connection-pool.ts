// The connectionPool section of a traffic policy: limits and times of the connections to a host, and how HTTP is spoken
// over them. 0 is as good as nothing, as in Istio (istio.networking.v1 ConnectionPoolSettings).
import type { Fields } from './fields.ts';
import { readPositiveMs } from './positive-duration.ts';

export interface ConnectionPool {
  readonly maxConnections: number | null;
  readonly connectTimeoutMs: number | null;
  readonly keepalive: {
    readonly probes: number | null;
    readonly timeMs: number | null;
    readonly intervalMs: number | null;
  } | null;
  readonly maxConnectionDurationMs: number | null;
  readonly maxPendingRequests: number | null;
  readonly maxRequests: number | null;
  readonly maxRequestsPerConnection: number | null;
  readonly maxRetries: number | null;
  /** Of a TCP connection through the sidecar; 0 is never. */
  readonly tcpIdleTimeoutMs: number | null;
  /** Of a pooled HTTP connection without requests; 0 is never. */
  readonly idleTimeoutMs: number | null;
  readonly h2Upgrade: 'DEFAULT' | 'DO_NOT_UPGRADE' | 'UPGRADE' | null;
  readonly usesClientProtocol: boolean;
  readonly maxConcurrentStreams: number | null;
}

export function readConnectionPool(fields: Fields): ConnectionPool {
  const count = { min: 0, max: 2_147_483_647 };
  const tcp = fields.object('tcp', (tcp) => {
    tcp.forEnvoyOnly('tcpKeepalive');
    return {
      maxConnections: tcp.integer('maxConnections', count),
      connectTimeoutMs: readPositiveMs(tcp, 'connectTimeout'),
      maxConnectionDurationMs: readPositiveMs(tcp, 'maxConnectionDuration'),
      tcpIdleTimeoutMs: tcp.durationMs('idleTimeout'),
      keepalive: tcp.object('tcpKeepalive', (alive) => ({
        probes: alive.integer('probes', count),
        timeMs: alive.durationMs('time'),
        intervalMs: alive.durationMs('interval'),
      })),
    };
  });
  const http = fields.object('http', (http) => {
    http.later('http2KeepAlive');
    return {
      maxPendingRequests: http.integer('http1MaxPendingRequests', count),
      maxRequests: http.integer('http2MaxRequests', count),
      maxRequestsPerConnection: http.integer('maxRequestsPerConnection', count),
      maxRetries: http.integer('maxRetries', count),
      idleTimeoutMs: http.durationMs('idleTimeout'),
      h2Upgrade: http.choice('h2UpgradePolicy', ['DEFAULT', 'DO_NOT_UPGRADE', 'UPGRADE']),
      usesClientProtocol: http.flag('useClientProtocol') ?? false,
      maxConcurrentStreams: http.integer('maxConcurrentStreams', count),
    };
  });
  return {
    maxConnections: tcp?.maxConnections ?? null,
    connectTimeoutMs: tcp?.connectTimeoutMs ?? null,
    keepalive: tcp?.keepalive ?? null,
    maxConnectionDurationMs: tcp?.maxConnectionDurationMs ?? null,
    maxPendingRequests: http?.maxPendingRequests ?? null,
    maxRequests: http?.maxRequests ?? null,
    maxRequestsPerConnection: http?.maxRequestsPerConnection ?? null,
    maxRetries: http?.maxRetries ?? null,
    tcpIdleTimeoutMs: tcp?.tcpIdleTimeoutMs ?? null,
    idleTimeoutMs: http?.idleTimeoutMs ?? null,
    h2Upgrade: http?.h2Upgrade ?? null,
    usesClientProtocol: http?.usesClientProtocol ?? false,
    maxConcurrentStreams: http?.maxConcurrentStreams ?? null,
  };
}
