// The section `outlierDetection` of a ResiliencePolicy: what Envoy's outlier detection has and a DestinationRule cannot
// say. It adds to the DestinationRule's; alone it switches ejection on with Envoy's defaults.
import type { Fields } from './fields.ts';

/** Ejection of the instances whose share of failures is this high (Envoy OutlierDetection.failure_percentage_*). */
export interface FailurePercentage {
  /** Percent; 85 by default. */
  readonly threshold: number | null;
  /** Instances that must have had `requestVolume`; 5 by default. */
  readonly minimumHosts: number | null;
  /** Requests in an interval; 50 by default. */
  readonly requestVolume: number | null;
}

/** Ejection of the instances that fail more than the others do (Envoy OutlierDetection.success_rate_*). */
export interface SuccessRate {
  /** 5 by default. */
  readonly minimumHosts: number | null;
  /** Requests in an interval; 100 by default. */
  readonly requestVolume: number | null;
  /** How many standard deviations below the mean; 1.9 by default. */
  readonly deviations: number | null;
}

export interface EjectionSection {
  readonly kind: 'outlierDetection';
  /** No ejection is longer, jitter aside; null is 300 s. */
  readonly maxEjectionMs: number | null;
  /** Each ejection is longer by anything up to this; null is 0. */
  readonly jitterMs: number | null;
  /** One instance may be ejected whatever `maxEjectionPercent` says; null is true for our sidecars, false for Envoy. */
  readonly alwaysEjectsOne: boolean | null;
  /** A passed health check ends an ejection; null is true. */
  readonly endsOnHealthCheck: boolean | null;
  readonly failurePercentage: FailurePercentage | null;
  readonly successRate: SuccessRate | null;
}

const COUNT = { min: 1, max: 4_294_967_295 };

export function readEjectionSection(fields: Fields): EjectionSection {
  const maxEjectionMs = fields.durationMs('maxEjectionTime');
  if (maxEjectionMs !== null && maxEjectionMs < 1)
    fields.error('maxEjectionTime', 'is shorter than 1ms', 'write a time such as 5m');
  return {
    kind: 'outlierDetection',
    maxEjectionMs,
    jitterMs: fields.durationMs('ejectionJitter'),
    alwaysEjectsOne: fields.flag('alwaysEjectOne'),
    endsOnHealthCheck: fields.flag('healthCheckEndsEjection'),
    failurePercentage: fields.object('failurePercentage', (part) => {
      part.refuseUnknown();
      return {
        threshold: part.integer('threshold', { min: 1, max: 100 }),
        minimumHosts: part.integer('minimumHosts', COUNT),
        requestVolume: part.integer('requestVolume', COUNT),
      };
    }),
    successRate: fields.object('successRate', (part) => {
      part.refuseUnknown();
      return {
        minimumHosts: part.integer('minimumHosts', COUNT),
        requestVolume: part.integer('requestVolume', COUNT),
        deviations: part.decimal('deviations', { min: 0.001, max: 1000 }),
      };
    }),
  };
}
