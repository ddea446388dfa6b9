// @hot
// Whether what came of an attempt meets a condition of its retry plan: a response by its head, a failure by its
// kind. It knows nothing of limits, budgets and time: the router asks those.
// Source: Envoy router documentation, x-envoy-retry-on and x-envoy-retry-grpc-on; measured on Envoy 1.40.
import { H, internHeader } from '../http/header-name.ts';
import type { Head } from '../http/head.ts';
import type { Failure } from '../plan/failure.ts';
import { RETRY_ON, type RetryPlan } from '../plan/retry-plan.ts';

const RATE_LIMITED = internHeader('x-envoy-ratelimited');

const ANY_GRPC =
  RETRY_ON.GRPC_CANCELLED |
  RETRY_ON.GRPC_DEADLINE_EXCEEDED |
  RETRY_ON.GRPC_INTERNAL |
  RETRY_ON.GRPC_RESOURCE_EXHAUSTED |
  RETRY_ON.GRPC_UNAVAILABLE;

/** Of a failure without a response: each of these takes any. A reset counts as the 5xx that it would become. */
const ANY_RESET = RETRY_ON.RESET | RETRY_ON.FIVE_XX | RETRY_ON.GATEWAY_ERROR;

/** True when the response behind `head` meets a condition of `plan`. */
export function retriesResponse(plan: RetryPlan, head: Head): boolean {
  const { conditions } = plan;
  const { status } = head;
  if (conditions === 0 || status < 200) return false;
  // It comes from a rate limit, which a retry would only run into again.
  if (head.has(RATE_LIMITED)) return (conditions & RETRY_ON.ENVOY_RATE_LIMITED) !== 0;
  if ((conditions & RETRY_ON.FIVE_XX) !== 0 && status >= 500 && status < 600) return true;
  if ((conditions & RETRY_ON.GATEWAY_ERROR) !== 0 && status >= 502 && status <= 504) return true;
  if ((conditions & RETRY_ON.RETRIABLE_4XX) !== 0 && status === 409) return true;
  if ((conditions & RETRY_ON.STATUS_CODES) !== 0 && plan.statuses.includes(status)) return true;
  if ((conditions & RETRY_ON.HEADERS) !== 0 && matchesAny(plan, head)) return true;
  return (conditions & ANY_GRPC) !== 0 && (conditions & grpcCondition(head.get(H.grpcStatus))) !== 0;
}

function matchesAny(plan: RetryPlan, head: Head): boolean {
  const { responseHeaders } = plan;
  for (let i = 0; i < responseHeaders.length; i++) if (responseHeaders[i]?.(head) === true) return true;
  return false;
}

/** The condition of a grpc-status, which counts only when it stands in the head. */
function grpcCondition(status: string | null): number {
  switch (status) {
    case '1':
      return RETRY_ON.GRPC_CANCELLED;
    case '4':
      return RETRY_ON.GRPC_DEADLINE_EXCEEDED;
    case '8':
      return RETRY_ON.GRPC_RESOURCE_EXHAUSTED;
    case '13':
      return RETRY_ON.GRPC_INTERNAL;
    case '14':
      return RETRY_ON.GRPC_UNAVAILABLE;
    default:
      return 0;
  }
}

/**
 * True when a failure without a response meets a condition of `plan`. `isStarted`: some attempt has sent something of
 * the request.
 */
export function retriesFailure(plan: RetryPlan, failed: Failure, isStarted: boolean): boolean {
  const { conditions } = plan;
  if ((conditions & ANY_RESET) !== 0 && isReset(failed)) return true;
  if ((conditions & RETRY_ON.CONNECT_FAILURE) !== 0 && isConnectFailure(failed)) return true;
  return (conditions & RETRY_ON.RESET_BEFORE_REQUEST) !== 0 && !isStarted && isReset(failed);
}

function isConnectFailure(failed: Failure): boolean {
  return failed.kind === 'connect-failed' || failed.kind === 'connect-timeout';
}

function isReset(failed: Failure): boolean {
  switch (failed.kind) {
    case 'connect-failed':
    case 'connect-timeout':
    case 'reset-before-response':
    case 'protocol':
    case 'per-try-timeout':
    case 'per-try-idle-timeout':
      return true;
    default:
      return false;
  }
}
