// The words of `retry_on`, and of the headers x-envoy-retry-on and x-envoy-retry-grpc-on, as RETRY_ON bits.
// Source: Envoy router documentation.
import { RETRY_ON } from '../plan/retry-plan.ts';

const HTTP_WORDS: ReadonlyMap<string, number> = new Map([
  ['5xx', RETRY_ON.FIVE_XX],
  ['gateway-error', RETRY_ON.GATEWAY_ERROR],
  ['reset', RETRY_ON.RESET],
  ['reset-before-request', RETRY_ON.RESET_BEFORE_REQUEST],
  ['connect-failure', RETRY_ON.CONNECT_FAILURE],
  ['envoy-ratelimited', RETRY_ON.ENVOY_RATE_LIMITED],
  ['retriable-4xx', RETRY_ON.RETRIABLE_4XX],
  ['refused-stream', RETRY_ON.REFUSED_STREAM],
  ['retriable-status-codes', RETRY_ON.STATUS_CODES],
  ['retriable-headers', RETRY_ON.HEADERS],
  ['http3-post-connect-failure', RETRY_ON.HTTP3_POST_CONNECT_FAILURE],
]);

const GRPC_WORDS: ReadonlyMap<string, number> = new Map([
  ['cancelled', RETRY_ON.GRPC_CANCELLED],
  ['deadline-exceeded', RETRY_ON.GRPC_DEADLINE_EXCEEDED],
  ['internal', RETRY_ON.GRPC_INTERNAL],
  ['resource-exhausted', RETRY_ON.GRPC_RESOURCE_EXHAUSTED],
  ['unavailable', RETRY_ON.GRPC_UNAVAILABLE],
]);

export interface RetryWords {
  readonly conditions: number;
  readonly unknown: readonly string[];
}

/** `kind`: a policy may have the words of both, each header has its own. */
export function readRetryWords(text: string, kind: 'policy' | 'http' | 'grpc'): RetryWords {
  let conditions = 0;
  const unknown: string[] = [];
  for (const part of text.split(',')) {
    const word = part.trim();
    if (word === '') continue;
    const http = kind === 'grpc' ? undefined : HTTP_WORDS.get(word);
    const bit = http ?? (kind === 'http' ? undefined : GRPC_WORDS.get(word));
    if (bit === undefined) unknown.push(word);
    else conditions |= bit;
  }
  return { conditions, unknown };
}
