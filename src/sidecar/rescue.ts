// The one place where a Failure becomes what the client sees: a status, a body, a response flag and
// the details that logs show. Texts and codes are Envoy's, so that what people search for is found.
import type { Exchange } from '../plan/exchange.ts';
import { assertNever } from '../base/assert.ts';
import { isGrpcRequest } from '../plan/grpc-request.ts';
import type { Failure } from '../plan/failure.ts';
import { FLAGS, flagLetters } from '../plan/response-flags.ts';
import { wireText } from '../plan/wire-text.ts';
import { H, internHeader } from '../http/header-name.ts';

interface Rescue {
  readonly status: number;
  readonly flag: number;
  readonly body: string;
  readonly details: string;
}

const RESET = 'upstream connect error or disconnect/reset before headers. reset reason: ';

const RETRIED = 'upstream connect error or disconnect/reset before headers. retried and the latest reset reason: ';

const CONNECT_ERRORS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'Connection refused',
  EHOSTUNREACH: 'No route to host',
  ENETUNREACH: 'Network is unreachable',
  ECONNRESET: 'Connection reset by peer',
  EADDRNOTAVAIL: 'Cannot assign requested address',
  ENOENT: 'No such file or directory',
  EMFILE: 'Too many open files',
};

const ENVOY_DROP_OVERLOAD = internHeader('x-envoy-drop-overload');
const ENVOY_DROP_ALL = internHeader('x-envoy-unconditional-drop-overload');

/** Lays the reply for `failed` into `x.response` and `x.replyBody`; without `x-envoy-` fields when those are suppressed. */
export function rescue(x: Exchange, failed: Failure, suppressesEnvoyHeaders: boolean): void {
  const { status, flag, body, details } = rescueOf(failed);
  x.failure = failed;
  x.flags |= flag;
  x.details = details;
  x.isUpstreamResponse = false;
  x.response.reset();
  x.response.status = status;
  if (failed.kind === 'overflow' && !suppressesEnvoyHeaders) x.response.add(H.envoyOverloaded, 'true');
  else if (failed.kind === 'drop-overload' && !suppressesEnvoyHeaders) x.response.add(ENVOY_DROP_OVERLOAD, 'true');
  else if (failed.kind === 'drop-all' && !suppressesEnvoyHeaders) x.response.add(ENVOY_DROP_ALL, 'true');
  x.replyBody = wireText(x.retry !== null && x.attempts > 1 ? body.replace(RESET, RETRIED) : body);
}

/** Notes that the response broke off behind its head, with `flag` of FLAGS and the details that Envoy has for it. */
export function cutShort(x: Exchange, failed: Failure, flag: number): void {
  x.flags |= flag;
  x.failure = failed;
  x.details = rescueOf(failed).details.replace('before_response_started', 'after_response_started');
}

function rescueOf(failed: Failure): Rescue {
  switch (failed.kind) {
    case 'no-cluster':
      return { status: 503, flag: FLAGS.NC, body: '', details: 'cluster_not_found' };
    case 'no-healthy-upstream':
      return { status: 503, flag: FLAGS.UH, body: 'no healthy upstream', details: 'no_healthy_upstream' };
    case 'connect-failed': {
      const isTls = failed.cause.startsWith('TLS_error:');
      const reason = isTls ? failed.cause : `delayed connect error: ${CONNECT_ERRORS[failed.cause] ?? failed.cause}`;
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
    case 'drop-overload':
      return { status: 503, flag: FLAGS.DO, body: 'drop overload', details: 'drop_overload' };
    case 'drop-all':
      return {
        status: 503,
        flag: FLAGS.UDO,
        body: 'unconditional drop overload',
        details: 'unconditional_drop_overload',
      };
    case 'timeout':
      return { status: 504, flag: FLAGS.UT, body: 'upstream request timeout', details: 'response_timeout' };
    case 'per-try-timeout':
      return { status: 504, flag: FLAGS.UT, body: 'upstream request timeout', details: 'upstream_per_try_timeout' };
    case 'per-try-idle-timeout':
      return {
        status: 504,
        flag: FLAGS.UT,
        body: 'upstream request timeout',
        details: 'upstream_per_try_idle_timeout',
      };
    case 'replay-overflow':
      return {
        status: 507,
        flag: 0,
        body: 'exceeded request buffer limit while retrying upstream',
        details: 'request_payload_exceeded_retry_buffer_limit',
      };
    case 'too-large':
      return { status: 413, flag: 0, body: 'Payload Too Large', details: 'request_payload_too_large' };
    case 'idle-timeout':
      return { status: 504, flag: FLAGS.SI, body: 'stream timeout', details: 'stream_idle_timeout' };
    case 'request-timeout':
      return { status: 408, flag: 0, body: 'request timeout', details: 'request_overall_timeout' };
    case 'duration':
      return { status: 504, flag: 0, body: 'downstream duration timeout', details: 'max_duration_timeout' };
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
  if (isGrpcRequest(x.request)) {
    makeGrpc(x);
    return false;
  }
  if (status < 200 || status === 204 || status === 304) return false;
  response.set(H.contentLength, String(replyBody.length));
  if (replyBody === '') return false;
  if (!response.has(H.contentType)) response.add(H.contentType, 'text/plain');
  return x.request.method !== 'HEAD';
}

const GRPC_STATUS = internHeader('grpc-status');
const GRPC_MESSAGE = internHeader('grpc-message');

/** A gRPC client understands only 200 with a grpc-status (gRPC over HTTP2, trailers-only): Envoy's translation. */
function makeGrpc(x: Exchange): void {
  const { response } = x;
  if (!response.has(GRPC_STATUS)) response.set(GRPC_STATUS, String(grpcStatusOf(response.status)));
  if (x.replyBody !== '') response.set(GRPC_MESSAGE, percentEncoded(x.replyBody));
  response.status = 200;
  response.set(H.contentType, 'application/grpc');
  response.set(H.contentLength, '0');
  x.replyBody = '';
}

/** gRPC's own mapping of HTTP statuses. */
function grpcStatusOf(status: number): number {
  switch (status) {
    case 400:
      return 13;
    case 401:
      return 16;
    case 403:
      return 7;
    case 404:
      return 12;
    case 429:
    case 502:
    case 503:
    case 504:
      return 14;
    default:
      return 2;
  }
}

/** gRPC's Percent-Encoded message: bytes outside of the printable ones, and the percent sign, are escaped. */
function percentEncoded(wire: string): string {
  return wire.replaceAll(
    /[^\x20-\x24\x26-\x7e]/g,
    (byte) => `%${byte.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`,
  );
}

/** `x-outrigger-error`: the response flags, and the resource or cluster that decided. */
export function explain(x: Exchange): string {
  const letters = flagLetters(x.flags);
  const { stoppedBy, plan, cluster } = x;
  if (stoppedBy !== null) {
    const step = stoppedBy.origin === '' ? stoppedBy.name : `${stoppedBy.name} ${stoppedBy.origin}`;
    return `${letters}; ${step}${x.details === '' ? '' : `; ${x.details.replaceAll(/[^\x21-\x7e]/g, '_')}`}`;
  }
  if (plan === null || (x.flags & FLAGS.NR) !== 0) return `${letters}; ${x.details}`;
  const route = plan.origin === '' ? plan.route : plan.origin;
  const place = cluster === null ? `route ${route}` : `cluster ${cluster.name}, route ${route}`;
  return `${letters}; ${x.details.replaceAll(/[^\x21-\x7e]/g, '_')}; ${place}`;
}
