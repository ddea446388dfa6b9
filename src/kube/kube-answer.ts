// What comes back from an API server: a value or a failure, never a rejection. A failure says what the server said
// (status, reason, fields) within bounds, or, with status 0, why no answer was had. It may quote what was asked:
// whoever asks with a secret shows nobody the message.
import { isJsonRecord, listOf, numberOf, recordOf, textOf } from './json-record.ts';

export type KubeAnswer<T> =
  | { readonly kind: 'done'; readonly value: T }
  | { readonly kind: 'failed'; readonly failure: KubeFailure };

export interface KubeCause {
  /** `spec.hosts[0]`; empty when the server names none. */
  readonly field: string;
  readonly message: string;
}

export interface KubeFailure {
  /** Of HTTP; 0: no answer was had. */
  readonly status: number;
  /**
   * Of Kubernetes: `NotFound`, `Conflict`, `Invalid`, `Expired` …; ours with status 0 or a body that is none of theirs:
   * `Unreachable`, `Timeout`, `Closed`, `Stalled`, `TooLarge`, `Malformed`, `NoCredentials`, `Stopped`.
   */
  readonly reason: string;
  readonly message: string;
  readonly causes: readonly KubeCause[];
  /** How long the server wants to be left alone; 0: it does not say. */
  readonly retryAfterMs: number;
}

export type OwnReason =
  | 'Unreachable'
  | 'Timeout'
  | 'Closed'
  | 'Stalled'
  | 'TooLarge'
  | 'Malformed'
  | 'NoCredentials'
  | 'Stopped';

const MESSAGE_CHARACTERS_MAX = 4096;
const CAUSES_MAX = 64;
const RETRY_AFTER_MS_MAX = 300_000;
const REASONS: Readonly<Record<number, string>> = {
  400: 'BadRequest',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'NotFound',
  405: 'MethodNotAllowed',
  409: 'Conflict',
  410: 'Expired',
  422: 'Invalid',
  429: 'TooManyRequests',
  500: 'InternalError',
  503: 'ServiceUnavailable',
  504: 'Timeout',
};

export function done<T>(value: T): KubeAnswer<T> {
  return { kind: 'done', value };
}

/** A failure that the server did not tell us of. */
export function ownFailure(reason: OwnReason, message: string): { kind: 'failed'; failure: KubeFailure } {
  const text = message.slice(0, MESSAGE_CHARACTERS_MAX);
  return { kind: 'failed', failure: { status: 0, reason, message: text, causes: [], retryAfterMs: 0 } };
}

/** What a metav1.Status says, or any other body of an answer with this status; `retryAfter` is the header's value. */
export function serverFailure(status: number, body: unknown, retryAfter = ''): KubeFailure {
  const told = isJsonRecord(body) && body['kind'] === 'Status' ? body : {};
  const details = recordOf(told['details']);
  const causes = listOf(details['causes'])
    .slice(0, CAUSES_MAX)
    .map((cause) => {
      const { field, message } = recordOf(cause);
      return { field: textOf(field), message: textOf(message).slice(0, MESSAGE_CHARACTERS_MAX) };
    });
  const seconds = retryAfter === '' ? numberOf(details['retryAfterSeconds']) : secondsOf(retryAfter);
  return {
    status,
    reason: textOf(told['reason']) || (REASONS[status] ?? `HTTP ${status}`),
    message: (textOf(told['message']) || `the API server answered ${status}`).slice(0, MESSAGE_CHARACTERS_MAX),
    causes,
    retryAfterMs: Math.min(Math.max(0, seconds * 1000), RETRY_AFTER_MS_MAX),
  };
}

/** A number of seconds; a date (RFC 9110 section 10.2.3) counts as one second, since clocks differ. */
function secondsOf(retryAfter: string): number {
  return /^\d{1,6}$/.test(retryAfter) ? Number(retryAfter) : 1;
}

/** One line for a log or a person. */
export function formatFailure({ status, reason, message }: KubeFailure): string {
  return status === 0 ? `${reason}: ${message}` : `${status} ${reason}: ${message}`;
}
