// Everything that the admin server needs to know of, or may ask of, the proxy it belongs to.
// sidecar/proxy.ts implements it; the endpoints read nothing else. The answers are taken at the
// moment of the request and are never kept.
import type { SecretStatus } from '../secrets.ts';
import type { ContextCertificates } from './certs.ts';
import type { Log } from '../../base/log.ts';
import type { Exposition } from '../../observe/exposition.ts';
import type { Cluster } from '../../plan/cluster.ts';
import type { Plan } from '../../plan/plan.ts';
import type { ConfiguredHealth } from '../../resilience/cluster-settings.ts';
import type { Bootstrap } from '../../xds/gen/envoy/config/bootstrap/v3/bootstrap_pb.js';
import type { Cluster as ClusterProto } from '../../xds/gen/envoy/config/cluster/v3/cluster_pb.js';
import type { ClusterLoadAssignment } from '../../xds/gen/envoy/config/endpoint/v3/endpoint_pb.js';
import type { Listener as ListenerProto } from '../../xds/gen/envoy/config/listener/v3/listener_pb.js';
import type { RouteConfiguration } from '../../xds/gen/envoy/config/route/v3/route_pb.js';

/** Envoy's ServerInfo.State. LIVE is ready; DRAINING after healthcheck/fail or a drain. */
export type ProxyState = 'LIVE' | 'DRAINING' | 'PRE_INITIALIZING' | 'INITIALIZING';

/** A resource as it was received, and where it came from. */
export interface Configured<Message> {
  readonly message: Message;
  readonly origin: 'static' | 'dynamic';
  /** The version of the xDS response; empty for static resources. */
  readonly version: string;
  /** Milliseconds since the Unix epoch. */
  readonly updatedMs: number;
}

/** A newer version of a resource that was refused; the last good one stays in force. */
export interface RefusedResource {
  readonly kind: 'cluster' | 'listener' | 'route' | 'endpoint';
  readonly name: string;
  readonly version: string;
  /** Problems, one a line. */
  readonly details: string;
  readonly attemptedMs: number;
}

export interface ListenerStatus {
  readonly config: Configured<ListenerProto>;
  /** The address really bound, with the port that the kernel chose; a Unix path when the port is 0. */
  readonly address: string;
  readonly port: number;
}

export interface ClusterStatus {
  readonly config: Configured<ClusterProto>;
  readonly cluster: Cluster;
  /** The newest EDS answer; null for other types, or before it came. */
  readonly assignment: Configured<ClusterLoadAssignment> | null;
  /** Health as configured, of an endpoint of `cluster` (LiveCluster.healthOf). */
  readonly healthOf: (endpoint: Cluster['endpoints'][number]) => ConfiguredHealth;
  /** True of one that discovery has dropped and whose checks still pass. */
  readonly isLingering: (endpoint: Cluster['endpoints'][number]) => boolean;
  /** With workers: what any of them says. */
  readonly outlierOf: (endpoint: Cluster['endpoints'][number]) => OutlierStatus;
}

/** What outlier detection says of an endpoint. */
export interface OutlierStatus {
  readonly isEjected: boolean;
  /** Percent in the last interval; -1 unknown. */
  readonly successRate: number;
  readonly localSuccessRate: number;
}

export interface PlanStatus {
  /** The RouteConfiguration that the plan belongs to. */
  readonly table: string;
  readonly plan: Plan;
}

export interface ServerIdentity {
  /** Ours, for example `0.1.0`. */
  readonly version: string;
  readonly nodeId: string;
  readonly nodeCluster: string;
  readonly startedMs: number;
  /** The command line as given, for people. */
  readonly commandLine: Readonly<Record<string, string | number | boolean>>;
}

/** A request as `/explain` is told of it. */
export interface ExplainedRequest {
  readonly host: string;
  readonly path: string;
  readonly method: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** Null: every listener. */
  readonly listener: string | null;
}

export interface AdminSource {
  readonly log: Log;
  readonly identity: ServerIdentity;
  state(): ProxyState;
  /** What readiness depends on beside the state, a sentence each: the identity, and until when it holds. */
  readonly notices?: () => readonly string[];
  /** Brings numbers up to date that other threads count; awaited before each answer. */
  readonly refresh?: () => Promise<void>;
  bootstrap(): Configured<Bootstrap>;
  /** The version of the newest CDS and LDS responses, empty before the first. */
  versions(): { readonly clusters: string; readonly listeners: string };
  /** In configuration order. */
  listeners(): readonly ListenerStatus[];
  clusters(): readonly ClusterStatus[];
  routes(): readonly Configured<RouteConfiguration>[];
  /** Of every TLS context that is configured. */
  certificates(): readonly ContextCertificates[];
  /** Named secrets, those of the bootstrap first. */
  secrets(): readonly SecretStatus[];
  refused(): readonly RefusedResource[];
  plans(): readonly PlanStatus[];
  /** What the request would meet, as text; null when HTTP/1.1 cannot carry it, empty without such a listener. */
  explain(request: ExplainedRequest): string | null;
  /** Every metric, in the format that the scraper's `accept` header prefers. */
  prometheus(accept: string): Exposition;
  /** Envoy-shaped counters and gauges: dotted names with their values. */
  stats(): ReadonlyMap<string, number>;
  /** POST /healthcheck/fail and /ok: readiness answers 503 while failed; traffic goes on. */
  setHealthcheckFailed(isFailed: boolean): void;
  /** POST /drain_listeners: graceful answers keep flowing with `connection: close` until the drain time is over. */
  drainListeners(options: { readonly isGraceful: boolean; readonly inboundOnly: boolean }): void;
  /** POST /quitquitquit: called after the answer went out. */
  quit(): void;
}
