// The compiled HTTP connection manager of one filter chain: everything that the downstream codec and
// the driver need, resolved at config time. sidecar/compile.ts makes it from an Envoy
// HttpConnectionManager; a route update replaces `routes.table` and nothing else.
import type { HttpTally } from '../observe/proxy-tally.ts';
import type { Plan, UpgradeRules } from '../plan/plan.ts';
import type { RouteTable } from '../routing/route-table.ts';
import type { ClientCertPolicy } from './client-cert-header.ts';

/** The place where RDS puts the newest table; null until the first one arrives (requests wait for no table: 404, NR). */
export class RoutesRef {
  readonly name: string;
  table: RouteTable | null = null;

  constructor(name: string) {
    this.name = name;
  }
}

/** A set of addresses, by range. */
export interface AddressSet {
  has(address: string): boolean;
}

export interface HttpManager extends ClientCertPolicy {
  readonly statPrefix: string;
  /** Envoy's counters of `http.PREFIX`; managers of one prefix share them. */
  readonly tally: HttpTally;
  readonly routes: RoutesRef;
  /** Runs for a request that no route matches: the manager-wide steps only (trace, metrics, access log). */
  readonly missPlan: Plan;
  /** The `server` header of responses; `envoy` by default, as HttpConnectionManager.server_name. */
  readonly serverName: string;
  readonly serverHeader: 'overwrite' | 'append-if-absent' | 'pass-through';
  /** HttpConnectionManager.use_remote_address. */
  readonly useRemoteAddress: boolean;
  readonly xffTrustedHops: number;
  readonly skipXffAppend: boolean;
  /** internal_address_config: clients whose requests count as internal; null: nobody's do. */
  readonly internalAddresses: AddressSet | null;
  /** add_user_agent: the node's cluster, for `x-envoy-downstream-service-cluster` and a missing User-Agent; null: off. */
  readonly addedUserAgent: string | null;
  readonly generatesRequestId: boolean;
  readonly preservesExternalRequestId: boolean;
  readonly alwaysSetsRequestIdInResponse: boolean;
  readonly via: string;
  /** scheme_header_transformation.scheme_to_overwrite; empty: none. */
  readonly schemeToOverwrite: string;
  /** codec_type AUTO: a client that begins with HTTP/2 is told so in HTTP/2; else it meets the strict parser. */
  readonly detectsHttp2: boolean;
  readonly acceptsHttp10: boolean;
  readonly defaultHostForHttp10: string;
  /** Http1ProtocolOptions.allow_chunked_length: Transfer-Encoding beside Content-Length wins instead of being refused. */
  readonly allowsChunkedLength: boolean;
  /** stream_error_on_invalid_http_message: a request refused for what it says leaves its connection open. */
  readonly survivesInvalidMessages: boolean;
  readonly normalizesPath: boolean;
  readonly mergesSlashes: boolean;
  readonly escapedSlashes: 'keep' | 'reject' | 'unescape-redirect' | 'unescape-forward';
  readonly stripsAnyHostPort: boolean;
  readonly stripsMatchingHostPort: boolean;
  readonly stripsTrailingHostDot: boolean;
  /** common_http_protocol_options.headers_with_underscores_action; `allow` by default. */
  readonly underscoredHeaders: 'allow' | 'reject' | 'drop';
  /** Adds `x-outrigger-error` to responses made by the sidecar. */
  readonly explainsErrors: boolean;
  /** Router.suppress_envoy_headers: no `x-envoy-upstream-service-time` and the like. */
  readonly suppressesEnvoyHeaders: boolean;
  /** Router.respect_expected_rq_timeout: what the caller has left of its time bounds ours. */
  readonly respectsExpectedTimeout: boolean;
  /**
   * The manager is one of our mesh's: outbound, its client is the app and trusted with all control fields; inbound, its
   * clients are trusted with what bounds their own requests. Said by the filter `outrigger.mesh`.
   */
  readonly isMesh: boolean;
  /** Protocols that a client may change to where its route says nothing; null: none. */
  readonly upgrades: UpgradeRules | null;
  /** proxy_100_continue: the upstream meets the expectation of 100 (Continue), not the sidecar. */
  readonly proxiesContinue: boolean;
  /** Http1ProtocolOptions.enable_trailers; true unless switched off by the runtime key `outrigger.trailers`. */
  readonly forwardsTrailers: boolean;
  /** delayed_close_timeout: how long the client may take to close first; 1000 ms by default, 0 does not wait. */
  readonly delayedCloseMs: number;
  /** drain_timeout: how long a connection that is over age goes on; 5000 ms by default. */
  readonly drainMs: number;
  /** Milliseconds; 0 is off. Defaults: 0, 0, 300000, 3600000, 0, 0. */
  readonly requestHeadersTimeoutMs: number;
  readonly requestTimeoutMs: number;
  readonly streamIdleTimeoutMs: number;
  readonly idleTimeoutMs: number;
  readonly maxConnectionDurationMs: number;
  readonly maxStreamDurationMs: number;
  /** 0 is unlimited. */
  readonly maxRequestsPerConnection: number;
  /** Bytes of a request head; 60 KiB by default. */
  readonly headBytesMax: number;
  /** Header lines of a request; 100 by default. */
  readonly headerCountMax: number;
}
