// The section `adaptiveConcurrency` of a ResiliencePolicy: how many requests an app gets at a time, found from how much
// longer than at rest it takes. Only names are ours; what the numbers mean is Envoy's gradient controller, and what is
// not written has its default.
import type { Fields } from './fields.ts';

/** How long a request takes when the app has little to do (Envoy MinimumRTTCalculationParams). */
export interface RestTime {
  /** How often it is measured again; null is 60 s. */
  readonly intervalMs: number | null;
  /** Given, and never measured; null is measured. */
  readonly fixedMs: number | null;
  /** Requests that are measured; null is 50. */
  readonly requests: number | null;
  /** Requests at a time while it is measured, and at least ever; null is 3. */
  readonly minConcurrency: number | null;
  /** Percent of the interval that may be added to it, by chance; null is 15. */
  readonly jitter: number | null;
  /** Percent that requests may take longer before the limit falls; null is 25. */
  readonly buffer: number | null;
}

export interface AdaptiveConcurrencySection {
  readonly kind: 'adaptiveConcurrency';
  /** Of the times taken, which one counts, in percent; null is 50, the median. */
  readonly percentile: number | null;
  /** The limit is never higher; null is 1000. */
  readonly maxConcurrency: number | null;
  /** How often the limit is found anew; null is 100 ms. */
  readonly updateIntervalMs: number | null;
  readonly restTime: RestTime | null;
  /** Of what is turned away; null is 503. */
  readonly status: 429 | 503 | null;
}

const COUNT = { min: 1, max: 4_294_967_295 };
const PERCENT = { min: 0, max: 100 };

export function readAdaptiveConcurrencySection(fields: Fields): AdaptiveConcurrencySection {
  return {
    kind: 'adaptiveConcurrency',
    percentile: fields.decimal('percentile', PERCENT),
    maxConcurrency: fields.integer('maxConcurrency', COUNT),
    updateIntervalMs: timeOf(fields, 'updateInterval'),
    restTime: fields.object('restTime', readRestTime),
    status: statusOf(fields),
  };
}

function readRestTime(fields: Fields): RestTime {
  fields.refuseUnknown();
  if (fields.has('interval') && fields.has('fixed'))
    fields.error('fixed', 'is never measured, but there is an interval', 'leave out one of interval and fixed');
  return {
    intervalMs: timeOf(fields, 'interval'),
    fixedMs: timeOf(fields, 'fixed'),
    requests: fields.integer('requests', COUNT),
    minConcurrency: fields.integer('minConcurrency', COUNT),
    jitter: fields.decimal('jitter', PERCENT),
    buffer: fields.decimal('buffer', PERCENT),
  };
}

function statusOf(fields: Fields): 429 | 503 | null {
  const status = fields.integer('status');
  if (status === null || status === 429 || status === 503) return status;
  fields.error('status', `${status} does not say that there is too much to do`, 'write 429 or 503');
  return null;
}

function timeOf(fields: Fields, name: string): number | null {
  const ms = fields.durationMs(name);
  if (ms !== null && ms < 1) fields.error(name, 'is shorter than 1ms', 'write a time such as 100ms');
  return ms;
}
