// The section `hedge` of a ResiliencePolicy: when an attempt is slow, another is sent beside it, and the first that
// answers wins (Envoy HedgePolicy.hedge_on_per_try_timeout). Each hedge is a retry: it needs one left, and budget.
import type { Fields } from './fields.ts';

export interface HedgeSection {
  readonly kind: 'hedge';
  /** How long an attempt is waited for; null is the route's perTryTimeout, which must then be there. */
  readonly afterMs: number | null;
  /** More attempts than the first, at most; null is what the route's retries allow. */
  readonly attempts: number | null;
}

export function readHedgeSection(fields: Fields): HedgeSection {
  const afterMs = fields.durationMs('after');
  if (afterMs !== null && afterMs < 1) fields.error('after', 'is shorter than 1ms', 'write a time such as 200ms');
  return { kind: 'hedge', afterMs, attempts: fields.integer('attempts', { min: 1, max: 100 }) };
}
