// Compiles a cluster's outlier detection: which results put an endpoint out, for how long, and how many may be out at
// a time. Defaults are Envoy's; what differs is when nothing is said about the last endpoints (docs/adr/012).
import type { Duration } from '@bufbuild/protobuf/wkt';
import { error } from '../base/problem.ts';
import type { CompileEnv } from '../plan/plan.ts';
import type { OutlierDetection } from '../xds/gen/envoy/config/cluster/v3/outlier_detection_pb.js';
import { durationMs } from './duration.ts';

/** So many failures in a row put an endpoint out; 0 never. `enforcing`: the chance that it does, in percent. */
export interface ConsecutiveRule {
  readonly threshold: number;
  readonly enforcing: number;
}

/** Judged at each interval, over what happened in it. */
export interface RateRule {
  /** So many endpoints must have had `requestVolume` requests. */
  readonly minimumHosts: number;
  readonly requestVolume: number;
  /** Chance of enforcement in percent, for answers and for failures of this side. */
  readonly enforcing: number;
  readonly enforcingLocalOrigin: number;
}

export interface OutlierSettings {
  readonly consecutive5xx: ConsecutiveRule;
  readonly consecutiveGateway: ConsecutiveRule;
  readonly consecutiveLocalOrigin: ConsecutiveRule;
  readonly splitsLocalOrigin: boolean;
  /** Standard deviations below the mean, times 1000. */
  readonly successRate: RateRule & { readonly deviationFactor: number };
  /** Percent of failures from which an endpoint is put out. */
  readonly failurePercentage: RateRule & { readonly threshold: number };
  readonly intervalMs: number;
  readonly baseEjectionMs: number;
  readonly maxEjectionMs: number;
  readonly ejectionJitterMs: number;
  readonly maxEjectionPercent: number;
  /** However few endpoints there are, one may be out. */
  readonly mayAlwaysEjectOne: boolean;
  /** An active health check that passes ends an ejection. */
  readonly endsOnCheck: boolean;
}

const PERCENT_MAX = 100;

/** Null without outlier detection. Source: Envoy OutlierDetection; a runtime key `outlier_detection.FIELD` wins. */
export function compileOutlier(
  config: OutlierDetection | undefined,
  env: CompileEnv,
  path: string,
): OutlierSettings | null {
  if (config === undefined) return null;
  const number = (field: string, value: number | undefined, absent: number): number =>
    env.runtimeNumber(`outlier_detection.${field}`, value ?? absent);
  const percent = (field: string, value: number | undefined, absent: number): number => {
    const read = number(field, value, absent);
    if (read >= 0 && read <= PERCENT_MAX) return read;
    env.problems.push(error(`${path}.${field}`, `${read} is not a percentage`, 'write a value from 0 to 100'));
    return absent;
  };
  const time = (field: string, value: Duration | undefined, absentMs: number, aboveMs: number | null): number =>
    durationMs(value, { absentMs, aboveMs }, env, `${path}.${field}`);
  for (const [index] of config.monitors.entries()) {
    env.problems.push(error(`${path}.monitors[${index}]`, 'monitors are not supported', 'write the fields of before'));
  }
  const baseEjectionMs = time('base_ejection_time', config.baseEjectionTime, 30_000, 0);
  return Object.freeze({
    consecutive5xx: {
      threshold: number('consecutive_5xx', config.consecutive5xx, 5),
      enforcing: percent('enforcing_consecutive_5xx', config.enforcingConsecutive5xx, 100),
    },
    consecutiveGateway: {
      threshold: number('consecutive_gateway_failure', config.consecutiveGatewayFailure, 5),
      enforcing: percent('enforcing_consecutive_gateway_failure', config.enforcingConsecutiveGatewayFailure, 0),
    },
    consecutiveLocalOrigin: {
      threshold: number('consecutive_local_origin_failure', config.consecutiveLocalOriginFailure, 5),
      enforcing: percent(
        'enforcing_consecutive_local_origin_failure',
        config.enforcingConsecutiveLocalOriginFailure,
        100,
      ),
    },
    splitsLocalOrigin: config.splitExternalLocalOriginErrors,
    successRate: {
      minimumHosts: number('success_rate_minimum_hosts', config.successRateMinimumHosts, 5),
      requestVolume: number('success_rate_request_volume', config.successRateRequestVolume, 100),
      deviationFactor: number('success_rate_stdev_factor', config.successRateStdevFactor, 1900),
      enforcing: percent('enforcing_success_rate', config.enforcingSuccessRate, 100),
      enforcingLocalOrigin: percent('enforcing_local_origin_success_rate', config.enforcingLocalOriginSuccessRate, 100),
    },
    failurePercentage: {
      minimumHosts: number('failure_percentage_minimum_hosts', config.failurePercentageMinimumHosts, 5),
      requestVolume: number('failure_percentage_request_volume', config.failurePercentageRequestVolume, 50),
      threshold: percent('failure_percentage_threshold', config.failurePercentageThreshold, 85),
      enforcing: percent('enforcing_failure_percentage', config.enforcingFailurePercentage, 0),
      enforcingLocalOrigin: percent(
        'enforcing_failure_percentage_local_origin',
        config.enforcingFailurePercentageLocalOrigin,
        0,
      ),
    },
    intervalMs: time('interval', config.interval, 10_000, 0),
    baseEjectionMs,
    maxEjectionMs: Math.max(baseEjectionMs, time('max_ejection_time', config.maxEjectionTime, 300_000, 0)),
    ejectionJitterMs: time('max_ejection_time_jitter', config.maxEjectionTimeJitter, 0, null),
    maxEjectionPercent: percent('max_ejection_percent', config.maxEjectionPercent, 10),
    mayAlwaysEjectOne: config.alwaysEjectOneHost ?? true,
    endsOnCheck: config.successfulActiveHealthCheckUnejectHost ?? true,
  });
}
