// The section `outlierDetection` of a ResiliencePolicy in a cluster. What a DestinationRule has set stays; without one,
// ejection by consecutive errors is as Envoy has it, and the two statistical kinds are off unless they are asked for.
import { create } from '@bufbuild/protobuf';
import type { EjectionSection } from '../../config/ejection-section.ts';
import { Cluster_CommonLbConfigSchema } from '../../xds/gen/envoy/config/cluster/v3/cluster_pb.js';
import type { Cluster } from '../../xds/gen/envoy/config/cluster/v3/cluster_pb.js';
import { OutlierDetectionSchema } from '../../xds/gen/envoy/config/cluster/v3/outlier_detection_pb.js';
import type { OutlierDetection } from '../../xds/gen/envoy/config/cluster/v3/outlier_detection_pb.js';
import { duration } from './proto.ts';

/** Envoy's base_ejection_time where none is given. */
const BASE_EJECTION_MS = 30_000;
const STDEV_UNIT = 1000;

export function applyEjection(cluster: Cluster, section: EjectionSection): void {
  const made = cluster.outlierDetection ?? create(OutlierDetectionSchema, { enforcingSuccessRate: 0 });
  if (cluster.outlierDetection === undefined) {
    cluster.outlierDetection = made;
    // As for a DestinationRule with outlierDetection: ejected instances get nothing while another is left.
    cluster.commonLbConfig ??= create(Cluster_CommonLbConfigSchema);
    cluster.commonLbConfig.healthyPanicThreshold ??= { $typeName: 'envoy.type.v3.Percent', value: 0 };
  }
  const { maxEjectionMs, jitterMs, alwaysEjectsOne, endsOnHealthCheck } = section;
  if (maxEjectionMs !== null) {
    made.maxEjectionTime = duration(maxEjectionMs);
    // Envoy refuses a base that is longer.
    if (baseMs(made) > maxEjectionMs) made.baseEjectionTime = duration(maxEjectionMs);
  }
  if (jitterMs !== null) made.maxEjectionTimeJitter = duration(jitterMs);
  if (alwaysEjectsOne !== null) made.alwaysEjectOneHost = alwaysEjectsOne;
  if (endsOnHealthCheck !== null) made.successfulActiveHealthCheckUnejectHost = endsOnHealthCheck;
  applyStatistics(made, section);
}

function applyStatistics(made: OutlierDetection, { failurePercentage, successRate }: EjectionSection): void {
  const isSplit = made.splitExternalLocalOriginErrors;
  if (failurePercentage !== null) {
    const { threshold, minimumHosts, requestVolume } = failurePercentage;
    made.enforcingFailurePercentage = 100;
    if (isSplit) made.enforcingFailurePercentageLocalOrigin = 100;
    if (threshold !== null) made.failurePercentageThreshold = threshold;
    if (minimumHosts !== null) made.failurePercentageMinimumHosts = minimumHosts;
    if (requestVolume !== null) made.failurePercentageRequestVolume = requestVolume;
  }
  if (successRate !== null) {
    const { minimumHosts, requestVolume, deviations } = successRate;
    made.enforcingSuccessRate = 100;
    if (isSplit) made.enforcingLocalOriginSuccessRate = 100;
    if (minimumHosts !== null) made.successRateMinimumHosts = minimumHosts;
    if (requestVolume !== null) made.successRateRequestVolume = requestVolume;
    if (deviations !== null) made.successRateStdevFactor = Math.round(deviations * STDEV_UNIT);
  }
}

function baseMs({ baseEjectionTime }: OutlierDetection): number {
  return baseEjectionTime === undefined
    ? BASE_EJECTION_MS
    : Number(baseEjectionTime.seconds) * 1000 + baseEjectionTime.nanos / 1_000_000;
}
