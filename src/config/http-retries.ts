// HTTPRetry (istio.networking.v1): `retries` of a VirtualService rule, and the mesh's defaults for them. An empty one, or
// attempts: 0, switches retries off.
import type { Fields } from './fields.ts';
import { readPositiveMs } from './positive-duration.ts';

export interface Retries {
  /** More attempts than the first; 0 is no retries. */
  readonly attempts: number;
  /** Null or 0 is the route's timeout. */
  readonly perTryTimeoutMs: number | null;
  /** Conditions and status codes by commas; empty is Istio's default. */
  readonly retryOn: string;
  /** Null is 25 ms. */
  readonly backoffMs: number | null;
  readonly avoidsPreviousHosts: boolean;
  /** Priorities, and so the localities of them, that were tried are left out while there are others. */
  readonly usesOtherLocalities: boolean;
}

const RETRY_ON = [
  '5xx',
  'gateway-error',
  'reset',
  'reset-before-request',
  'connect-failure',
  'envoy-ratelimited',
  'retriable-4xx',
  'refused-stream',
  'retriable-status-codes',
  'retriable-headers',
  'cancelled',
  'deadline-exceeded',
  'internal',
  'resource-exhausted',
  'unavailable',
  'http3-post-connect-failure',
];

export function readRetries(fields: Fields): Retries {
  const retryOn = fields.text('retryOn');
  for (const word of retryOn.split(',').map((part) => part.trim())) {
    if (word !== '' && !RETRY_ON.includes(word) && !/^[1-5]\d\d$/.test(word))
      fields.error(
        'retryOn',
        `"${word}" is not a retry condition`,
        `write status codes or some of ${RETRY_ON.join(', ')}`,
      );
  }
  return {
    attempts: fields.integer('attempts', { min: 0, max: 2_147_483_647 }) ?? 0,
    perTryTimeoutMs: readTimeout(fields, 'perTryTimeout'),
    retryOn,
    backoffMs: readPositiveMs(fields, 'backoff'),
    avoidsPreviousHosts: fields.flag('retryIgnorePreviousHosts') ?? true,
    usesOtherLocalities: fields.flag('retryRemoteLocalities') ?? false,
  };
}

/** Envoy counts whole milliseconds, and 0 is no timeout. */
export function readTimeout(fields: Fields, name: string): number | null {
  const timeoutMs = fields.durationMs(name);
  if (timeoutMs !== null && timeoutMs !== 0 && timeoutMs < 1)
    fields.error(name, 'is shorter than 1ms', 'write at least 1ms');
  return timeoutMs;
}
