// The settings of external authorization as they run, compiled by ext-authz-compile.ts.
import type { Clock } from '../base/clock.ts';
import type { Exchange } from '../plan/exchange.ts';
import type { FilterTally } from '../plan/filter-tally.ts';
import type { Format } from '../plan/format.ts';
import type { RemoteCalls } from '../plan/remote-call.ts';
import type { MutationRules } from './mutation-rules.ts';
import type { PendingResponses } from './pending-response.ts';

/** Of a header name in lower case. */
export type NamePredicate = (name: string) => boolean;

export interface AuthzHttpService {
  readonly kind: 'http';
  readonly cluster: string;
  readonly timeoutMs: number;
  readonly pathPrefix: string;
  /** Over the fields of the request. */
  readonly headersToAdd: readonly { readonly name: string; readonly value: Format }[];
  /** Fields of the answer that go to the app when it allows the request. */
  readonly upstreamSet: NamePredicate;
  readonly upstreamAppend: NamePredicate;
  /** Fields of the answer that go to the client when it denies the request, and when it allows it. */
  readonly clientOnDeny: NamePredicate;
  readonly clientOnAllow: NamePredicate;
  readonly metadata: NamePredicate;
}

export interface AuthzGrpcService {
  readonly kind: 'grpc';
  readonly cluster: string;
  readonly timeoutMs: number;
  /** Undefined: the name of the cluster. */
  readonly authority: string | undefined;
  readonly initialMetadata: readonly { readonly name: string; readonly value: Format }[];
}

export interface AuthzBody {
  readonly bytesMax: number;
  readonly allowsPartial: boolean;
  readonly packsAsBytes: boolean;
}

/** What the filters of one name share, whatever a route says. */
export interface AuthzState {
  readonly tally: FilterTally;
  /** The statistics `cluster.NAME.ext_authz.*` of the cluster that the request is for. */
  readonly tallyOf: (cluster: string) => FilterTally;
  readonly remote: RemoteCalls;
  readonly clock: Clock;
  /** What is to be done to the responses of requests that were allowed. */
  readonly pending: PendingResponses;
  readonly toJSON: () => object;
}

export interface AuthzSettings {
  readonly state: AuthzState;
  readonly service: AuthzHttpService | AuthzGrpcService;
  /** Fields of the request that the service sees; null: all. */
  readonly allowed: NamePredicate | null;
  readonly disallowed: NamePredicate | null;
  readonly encodesRaw: boolean;
  /** Null: always. */
  readonly isEnabled: ((x: Exchange) => boolean) | null;
  readonly deniesWhenOff: boolean;
  readonly allowsOnFailure: boolean;
  readonly marksFailure: boolean;
  readonly statusOnError: number;
  /** A denial counts among the answers of the cluster that the request was for (`cluster.NAME.upstream_rq_4xx`). */
  readonly chargesCluster: boolean;
  /** The route is chosen again after a change of the request. */
  readonly clearsRoute: boolean;
  readonly validates: boolean;
  /** Null: everything may be changed. */
  readonly rules: MutationRules | null;
  readonly takesMetadata: boolean;
  readonly metadataNamespaces: readonly string[];
  readonly routeMetadataNamespaces: readonly string[];
  readonly includesCertificate: boolean;
  readonly includesTlsSession: boolean;
  readonly destinationLabels: Readonly<Record<string, string>>;
  readonly contextExtensions: Readonly<Record<string, string>>;
  /** Null: the service sees no body. */
  readonly body: AuthzBody | null;
}

/** The statistics `http.PREFIX.ext_authz.[STAT_PREFIX.]*`. */
export const AUTHZ_STATS = [
  { name: 'ok', kind: 'counter' },
  { name: 'denied', kind: 'counter' },
  { name: 'error', kind: 'counter' },
  { name: 'timeout', kind: 'counter' },
  { name: 'disabled', kind: 'counter' },
  { name: 'failure_mode_allowed', kind: 'counter' },
  { name: 'invalid', kind: 'counter' },
  { name: 'ignored_dynamic_metadata', kind: 'counter' },
] as const;

/** Places in AUTHZ_STATS. */
export const STAT = {
  OK: 0,
  DENIED: 1,
  ERROR: 2,
  TIMEOUT: 3,
  DISABLED: 4,
  FAILURE_ALLOWED: 5,
  INVALID: 6,
  IGNORED_METADATA: 7,
} as const;

/** The statistics `cluster.NAME.ext_authz.[STAT_PREFIX.]*`: of the cluster that requests go to, as in Envoy. */
export const AUTHZ_CLUSTER_STATS = [
  { name: 'ok', kind: 'counter' },
  { name: 'denied', kind: 'counter' },
  { name: 'error', kind: 'counter' },
  { name: 'failure_mode_allowed', kind: 'counter' },
  { name: 'invalid', kind: 'counter' },
] as const;

/** Places in AUTHZ_CLUSTER_STATS. */
export const CLUSTER_STAT = { OK: 0, DENIED: 1, ERROR: 2, FAILURE_ALLOWED: 3, INVALID: 4 } as const;
