// The section `admissionControl` of a ResiliencePolicy: the sidecars of a service turn requests away, by chance, once too
// few of what the app answered went well, so that an app that fails is not asked by everybody. Only names and ranges are
// ours; what the numbers mean is Envoy's AdmissionControl, and what is not written has its default.
import type { Fields } from './fields.ts';

/** Both ends included. */
export interface SuccessSpan {
  readonly from: number;
  readonly to: number;
}

export interface AdmissionControlSection {
  readonly kind: 'admissionControl';
  /** What has been answered in this time is what counts; null is 30 s. */
  readonly samplingWindowMs: number | null;
  /** 1 is in proportion to what fails, more is sooner; null is 1. */
  readonly aggression: number | null;
  /** Percent of successes below which requests are turned away; null is 95. */
  readonly successThreshold: number | null;
  /** Requests per second below which nothing is turned away; null is 0. */
  readonly minimumRate: number | null;
  /** Percent of the requests that may be turned away at most; null is 80. */
  readonly maxRejection: number | null;
  /** Statuses of successes; empty is all below 500. */
  readonly successStatuses: readonly SuccessSpan[];
  /** Of gRPC responses; empty is what is not the server's fault. */
  readonly grpcSuccessStatuses: readonly number[];
}

const WINDOW_MIN_MS = 1000;
const STATUS = { min: 100, max: 599 };

export function readAdmissionControlSection(fields: Fields): AdmissionControlSection {
  const samplingWindowMs = fields.durationMs('samplingWindow');
  if (samplingWindowMs !== null && samplingWindowMs < WINDOW_MIN_MS)
    fields.error('samplingWindow', 'is shorter than 1s', 'write a time such as 30s');
  return {
    kind: 'admissionControl',
    samplingWindowMs,
    aggression: fields.decimal('aggression', { min: 1, max: 1000 }),
    successThreshold: fields.decimal('successThreshold', { min: 1, max: 100 }),
    minimumRate: fields.integer('minimumRate', { min: 0, max: 4_294_967_295 }),
    maxRejection: fields.decimal('maxRejection', { min: 0, max: 100 }),
    successStatuses: fields.list('successStatuses', readSpan).filter((span) => span !== null),
    grpcSuccessStatuses: fields.integers('grpcSuccessStatuses', { min: 0, max: 16 }),
  };
}

function readSpan(fields: Fields): SuccessSpan | null {
  fields.refuseUnknown();
  const from = fields.integer('from', STATUS);
  const to = fields.integer('to', STATUS);
  for (const end of ['from', 'to'])
    if (!fields.has(end)) fields.error(end, `${end} is missing`, 'write { from: 200, to: 299 }');
  if (from === null || to === null) return null;
  if (from > to) fields.error('to', `${to} is below ${from}`, 'write the lower end first');
  return { from, to };
}
