// @hot
// Which of the sidecars along a chain of services retries (docs/adr/011-one-retry-layer.md): the outermost. The
// sidecar that will retry what comes back marks each attempt `x-outrigger-attempt: N/M`, attempt N of at most M.
// Whoever gets such a request, or sends one on its behalf, leaves failed responses to that sidecar and retries
// only what never reached an app. A retry that promises nothing is marked `N` alone.
import { internHeader } from '../http/header-name.ts';
import type { Exchange } from '../plan/exchange.ts';
import type { Failure } from '../plan/failure.ts';
import { RETRY_ON, type RetryPlan } from '../plan/retry-plan.ts';

export const ATTEMPT = internHeader('x-outrigger-attempt');

/** True when the text promises that somebody nearer to the client retries: `2/3`. */
export function isPromise(mark: string | null): boolean {
  if (mark === null) return false;
  const slash = mark.indexOf('/');
  return slash > 0 && slash < mark.length - 1;
}

/** What a sidecar answers when its upstream fails, and what an app passes on. */
const PASSED_ON = 503;

/** True when `plan` retries what comes back when something further down the chain has failed. */
function promises(plan: RetryPlan): boolean {
  const { conditions } = plan;
  if ((conditions & (RETRY_ON.FIVE_XX | RETRY_ON.GATEWAY_ERROR)) !== 0) return true;
  return (conditions & RETRY_ON.STATUS_CODES) !== 0 && plan.statuses.includes(PASSED_ON);
}

/** Marks the attempt that is sent now, in a mesh and where no caller's sidecar retries. */
export function markAttempt(x: Exchange): void {
  if (!x.marksAttempts || x.isRetriedAbove) return;
  const { retry, request, attempts } = x;
  if (retry !== null && retry.retriesMax > 0 && promises(retry)) {
    request.set(ATTEMPT, attempts + '/' + (retry.retriesMax + 1));
  } else if (attempts > 1) request.set(ATTEMPT, String(attempts));
}

/**
 * True when `failed` is for a caller's sidecar to retry. What never reached an app is not: to try that again costs
 * nobody anything. `isSent`: some attempt has sent something of the request.
 */
export function isLeftToCaller(x: Exchange, { kind }: Failure, isSent: boolean): boolean {
  return x.isRetriedAbove && isSent && kind !== 'connect-failed' && kind !== 'connect-timeout';
}
