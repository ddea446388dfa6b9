// The section `concurrencyLimit` of a ResiliencePolicy: how many requests a service serves at a time, all of its clients
// together. Limits of a DestinationRule hold for each client by itself.
import type { Fields } from './fields.ts';

export interface ConcurrencyLimitSection {
  readonly kind: 'concurrencyLimit';
  /** At least 1. */
  readonly requests: number;
}

export function readConcurrencyLimitSection(fields: Fields): ConcurrencyLimitSection {
  const requests = fields.integer('requests', { min: 1, max: 4_294_967_294 });
  if (!fields.has('requests')) fields.error('requests', 'requests is missing', 'add requests: 100 or the like');
  return { kind: 'concurrencyLimit', requests: requests ?? 1 };
}
