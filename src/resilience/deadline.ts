// @hot
// The deadline of an exchange, end to end: the least of what the route allows and what the caller has left. Each
// attempt is told what remains when it is sent, in `x-envoy-expected-rq-timeout-ms` and, where the route heeds
// it, in `grpc-timeout`; the next sidecar takes it for its own (Router.respect_expected_rq_timeout). Fields that
// an untrusted client sent were removed before (sidecar/downstream-headers.ts).
// Source: Envoy router documentation; measured on Envoy 1.40.
import type { HeaderId } from '../base/brand.ts';
import { H, internHeader } from '../http/header-name.ts';
import type { Head } from '../http/head.ts';
import type { Exchange } from '../plan/exchange.ts';
import { GRPC_TIMEOUT, grpcTimeoutOf } from '../plan/grpc-timeout.ts';

const UPSTREAM_TIMEOUT = internHeader('x-envoy-upstream-rq-timeout-ms');
const DIGITS_MAX = 15;

/** What a manager does with the times that a request brings. */
export interface DeadlineRules {
  /** Router.respect_expected_rq_timeout: the caller's remaining time counts. */
  readonly respectsExpectedTimeout: boolean;
  /** Router.suppress_envoy_headers: the next hop is not told in `x-envoy-expected-rq-timeout-ms`. */
  readonly suppressesEnvoyHeaders: boolean;
}

/**
 * Takes the times that the request brings: `x-envoy-upstream-rq-timeout-ms` in the place of the route's timeout (0 is
 * none), and what the caller has left, counted from the arrival of the request.
 */
export function takeTimes(x: Exchange, rules: DeadlineRules): void {
  const { request } = x;
  if (x.isInternal) {
    const askedMs = millisecondsOf(request, UPSTREAM_TIMEOUT);
    if (askedMs !== ABSENT) {
      if (askedMs !== WRONG) x.timeoutMs = askedMs;
      request.remove(UPSTREAM_TIMEOUT);
    }
  }
  if (rules.respectsExpectedTimeout) {
    const leftMs = millisecondsOf(request, H.envoyExpectedTimeout);
    if (leftMs > 0) boundDeadline(x, x.startMs + leftMs);
  }
  x.tellsTimeLeft = !rules.suppressesEnvoyHeaders;
}

/** All must be over by `atMs`, on the clock's now(), or earlier. */
export function boundDeadline(x: Exchange, atMs: number): void {
  if (x.deadlineMs === 0 || atMs < x.deadlineMs) x.deadlineMs = atMs;
}

/** The request is complete: from now on the timeout of the route counts. */
export function beginTimeout(x: Exchange, nowMs: number): void {
  if (x.timeoutMs > 0) boundDeadline(x, nowMs + x.timeoutMs);
}

/** Milliseconds until the deadline, at least 1 (0 would be for ever); 0 when there is none. */
export function timeLeft(x: Exchange, nowMs: number): number {
  if (x.deadlineMs === 0) return 0;
  return Math.max(1, Math.round(x.deadlineMs - nowMs));
}

/** True when an attempt that begins now could not end in time. */
export function isOver(x: Exchange, nowMs: number): boolean {
  return x.deadlineMs !== 0 && nowMs >= x.deadlineMs;
}

/**
 * Tells the next hop how long it has, for an attempt that is sent now and may take `attemptMs` (0: all that is left).
 * Until the request is complete the timeout of the route has not begun, and all of it is left.
 */
export function tellTimeLeft(x: Exchange, nowMs: number, attemptMs: number): void {
  let leftMs = timeLeft(x, nowMs);
  if (x.requestEndMs === 0 && x.timeoutMs > 0 && (leftMs === 0 || x.timeoutMs < leftMs)) leftMs = x.timeoutMs;
  if (attemptMs > 0 && (leftMs === 0 || attemptMs < leftMs)) leftMs = attemptMs;
  if (leftMs === 0) return;
  if (x.tellsTimeLeft) x.request.set(H.envoyExpectedTimeout, String(leftMs));
  if (x.heedsGrpcTimeout) x.request.set(GRPC_TIMEOUT, grpcTimeoutOf(leftMs));
}

const ABSENT = -1;
const WRONG = -2;

function millisecondsOf(request: Head, name: HeaderId): number {
  const text = request.get(name);
  if (text === null) return ABSENT;
  if (text === '' || text.length > DIGITS_MAX) return WRONG;
  let value = 0;
  for (let i = 0; i < text.length; i++) {
    const digit = text.charCodeAt(i) - 0x30;
    if (digit < 0 || digit > 9) return WRONG;
    value = value * 10 + digit;
  }
  return value;
}
