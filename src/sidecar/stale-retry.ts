// @hot
// Whether a request that met a stale connection may be sent once more. A connection that had served
// before and closed without a byte of response was stale. EPIPE says that the peer had gone before the
// request was written: any method may go again. Else the request may have reached the app, and RFC 9110
// section 9.2.2 leaves only idempotent methods.
import type { Exchange } from '../plan/exchange.ts';
import { failure, type Failure } from '../plan/failure.ts';
import { CLOSED_MID_RESPONSE, HEAD_CUT, PROTOCOL_ERROR, type UpstreamEnd } from './h1-client.ts';

/** True when the request of `x`, which ended with `failed` on a reused connection, cannot run twice by going again. */
export function mayRepeat(x: Exchange, failed: Failure): boolean {
  if (failed.kind !== 'reset-before-response' || failed.cause === HEAD_CUT) return false;
  return failed.cause === 'EPIPE' || isIdempotent(x.request.method);
}

/** The Failure behind the way an upstream connection ended. */
export function closeFailure(end: UpstreamEnd, cause: string): Failure {
  if (end === PROTOCOL_ERROR) return failure('protocol', 'upstream', 'no', cause);
  if (end === CLOSED_MID_RESPONSE) return failure('reset-mid-response', 'upstream', 'no', cause);
  return failure('reset-before-response', 'upstream', 'if-reused', cause);
}

function isIdempotent(method: string): boolean {
  switch (method) {
    case 'GET':
    case 'HEAD':
    case 'OPTIONS':
    case 'PUT':
    case 'DELETE':
    case 'TRACE':
      return true;
    default:
      return false;
  }
}
