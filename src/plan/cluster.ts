// @hot
// What a Plan knows of clusters: a ClusterRef is the stable name that routes hold; the sidecar puts
// the live Cluster behind it and swaps it when CDS says so. A Picker is the momentary state of a
// balancer and is replaced, never changed, when the endpoints change.
import type { ClusterId } from '../base/brand.ts';
import type { Exchange } from './exchange.ts';
import type { RetryTally } from './retry-tally.ts';

export interface Locality {
  readonly region: string;
  readonly zone: string;
  readonly subZone: string;
}

/** One instance behind a cluster. Lives as long as its address stays in the cluster. */
export class Endpoint {
  /** An IP address, or a path when `port` is 0 (a Unix socket). */
  readonly address: string;
  readonly port: number;
  /** The name the address was resolved from, or the endpoint's own hostname; empty when it has none. */
  hostname: string;
  /** `address:port` as it stands in logs. */
  readonly authority: string;
  locality: Locality;
  priority: number;
  /** Flat string metadata of the endpoint (`outrigger` / `istio` namespaces), for metrics and subsets. */
  metadata: ReadonlyMap<string, string>;
  /** Metadata that transport sockets are chosen by, as JSON text. */
  transportMatch: ReadonlyMap<string, string>;
  /** At least 1. */
  weight: number;
  /** The IP that connections are dialled from; empty: the kernel's choice (Cluster.upstream_bind_config). */
  sourceAddress = '';
  /** Why it gets no traffic: bits of UNFIT. 0: it is fit. Only `LiveCluster.setUnfit` writes it. */
  unfit = 0;
  /** An active health check, or a response, says that it is degraded: used when too few others are healthy. */
  isDegraded = false;
  /** Requests in flight. */
  active = 0;
  /** Told of each attempt; EMPTY_WATCHES when nobody asks. Replaced, never changed. */
  watches: readonly EndpointWatch[] = EMPTY_WATCHES;
  /** When it began to take traffic (again), on the clock's now(), for slow start; 0 when it always did. */
  warmSinceMs = 0;
  /** When it last came back from an ejection, on the clock's now(); 0: never. */
  returnedMs = 0;
  /** Counters since the endpoint was added. */
  requestsTotal = 0;
  failuresTotal = 0;
  connectionsTotal = 0;
  connectFailuresTotal = 0;
  connectionsActive = 0;

  get isHealthy(): boolean {
    return this.unfit === 0;
  }

  constructor(init: EndpointInit) {
    this.address = init.address;
    this.port = init.port;
    this.hostname = init.hostname;
    this.authority = init.port === 0 ? init.address : formatAddress(init.address, init.port);
    this.locality = init.locality;
    this.priority = init.priority;
    this.metadata = init.metadata;
    this.transportMatch = init.transportMatch ?? NO_MATCH;
    this.weight = init.weight;
  }
}

/** Reasons for which an endpoint gets no traffic (Endpoint.unfit). */
export const UNFIT = {
  /** Outlier detection has ejected it. */
  EJECTED: 1,
  /** Active health checks found it unhealthy. */
  FAILED_CHECK: 2,
  /** It said `x-envoy-immediate-health-check-fail`. */
  EXCLUDED: 4,
  /** Its first health check is not over (ignore_new_hosts_until_first_hc and the like). */
  UNCHECKED: 8,
  /** Beside FAILED_CHECK: the last check had no answer in time. */
  CHECK_TIMED_OUT: 16,
} as const;

/**
 * How one attempt ended, as its endpoint is judged by it: the status of the response (100 to 999), or one of these
 * when there was none.
 */
export const OUTCOME = {
  /** Says nothing of the endpoint: the client left, or another attempt was faster. */
  NONE: 0,
  CONNECT_FAILED: -1,
  CONNECT_TIMEOUT: -2,
  /** The route's timeout or the attempt's own. */
  TIMEOUT: -3,
  /** The connection ended before or in the response, or what came was no HTTP. */
  RESET: -4,
} as const;

/** Who learns from the attempts on an endpoint: outlier detection, a latency average. Called on the request path. */
export interface EndpointWatch {
  /** Once per attempt, at its end. `outcome`: see OUTCOME. `latencyMs`: from sending to the response's head; -1 without one. For TCP a connection that was made is a 200. */
  onOutcome(endpoint: Endpoint, outcome: number, latencyMs: number, x: Exchange | null): void;
}

export const EMPTY_WATCHES: readonly EndpointWatch[] = Object.freeze([]);

export interface EndpointInit {
  readonly address: string;
  readonly port: number;
  readonly hostname: string;
  readonly locality: Locality;
  readonly priority: number;
  readonly metadata: ReadonlyMap<string, string>;
  /** Empty when absent. */
  readonly transportMatch?: ReadonlyMap<string, string>;
  readonly weight: number;
}

const NO_MATCH: ReadonlyMap<string, string> = new Map();

// config time
export function formatAddress(address: string, port: number): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

/** Something of which so many may be in use at a time. */
export interface Gate {
  /** False when all are in use; then nothing was taken. */
  acquire(): boolean;
  /** Takes one whatever is in use: of what nobody can do without. */
  take(): void;
  release(): void;
  /** In use now, in all threads; 0 as well when this thread has used none yet. */
  readonly used: number;
  /** How many there may be now. */
  readonly max: number;
}

/** What became of the limits of a cluster, under Envoy's names where it has them; counted, never reset. */
export class LimitTally {
  /** upstream_cx_overflow: connections that were refused (or opened all the same, as an endpoint's first). */
  connectionOverflow = 0;
  /** upstream_cx_pool_overflow. */
  poolOverflow = 0;
  /** upstream_rq_pending_total, upstream_rq_pending_active. */
  pendingTotal = 0;
  pendingActive = 0;
  /** upstream_rq_pending_overflow: too many waited. */
  pendingOverflow = 0;
  /** upstream_rq_active_overflow: too many were served. */
  requestOverflow = 0;
  /** upstream_rq_retry_overflow: retries that the budget refused. */
  retryOverflow = 0;
  /** upstream_cx_max_requests, upstream_cx_max_duration_reached, upstream_cx_idle_timeout. */
  requestMaxima = 0;
  ageMaxima = 0;
  idleTimeouts = 0;
}

/** The limits of one priority of a cluster (CircuitBreakers.Thresholds). They hold for the process, all threads together. */
export interface PriorityLimits {
  readonly connections: Gate;
  /** Requests that wait for a connection. */
  readonly pending: Gate;
  readonly requests: Gate;
  /** Retries under way: a number (max_retries), or a share of the active and pending requests (retry_budget). */
  readonly retries: Gate;
  /** Connection pools: one for each endpoint, and more where requests do not share connections. */
  readonly pools: Gate;
  /** True: a retry that the budget refuses answers 503 (XBackendTrafficPolicy); else the original response stands. */
  readonly refusesOverBudget: boolean;
  /** True: statistics tell how much of each is left. */
  readonly tracksRemaining: boolean;
  /** Connections to one endpoint (per_host_thresholds); null when they are not limited. Per connection. */
  readonly endpointGate: ((endpoint: Endpoint) => Gate) | null;
}

export interface ClusterLimits {
  readonly default: PriorityLimits;
  readonly high: PriorityLimits;
  readonly tally: LimitTally;
}

/** The limits that hold for requests of this priority; null: none are counted. */
export function limitsOf(cluster: Cluster, isHigh: boolean): PriorityLimits | null {
  const { limits } = cluster;
  if (limits === null || limits === undefined) return null;
  return isHigh ? limits.high : limits.default;
}

export interface Picker {
  /** An endpoint for this exchange, or null when none is healthy. `x` is null for what has no client. */
  pick(x: Exchange | null): Endpoint | null;
  /** True when it goes by the request's hash. */
  readonly usesHash?: boolean;
}

/** One priority of a cluster, as the sharing of traffic sees it. */
export interface PriorityHealth {
  /** 0 to 100: the overprovisioned share of healthy endpoints, and of degraded ones. */
  readonly health: number;
  readonly degraded: number;
  /** All of its endpoints. */
  readonly size: number;
  /** Of those that count, how many are healthy or degraded, in percent: compared with the panic threshold. */
  readonly fitPercent: number;
}

/** The members of an aggregate cluster. */
export interface Aggregate {
  readonly members: readonly ClusterRef[];
  readonly fallbacksTotal: number;
  /** The index of the member whose turn it is, or -1 when none exists. */
  choose(): number;
}

/** Whom a connection to an endpoint is for. */
export interface PoolScope {
  /** Requests for one host (auto_sni, auto_san_validation). */
  readonly host: boolean;
  /** Requests of one downstream connection, whose addresses the PROXY protocol told. */
  readonly client: boolean;
}

/** What the driver needs to know of a live cluster. */
export interface Cluster {
  readonly name: ClusterId;
  /** Connect timeout in milliseconds; 5000 by default (Envoy Cluster.connect_timeout). */
  readonly connectTimeoutMs: number;
  /** An idle pooled connection is closed after this; 0 never (HttpProtocolOptions.idle_timeout, 1 h by default). */
  readonly idleTimeoutMs: number;
  /** A connection is closed after that many requests; 0 is unlimited. */
  readonly maxRequestsPerConnection: number;
  /** A connection that is older takes no further request; 0 or absent is unlimited. */
  readonly maxConnectionDurationMs?: number;
  /** What the requests of a connection have in common; null or absent: nothing, any request may use it. */
  readonly poolScope?: PoolScope | null;
  readonly picker: Picker;
  /** Circuit breakers; null or absent: no limit is configured and none is counted. */
  readonly limits?: ClusterLimits | null;
  /** Of an aggregate, which has no endpoints of its own; null or absent for others. */
  readonly aggregate?: Aggregate | null;
  /** In their order; the same list until something changes. Absent: unknown. */
  readonly priorities?: readonly PriorityHealth[];
  /** The endpoint at `address:port` while a session may have it, else null; absent: it never may. */
  readonly sessionEndpoint?: (authority: string) => Endpoint | null;
  /** The share of requests that are turned away at once, 0 to 1; absent: none. */
  readonly dropShare?: number;
  /** What became of retries; absent: nobody counts. */
  readonly retryTally?: RetryTally;
  /** Every endpoint, in configuration order. */
  readonly endpoints: readonly Endpoint[];
  /** String metadata of the cluster (service name, namespace), for metrics. */
  readonly metadata: ReadonlyMap<string, string>;
  /** False until the first endpoints are known. */
  readonly isWarm: boolean;
}

export class ClusterRef {
  readonly name: ClusterId;
  /** Null while no such cluster is configured: a request that is sent here gets NC. */
  cluster: Cluster | null = null;

  constructor(name: ClusterId) {
    this.name = name;
  }
}
