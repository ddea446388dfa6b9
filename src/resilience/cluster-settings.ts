// What is left of an Envoy Cluster after compilation: plain, frozen values with every default filled
// in. LiveCluster runs on them; the admin server shows the `source` they came from.
import type { JsonObject } from '@bufbuild/protobuf';
import type { ClusterId } from '../base/brand.ts';
import type { ClusterLimits, Locality, PoolScope } from '../plan/cluster.ts';
import type { AssignmentPolicy } from './assignment-policy.ts';
import type { SubsetSettings } from './subset-settings.ts';
import type { ZoneAware } from './locality-build.ts';
import type { CheckPlace, HealthCheckSettings } from './health-check-settings.ts';
import type { PeakEwmaSettings } from './peak-ewma.ts';
import type { RingSettings } from './ring.ts';
import type { SlowStart } from './warming.ts';
import type { Cluster as ClusterProto } from '../xds/gen/envoy/config/cluster/v3/cluster_pb.js';
import type { OutlierSettings } from './outlier-settings.ts';

/** Health as a configuration or EDS states it (core.v3.HealthStatus). */
export type ConfiguredHealth = 'healthy' | 'degraded' | 'unhealthy' | 'draining' | 'timeout';

/** One LbEndpoint, checked. Its address is an IP or a Unix path, or a name to resolve in DNS clusters. */
export interface EndpointTarget {
  readonly address: string;
  /** 0 for a Unix path. */
  readonly port: number;
  /** LbEndpoint.endpoint.hostname; empty when there is none. */
  readonly hostname: string;
  /** At least 1. */
  readonly weight: number;
  readonly health: ConfiguredHealth;
  readonly locality: Locality;
  /** LocalityLbEndpoints.load_balancing_weight; 0 when there is none: no load under locality weighting. */
  readonly localityWeight: number;
  readonly priority: number;
  readonly metadata: ReadonlyMap<string, string>;
  /** All of it under `envoy.lb`, for subsets; absent: there is none. */
  readonly labels?: JsonObject | undefined;
  /** Metadata that transport sockets are chosen by, as JSON text. */
  readonly transportMatch: ReadonlyMap<string, string>;
  /** Where it is checked; absent or null: where it serves. */
  readonly check?: CheckPlace | null;
}

export type LookupFamily = 'auto' | 'v4-only' | 'v6-only' | 'v4-preferred' | 'all';

export interface DnsSettings {
  /** Delay between two lookups of a name; 5000 by default. */
  readonly refreshMs: number;
  /** Delays after a failed lookup, growing from the first to the second; both `refreshMs` by default. */
  readonly failureBaseMs: number;
  readonly failureMaxMs: number;
  readonly respectsTtl: boolean;
  readonly family: LookupFamily;
  /** `address:port` of DNS servers to ask instead of the system's; empty for the system's. */
  readonly servers: readonly string[];
}

export type Discovery =
  | { readonly kind: 'static'; readonly targets: readonly EndpointTarget[] }
  | { readonly kind: 'strict-dns'; readonly targets: readonly EndpointTarget[]; readonly dns: DnsSettings }
  | { readonly kind: 'logical-dns'; readonly target: EndpointTarget; readonly dns: DnsSettings }
  /** `serviceName` is the resource name to ask EDS for: the cluster's own name when none is given. */
  | { readonly kind: 'eds'; readonly serviceName: string }
  /** The endpoints of other clusters, in this order (envoy.clusters.aggregate). */
  | { readonly kind: 'aggregate'; readonly clusters: readonly string[] }
  /** Wherever each connection was going before the kernel's redirect. */
  | {
      readonly kind: 'original-dst';
      /** In lower case; empty: no header may name the destination. */
      readonly headerName: string;
      /** 0: the port of the destination. */
      readonly portOverride: number;
      /** How long a destination is remembered without a request; 5000 by default. */
      readonly cleanupMs: number;
    };

export type Balancing =
  /** `slowStart` absent or null: an endpoint gets its whole share at once. */
  | { readonly kind: 'round-robin'; readonly slowStart?: SlowStart | null }
  | {
      readonly kind: 'least-request';
      /** At least 2. */
      readonly choiceCount: number;
      /** At least 0; 1 by default. */
      readonly activeRequestBias: number;
      /** True: look at every endpoint instead of `choiceCount` random ones. */
      readonly scansAll: boolean;
      readonly slowStart?: SlowStart | null;
    }
  /** `slowStart`: after ejections only. */
  | { readonly kind: 'random'; readonly slowStart?: SlowStart | null }
  | ({ readonly kind: 'ring-hash' } & RingSettings & HashSettings)
  /** `tableSize` is a prime; 65537 by default. */
  | ({ readonly kind: 'maglev'; readonly tableSize: number } & HashSettings)
  | ({ readonly kind: 'peak-ewma' } & PeakEwmaSettings)
  | { readonly kind: 'pick-first' };

export interface HashSettings {
  /** True: an endpoint is hashed by its hostname instead of its address. */
  readonly usesHostname: boolean;
  /** hash_balance_factor: the share of the average that an endpoint may take, in percent, at least 100; 0: no bound. */
  readonly boundPercent: number;
}

export interface ClusterSettings {
  readonly name: ClusterId;
  /** Cluster.alt_stat_name, or the name. */
  readonly statName: string;
  readonly discovery: Discovery;
  readonly balancing: Balancing;
  /** True: a locality gets its weight's share, and its endpoints share that (locality_weighted_lb_config). */
  readonly weighsLocalities: boolean;
  /** Null or absent: the zone of an endpoint counts for nothing. */
  readonly zoneAware?: ZoneAware | null;
  /** Of the endpoints in the configuration; an EDS cluster's comes with its endpoints. The default when absent. */
  readonly assignmentPolicy?: AssignmentPolicy;
  /** Whole percent of healthy endpoints below which all are used, whatever their health; 50 by default, 0 never. */
  readonly panicThresholdPercent: number;
  /** Null or absent: the cluster has no subsets. */
  readonly subsets?: SubsetSettings | null;
  /** Healths that an endpoint may have for a session to keep it; absent: healthy and degraded. */
  readonly sessionHealths?: ReadonlySet<ConfiguredHealth>;
  /** 5000 by default. */
  readonly connectTimeoutMs: number;
  /** 3600000 by default; 0 never. */
  readonly idleTimeoutMs: number;
  /** 0 is unlimited. */
  readonly maxRequestsPerConnection: number;
  /** 0 is unlimited. */
  readonly maxConnectionDurationMs: number;
  /** Cluster.close_connections_on_host_health_failure. */
  readonly endsTcpOnFailure: boolean;
  /** Circuit breakers; the sidecar adds them, because they count for all of its threads. Absent or null: none. */
  readonly limits?: ClusterLimits | null;
  /** Circuit breaking per endpoint; null or absent: none. */
  readonly outlier?: OutlierSettings | null;
  /** What the upstream speaks; requests are sent as HTTP/1.1 until the HTTP/2 client is there. */
  readonly protocol: 'http1' | 'http2' | 'downstream' | 'auto';
  /** IPs to dial endpoints from, the first of an endpoint's family; empty: the kernel's choice. */
  readonly sourceAddresses: readonly string[];
  readonly metadata: ReadonlyMap<string, string>;
  readonly source: ClusterProto;
  /** Active checks, all of which an endpoint must pass; absent: none. */
  readonly healthChecks?: readonly HealthCheckSettings[];
  /** What the connections to the endpoints need before the cluster can be used; absent or null: nothing. */
  readonly transport?: Readiness | null;
}

/** What a cluster knows of the TLS towards its endpoints; the sidecar makes it. */
export interface Readiness {
  /** Equal for two versions whose connections may be used alike. */
  readonly fingerprint: string;
  /** Whom a connection is for; null: for anybody's requests. */
  readonly poolScope: PoolScope | null;
  readonly isReady: boolean;
  /** Called once, when it is ready: at once when it is. */
  onReady(callback: () => void): void;
}
