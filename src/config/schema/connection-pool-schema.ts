// Limits and times of the connections to a host: `connectionPool` of traffic policies, of Sidecar and of MeshConfig.
// Reader: config/connection-pool.ts. 0 is as good as nothing.
import { choice, duration, flag, integer, object, open } from './field-schema.ts';
import type { FieldSchema } from './field-schema.ts';

const COUNT = { min: 0, max: 2_147_483_647 };

export function connectionPool(description: string): FieldSchema {
  return object(description, {
    tcp: object('Connections, whatever they carry.', {
      maxConnections: integer('At a time, to all instances together.', COUNT),
      connectTimeout: duration('How long one may take to be made; 10s by default.', 'positive'),
      maxConnectionDuration: duration('How long one may live.', 'positive'),
      idleTimeout: duration('How long one may carry nothing; 0s is for ever.'),
      tcpKeepalive: object('Probes of the system on connections that are idle.', {
        probes: integer('How many are not answered before the connection is given up.', COUNT),
        time: duration('How long it is idle before the first.'),
        interval: duration('Between two.'),
      }),
    }),
    http: object('HTTP requests.', {
      http1MaxPendingRequests: integer('Requests that wait for a connection.', COUNT),
      http2MaxRequests: integer('Requests at a time.', COUNT),
      maxRequestsPerConnection: integer('After so many a connection is closed; 1 is no keep-alive.', COUNT),
      maxRetries: integer('Retries at a time.', COUNT),
      idleTimeout: duration('How long a pooled connection may be without requests; 1h by default, 0s is for ever.'),
      h2UpgradePolicy: choice('Whether HTTP/1.1 is sent on as HTTP/2.', ['DEFAULT', 'DO_NOT_UPGRADE', 'UPGRADE']),
      useClientProtocol: flag('The version of HTTP that the caller spoke is kept.'),
      http2KeepAlive: open('Probes on HTTP/2 connections that are idle. Not supported yet, and of no effect.'),
      maxConcurrentStreams: integer('Streams at a time of one HTTP/2 connection.', COUNT),
    }),
  });
}
