// A compiled Listener: where to listen and what to do with a connection. Filter chain matching by
// port, SNI and source comes with the captured data plane; the place for it is `chains`.
import type { ListenerTally, TcpTally } from '../observe/proxy-tally.ts';
import type { TcpMetrics } from '../observe/tcp-metrics.ts';
import type { ClusterRef } from '../plan/cluster.ts';
import type { Step } from '../plan/plan.ts';
import type { DownstreamTls } from '../tls/downstream-tls.ts';
import type { HttpManager } from './http-manager.ts';

/** tcp_proxy: one cluster, or several with weights (`points` are cumulative shares in (0, 1]). */
export interface TcpProxy {
  readonly statPrefix: string;
  readonly tally: TcpTally;
  /** Istio's metrics: opened when the upstream is there, bytes as they flow, closed at the end. */
  readonly metrics: TcpMetrics;
  readonly clusters: readonly ClusterRef[];
  readonly points: readonly number[];
  /** 1 h by default; 0 is off. */
  readonly idleTimeoutMs: number;
  readonly maxConnectAttempts: number;
  /** The access log of a TCP connection. */
  readonly onEnd: readonly Step[];
}

export type FilterChain =
  | {
      readonly kind: 'http';
      readonly name: string;
      /** Null: plaintext. */
      readonly transport: DownstreamTls | null;
      readonly manager: HttpManager;
    }
  | { readonly kind: 'tcp'; readonly name: string; readonly transport: DownstreamTls | null; readonly proxy: TcpProxy };

export interface ListenerConfig {
  readonly name: string;
  readonly tally: ListenerTally;
  /** Equal for two versions whose connections may stay as they are: all of it but name, address and routes. */
  readonly fingerprint: string;
  /** IP address; or, with port 0, the path of a Unix socket (`@name`: an abstract one). */
  readonly address: string;
  readonly port: number;
  readonly isInbound: boolean;
  /** Soft limit of bytes buffered per connection and direction; 1 MiB by default. */
  readonly bufferBytesMax: number;
  readonly chains: readonly FilterChain[];
}
