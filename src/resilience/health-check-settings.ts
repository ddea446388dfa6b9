// What is left of an Envoy HealthCheck after compilation: plain, frozen values with every default filled in.
// The checker runs on them; the sidecar makes the probe that `probe` describes. Times are milliseconds.
import type { Format } from '../plan/format.ts';
import type { StringPredicate } from '../plan/string-match.ts';

export interface HealthCheckSettings {
  /** HealthCheck.name; empty for the only check of a cluster. */
  readonly name: string;
  readonly timeoutMs: number;
  readonly intervalMs: number;
  /** The first check comes at a random time within this; 0 at once. */
  readonly initialJitterMs: number;
  /** At most added to each wait: so long, and so many percent of the wait. */
  readonly intervalJitterMs: number;
  readonly intervalJitterPercent: number;
  readonly unhealthyThreshold: number;
  readonly healthyThreshold: number;
  /** Instead of the endpoint's own port; 0 for that. */
  readonly port: number;
  readonly reusesConnection: boolean;
  /** While no request has ever been sent to the cluster: for endpoints that fail, and for those that pass. */
  readonly noTrafficIntervalMs: number;
  readonly noTrafficHealthyIntervalMs: number;
  readonly unhealthyIntervalMs: number;
  /** While the next results decide whether an endpoint goes, or comes back. */
  readonly unhealthyEdgeIntervalMs: number;
  readonly healthyEdgeIntervalMs: number;
  readonly probe: ProbeSettings;
  /** Files that get one JSON line for each event. */
  readonly eventPaths: readonly string[];
  readonly logsEveryFailure: boolean;
  readonly logsEverySuccess: boolean;
  /** Instead of what the cluster's TLS offers; empty for that. */
  readonly alpnProtocols: readonly string[];
  /** Instead of the endpoint's metadata, by which transport sockets are chosen; null for that. */
  readonly transportMatch: ReadonlyMap<string, string> | null;
  /** Equal for two versions that check alike. */
  readonly fingerprint: string;
}

export type ProbeSettings = HttpProbeSettings | TcpProbeSettings;

export interface HttpProbeSettings {
  readonly kind: 'http';
  /** The Host of the request; empty: the name of the cluster. An endpoint's own hostname comes first. */
  readonly host: string;
  readonly path: string;
  readonly method: ProbeMethod;
  /** The request's body; null for none. */
  readonly send: Buffer | null;
  /** Blocks that must be in the body, in this order. */
  readonly receive: readonly Buffer[];
  /** How much of the body is looked at; 0 is all of it. */
  readonly bodyBytesMax: number;
  readonly headersToAdd: readonly ProbeHeader[];
  /** In lower case. */
  readonly headersToRemove: readonly string[];
  readonly expected: readonly StatusRange[];
  readonly retriable: readonly StatusRange[];
  /** What `x-envoy-upstream-healthchecked-cluster` of the response must be; null: anything. */
  readonly serviceName: StringPredicate | null;
}

export interface TcpProbeSettings {
  readonly kind: 'tcp';
  readonly send: Buffer | null;
  readonly receive: readonly Buffer[];
  /** Of the PROXY header before everything else; null: as the cluster's connections have it. */
  readonly proxyVersion: 1 | 2 | null;
}

export type ProbeMethod = 'GET' | 'HEAD' | 'POST' | 'PUT' | 'DELETE' | 'OPTIONS' | 'TRACE' | 'PATCH';

export interface ProbeHeader {
  readonly name: string;
  readonly value: Format;
  readonly action: 'append' | 'add-if-absent' | 'overwrite' | 'overwrite-if-exists';
  readonly keepsEmpty: boolean;
}

/** From `start` up to, and without, `end`. */
export interface StatusRange {
  readonly start: number;
  readonly end: number;
}

/** LbEndpoint.endpoint.health_check_config: where and how one endpoint is checked. */
export interface CheckPlace {
  /** True: it is never checked, and taken for healthy. */
  readonly isDisabled: boolean;
  /** Empty: the endpoint's own address. */
  readonly address: string;
  /** 0: the endpoint's own port, or that of the check. */
  readonly port: number;
  /** The Host of HTTP checks; empty: as the check says. */
  readonly hostname: string;
}

export const SAME_PLACE: CheckPlace = Object.freeze({ isDisabled: false, address: '', port: 0, hostname: '' });
