// The outlierDetection section of a traffic policy: when an instance that fails is left out, and for how long
// (istio.networking.v1 OutlierDetection). Null is Envoy's default, or Istio's where that is another.
import type { Fields } from './fields.ts';
import { readPositiveMs } from './positive-duration.ts';

export interface Outlier {
  readonly consecutive5xx: number | null;
  readonly consecutiveGateway: number | null;
  readonly consecutiveLocalOrigin: number | null;
  readonly splitsLocalOrigin: boolean;
  readonly intervalMs: number | null;
  readonly baseEjectionMs: number | null;
  readonly maxEjectionPercent: number | null;
  readonly minHealthPercent: number | null;
}

const COUNT = { min: 0, max: 4_294_967_295 };

export function readOutlier(fields: Fields): Outlier {
  const percent = { min: 0, max: 100 };
  fields.later('outlierDetectionHttpErrorCodes');
  const [consecutive5xx, consecutiveErrors] = [
    fields.integer('consecutive5xxErrors', COUNT),
    fields.integer('consecutiveErrors', COUNT),
  ];
  return {
    consecutive5xx: consecutive5xx ?? consecutiveErrors,
    consecutiveGateway: fields.integer('consecutiveGatewayErrors', COUNT),
    consecutiveLocalOrigin: fields.integer('consecutiveLocalOriginFailures', COUNT),
    splitsLocalOrigin: fields.flag('splitExternalLocalOriginErrors') ?? false,
    intervalMs: readPositiveMs(fields, 'interval'),
    baseEjectionMs: readPositiveMs(fields, 'baseEjectionTime'),
    maxEjectionPercent: fields.integer('maxEjectionPercent', percent),
    minHealthPercent: fields.integer('minHealthPercent', percent),
  };
}
