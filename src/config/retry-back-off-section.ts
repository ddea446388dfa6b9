// The section `retryBackOff` of a ResiliencePolicy: how long a retry waits, where neither VirtualService nor HTTPRoute
// can say it: the longest wait, whether the base is a minimum, and what the upstream says of when to come back.
import type { Fields } from './fields.ts';
import { limits } from './limits.ts';

export interface ResetHeader {
  readonly name: string;
  /** `Seconds` from now, or a point in time as `UnixTimestamp`. */
  readonly format: 'Seconds' | 'UnixTimestamp';
}

export interface RetryBackOffSection {
  readonly kind: 'retryBackOff';
  /** Null is the route's own, else 25 ms. */
  readonly baseMs: number | null;
  /** Null is 10 times the base. */
  readonly maxMs: number | null;
  /** True: never less than the base. Null is what the route's kind has: true for an HTTPRoute. */
  readonly isMinimum: boolean | null;
  readonly rateLimited: {
    /** Tried in this order. */
    readonly headers: readonly ResetHeader[];
    /** What says more is not believed; null is 300 s. */
    readonly maxMs: number | null;
  } | null;
}

const NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;

export function readRetryBackOffSection(fields: Fields): RetryBackOffSection {
  const baseMs = wait(fields, 'base');
  const maxMs = wait(fields, 'max');
  if (maxMs !== null && maxMs < (baseMs ?? 0)) fields.error('max', 'is less than base', 'write at least as much');
  const jitter = fields.choice('jitter', ['Full', 'AboveBase']);
  return {
    kind: 'retryBackOff',
    baseMs,
    maxMs,
    isMinimum: jitter === null ? null : jitter === 'AboveBase',
    rateLimited: fields.object('rateLimited', (part) => {
      part.refuseUnknown();
      const headers = part.list('resetHeaders', readResetHeader, limits.matchesMax);
      if (headers.length === 0)
        part.error('resetHeaders', 'no header is named', 'add resetHeaders: [{ name: Retry-After }]');
      return { headers, maxMs: wait(part, 'max') };
    }),
  };
}

/** Envoy counts whole milliseconds, and 0 is refused. */
function wait(fields: Fields, name: string): number | null {
  const waitMs = fields.durationMs(name);
  if (waitMs !== null && waitMs < 1) fields.error(name, 'is shorter than 1ms', 'write a time such as 25ms');
  return waitMs;
}

function readResetHeader(fields: Fields): ResetHeader {
  fields.refuseUnknown();
  const name = fields.requiredText('name', 'add name: Retry-After or the like');
  if (name !== '' && !NAME.test(name)) fields.error('name', `"${name}" is not the name of a header`, 'correct it');
  return { name, format: fields.choice('format', ['Seconds', 'UnixTimestamp']) ?? 'Seconds' };
}
