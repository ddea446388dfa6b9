// Retries at a time as a share of the requests: `retryBudget` of DestinationRule and ResiliencePolicy; reader:
// config/retry-budget.ts.
import { decimal, duration, integer, object } from './field-schema.ts';
import type { FieldSchema } from './field-schema.ts';

export function retryBudget(): FieldSchema {
  return object('How many retries there may be at a time.', {
    percent: decimal('Of the requests under way; 20 by default.', { min: 0, max: 100 }),
    minRetryConcurrency: integer('So many are always allowed; 3 by default.', { min: 0, max: 4_294_967_295 }),
    budgetInterval: duration('Requests that began within this time count as under way; 0s by default.'),
  });
}
