// What a route's retry and hedge policies come to: the conditions of a retry as bits, its limits, its times.
// A step puts it on the exchange; the router (sidecar/upstream-request.ts) and what decides for it read it.
// A RetryPlan is frozen; one that request headers have changed is made for that request alone.
// Source: Envoy RetryPolicy and HedgePolicy, and the x-envoy-retry-on documentation of its router.
import type { HeaderId } from '../base/brand.ts';
import type { Endpoint } from './cluster.ts';
import type { HeaderPredicate } from './header-match.ts';

/** Conditions of `retry_on`, a bit each. */
export const RETRY_ON = {
  FIVE_XX: 1 << 0,
  GATEWAY_ERROR: 1 << 1,
  RESET: 1 << 2,
  RESET_BEFORE_REQUEST: 1 << 3,
  CONNECT_FAILURE: 1 << 4,
  ENVOY_RATE_LIMITED: 1 << 5,
  RETRIABLE_4XX: 1 << 6,
  REFUSED_STREAM: 1 << 7,
  STATUS_CODES: 1 << 8,
  HEADERS: 1 << 9,
  /** Taken and never met: there is no HTTP/3 here. */
  HTTP3_POST_CONNECT_FAILURE: 1 << 10,
  GRPC_CANCELLED: 1 << 11,
  GRPC_DEADLINE_EXCEEDED: 1 << 12,
  GRPC_INTERNAL: 1 << 13,
  GRPC_RESOURCE_EXHAUSTED: 1 << 14,
  GRPC_UNAVAILABLE: 1 << 15,
} as const;

/** How long to wait before a retry. */
export interface RetryBackOff {
  /** Milliseconds, at least 1; 25 by default. */
  readonly baseMs: number;
  /** 10 times the base by default. */
  readonly maxMs: number;
  /** True: never less than the base (Gateway API); false: anything from 0 (Envoy's full jitter). */
  readonly isMinimum: boolean;
}

export interface ResetHeader {
  readonly id: HeaderId;
  /** True: a point in time in Unix seconds; false: so many seconds from now. */
  readonly isTimestamp: boolean;
}

/** rate_limited_retry_back_off: the upstream says when to come back. */
export interface RateLimitedBackOff {
  /** Tried in this order. */
  readonly headers: readonly ResetHeader[];
  /** What says more is not believed; 300000 by default. */
  readonly maxMs: number;
}

/** Which endpoints a retry should not get again. */
export interface RetryHosts {
  /** Any that an earlier attempt had (previous_hosts). */
  readonly avoidsTried: boolean;
  /** True for an endpoint that no retry should get (omit_canary_hosts, omit_host_metadata); null: all may. */
  readonly rejects: ((endpoint: Endpoint) => boolean) | null;
  /** How often another is picked before the last one is taken; 1 by default. */
  readonly picksMax: number;
  /** previous_priorities: after so many attempts the priorities tried are left out; 0: never. */
  readonly priorityFrequency: number;
}

export interface RetryPlan {
  /** RETRY_ON bits; 0: nothing is retried, and only the times of an attempt count. */
  readonly conditions: number;
  /** Retries, not attempts; 1 by default. */
  readonly retriesMax: number;
  /** With STATUS_CODES. */
  readonly statuses: readonly number[];
  /** With HEADERS: one of them must hold for the response. */
  readonly responseHeaders: readonly HeaderPredicate[];
  /** Empty, or one of them must hold for the request. */
  readonly requestHeaders: readonly HeaderPredicate[];
  /** Of one attempt, from the complete request on a connection to the response's head; 0 is none. */
  readonly perTryTimeoutMs: number;
  /** How long an attempt may be quiet; 0 is for ever. */
  readonly perTryIdleTimeoutMs: number;
  readonly hosts: RetryHosts;
  readonly backOff: RetryBackOff;
  /** Null: headers of the response say nothing about the wait. */
  readonly rateLimited: RateLimitedBackOff | null;
  /** hedge_on_per_try_timeout: a slow attempt goes on beside the next. */
  readonly isHedged: boolean;
  /** Bytes of request body kept for the next attempt; with more there is none. */
  readonly bodyBytesMax: number;
  /** include_is_timeout_retry_header. */
  readonly tellsTimeout: boolean;
}

/** What Envoy takes where the policy says nothing. */
export const DEFAULT_BACK_OFF: RetryBackOff = Object.freeze({ baseMs: 25, maxMs: 250, isMinimum: false });
export const DEFAULT_HOSTS: RetryHosts = Object.freeze({
  avoidsTried: false,
  rejects: null,
  picksMax: 1,
  priorityFrequency: 0,
});
export const BODY_BYTES_MAX = 1024 * 1024;

/** No conditions, one retry, no times: what request headers alone begin with. */
export const EMPTY_RETRY_PLAN: RetryPlan = Object.freeze({
  conditions: 0,
  retriesMax: 1,
  statuses: [],
  responseHeaders: [],
  requestHeaders: [],
  perTryTimeoutMs: 0,
  perTryIdleTimeoutMs: 0,
  hosts: DEFAULT_HOSTS,
  backOff: DEFAULT_BACK_OFF,
  rateLimited: null,
  isHedged: false,
  bodyBytesMax: BODY_BYTES_MAX,
  tellsTimeout: false,
});
