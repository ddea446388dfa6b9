// A failure of the data plane as a value. Steps, pools and codecs return it; sidecar/rescue.ts alone
// turns it into a reply and a response flag.

export type FailureKind =
  | 'connect-failed' // no TCP connection (refused, unreachable)
  | 'connect-timeout'
  | 'reset-before-response' // the upstream closed or reset with no byte of the response
  | 'reset-mid-response'
  | 'protocol' // bytes that are not valid HTTP/1.1
  | 'timeout' // the route's timeout
  | 'per-try-timeout'
  | 'per-try-idle-timeout'
  | 'too-large' // the body is more than a filter may hold
  | 'replay-overflow' // the body is more than is kept for a retry that was to come
  | 'idle-timeout'
  | 'request-timeout' // the request was not complete in time
  | 'duration' // the longest a stream may last
  | 'no-healthy-upstream'
  | 'no-cluster'
  | 'overflow' // a limit of the cluster
  | 'drop-overload' // the cluster drops a share of its traffic
  | 'drop-all' // the cluster drops all of it
  | 'not-permitted' // no step set the permit
  | 'downstream-closed';

export interface Failure {
  readonly kind: FailureKind;
  readonly source: 'downstream' | 'upstream' | 'internal';
  /** `if-reused`: safe only when the connection had served a request before. */
  readonly retryable: 'yes' | 'no' | 'if-reused';
  /** A short reason for logs (`ECONNREFUSED`, `no response before close`); empty when there is none. */
  readonly cause: string;
}

export function failure(
  kind: FailureKind,
  source: Failure['source'],
  retryable: Failure['retryable'],
  cause = '',
): Failure {
  return { kind, source, retryable, cause };
}
