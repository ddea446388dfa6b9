// @hot
// What a Plan knows of clusters: a ClusterRef is the stable name that routes hold; the sidecar puts
// the live Cluster behind it and swaps it when CDS says so. A Picker is the momentary state of a
// balancer and is replaced, never changed, when the endpoints change.
import type { ClusterId } from '../base/brand.ts';
import type { Exchange } from './exchange.ts';

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
  isHealthy = true;
  /** Requests in flight. */
  active = 0;
  /** Counters since the endpoint was added. */
  requestsTotal = 0;
  failuresTotal = 0;
  connectionsTotal = 0;
  connectFailuresTotal = 0;
  connectionsActive = 0;

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

export interface Picker {
  /** An endpoint for this exchange, or null when none is healthy. `x` is null for what has no client. */
  pick(x: Exchange | null): Endpoint | null;
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
  /** What the requests of a connection have in common; null or absent: nothing, any request may use it. */
  readonly poolScope?: PoolScope | null;
  readonly picker: Picker;
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
