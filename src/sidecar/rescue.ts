// The one place where a Failure becomes what the client sees: a status, a body, a response flag and
// the details that logs show. Texts and codes are Envoy's, so that what people search for is found.
import type { Exchange } from '../plan/exchange.ts';
import { assertNever } from '../base/assert.ts';
import type { Failure } from '../plan/failure.ts';
import { FLAGS, flagLetters } from '../plan/response-flags.ts';
import { H } from '../http/header-name.ts';

interface Rescue {
  readonly status: number;
  readonly flag: number;
  readonly body: string;
  readonly details: string;
}

const RESET = 'upstream connect error or disconnect/reset before headers. reset reason: ';

const CONNECT_ERRORS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'Connection refused',
  EHOSTUNREACH: 'No route to host',
  ENETUNREACH: 'Network is unreachable',
  ECONNRESET: 'Connection reset by peer',
  EADDRNOTAVAIL: 'Cannot assign requested address',
  ENOENT: 'No such file or directory',
  EMFILE: 'Too many open files',
};

/** Lays the reply for `failed` into `x.response` and `x.replyBody`. */
export function rescue(x: Exchange, failed: Failure): void {
  const { status, flag, body, details } = rescueOf(failed);
  x.failure = failed;
  x.flags |= flag;
  x.details = details;
  x.isUpstreamResponse = false;
  x.response.reset();
  x.response.status = status;
  if (failed.kind === 'overflow') x.response.add(H.envoyOverloaded, 'true');
  x.replyBody = body;
}

function rescueOf(failed: Failure): Rescue {
  switch (failed.kind) {
    case 'no-cluster':
      return { status: 503, flag: FLAGS.NC, body: '', details: 'cluster_not_found' };
    case 'no-healthy-upstream':
      return { status: 503, flag: FLAGS.UH, body: 'no healthy upstream', details: 'no_healthy_upstream' };
    case 'connect-failed': {
      const reason = `delayed connect error: ${CONNECT_ERRORS[failed.cause] ?? failed.cause}`;
      return {
        status: 503,
        flag: FLAGS.UF,
        body: `${RESET}remote connection failure`,
        details: `upstream_reset_before_response_started{remote_connection_failure|${reason.replaceAll(' ', '_')}}`,
      };
    }
    case 'connect-timeout':
      return beforeResponse(503, FLAGS.UF, 'connection timeout');
    case 'reset-before-response':
    case 'reset-mid-response':
      return beforeResponse(503, FLAGS.UC, 'connection termination');
    case 'protocol':
      return beforeResponse(502, FLAGS.UPE, 'protocol error');
    case 'overflow':
      return beforeResponse(503, FLAGS.UO, 'overflow');
    case 'timeout':
      return { status: 504, flag: FLAGS.UT, body: 'upstream request timeout', details: 'response_timeout' };
    case 'per-try-timeout':
      return { status: 504, flag: FLAGS.UT, body: 'upstream request timeout', details: 'upstream_per_try_timeout' };
    case 'idle-timeout':
      return { status: 504, flag: FLAGS.SI, body: 'stream timeout', details: 'stream_idle_timeout' };
    case 'duration':
      return { status: 504, flag: FLAGS.DT, body: 'downstream duration timeout', details: 'max_duration_timeout' };
    case 'not-permitted':
      return { status: 403, flag: 0, body: 'RBAC: access denied', details: 'rbac_access_denied' };
    case 'downstream-closed':
      return { status: 499, flag: FLAGS.DC, body: '', details: 'downstream_remote_disconnect' };
    default:
      return assertNever(failed.kind);
  }
}

function beforeResponse(status: number, flag: number, reason: string): Rescue {
  return {
    status,
    flag,
    body: RESET + reason,
    details: `upstream_reset_before_response_started{${reason.replaceAll(' ', '_')}}`,
  };
}

/** Lays Content-Length and Content-Type of a reply; true when its body is to be sent. */
export function frameReply(x: Exchange): boolean {
  const { response, replyBody } = x;
  const { status } = response;
  if (status < 200 || status === 204 || status === 304) return false;
  response.set(H.contentLength, String(Buffer.byteLength(replyBody)));
  if (replyBody === '') return false;
  if (!response.has(H.contentType)) response.add(H.contentType, 'text/plain');
  return x.request.method !== 'HEAD';
}

/** `x-outrigger-error`: the response flags, and the resource or cluster that decided. */
export function explain(x: Exchange): string {
  const letters = flagLetters(x.flags);
  const { stoppedBy, plan, cluster } = x;
  if (stoppedBy !== null)
    return `${letters}; ${stoppedBy.name}${stoppedBy.origin === '' ? '' : ` ${stoppedBy.origin}`}`;
  if (plan === null || (x.flags & FLAGS.NR) !== 0) return `${letters}; ${x.details}`;
  const route = plan.origin === '' ? plan.route : plan.origin;
  const place = cluster === null ? `route ${route}` : `cluster ${cluster.name}, route ${route}`;
  return `${letters}; ${x.details.replaceAll(/[^\x21-\x7e]/g, '_')}; ${place}`;
}
