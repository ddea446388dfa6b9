// A compiled Listener: where to listen, what a connection goes through before its protocol is known
// (`arrival`), and the chains that can take it.
import type { ArrivalPlan } from './arrival/arrival-plan.ts';
import type { ListenerTally, TcpTally } from '../observe/proxy-tally.ts';
import type { TcpMetrics } from '../observe/tcp-metrics.ts';
import type { ClusterRef } from '../plan/cluster.ts';
import type { ConnectionGuard } from '../plan/connection-guard.ts';
import type { Step } from '../plan/plan.ts';
import type { DownstreamTls } from '../tls/downstream-tls.ts';
import type { ChainLimit } from './chain-limit.ts';
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
  /** hash_policy source_ip: balancers that hash go by the client's address. */
  readonly hashesSourceIp: boolean;
  /** How long a connection may last; 0 is no limit (max_downstream_connection_duration). */
  readonly durationMaxMs: number;
  /** A line of the access log when the upstream is connected, and one each interval; 0 is none. */
  readonly logsConnected: boolean;
  readonly logIntervalMs: number;
  /** The access log of a TCP connection. */
  readonly onEnd: readonly Step[];
}

export type FilterChain =
  | (ChainFrame & { readonly kind: 'http'; readonly manager: HttpManager })
  | (ChainFrame & { readonly kind: 'tcp'; readonly proxy: TcpProxy });

interface ChainFrame {
  readonly name: string;
  /** Equal for two versions whose connections may stay as they are. */
  readonly fingerprint: string;
  /** Null: plaintext. */
  readonly transport: DownstreamTls | null;
  /** Null: as many connections as the listener has. */
  readonly limit: ChainLimit | null;
  /** What a connection must pass once its handshake is over. */
  readonly guards: readonly ConnectionGuard[];
}

export interface ListenerConfig {
  readonly name: string;
  readonly tally: ListenerTally;
  /** Equal for two versions whose connections may stay, if their chains' are equal too: all but name, address and chains. */
  readonly fingerprint: string;
  /** IP address; or, with port 0, the path of a Unix socket (`@name`: an abstract one). */
  readonly address: string;
  readonly port: number;
  /** False: it never listens, and takes what other listeners hand over (Listener.bind_to_port). */
  readonly bindsToPort: boolean;
  /** Hands connections to the listener of their original destination (Listener.use_original_dst). */
  readonly handsOff: boolean;
  readonly isInbound: boolean;
  /** Soft limit of bytes buffered per connection and direction; 1 MiB by default. */
  readonly bufferBytesMax: number;
  /** Connections at once; 0 is no limit. */
  readonly connectionsMax: number;
  /** Null: every connection goes to the first chain at once. */
  readonly arrival: ArrivalPlan<FilterChain> | null;
  /** Every chain, that for all others last. */
  readonly chains: readonly FilterChain[];
}
