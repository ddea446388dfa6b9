// How many retries there may be at one time, as a share of the requests under way: `retryBudget` of a DestinationRule's
// traffic policy and of a ResiliencePolicy (istio.networking.v1 TrafficPolicy.RetryBudget, names and defaults).
import type { Fields } from './fields.ts';

export interface RetryBudget {
  /** Of the active and waiting requests; null is 20. */
  readonly percent: number | null;
  /** So many are always allowed; null is 3. */
  readonly retriesMin: number | null;
  /** Requests that began within this time count as active; null is 0. */
  readonly intervalMs: number | null;
}

export interface RetryBudgetSection extends RetryBudget {
  readonly kind: 'retryBudget';
}

export function readRetryBudget(fields: Fields): RetryBudget {
  return {
    percent: fields.decimal('percent', { min: 0, max: 100 }),
    retriesMin: fields.integer('minRetryConcurrency', { min: 0, max: 4_294_967_295 }),
    intervalMs: fields.durationMs('budgetInterval'),
  };
}

export function readRetryBudgetSection(fields: Fields): RetryBudgetSection {
  return { kind: 'retryBudget', ...readRetryBudget(fields) };
}
