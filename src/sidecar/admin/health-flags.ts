// Why an endpoint gets no traffic, or less: Envoy's words for it in `/clusters`, in Envoy's order. Several reasons
// stand side by side.
import { UNFIT, type Endpoint } from '../../plan/cluster.ts';
import type { ClusterStatus } from './source.ts';

/** `healthy`, or flags each behind a slash. */
export function healthFlags(status: ClusterStatus, endpoint: Endpoint): string {
  const flags = flagsOf(status, endpoint).filter(([, , isSet]) => isSet);
  return flags.length === 0 ? 'healthy' : flags.map(([flag]) => `/${flag}`).join('');
}

/** HostHealthStatus as JSON. */
export function jsonHealth(status: ClusterStatus, endpoint: Endpoint): object {
  const set = flagsOf(status, endpoint).filter(([, field, isSet]) => isSet && field !== '');
  return {
    ...Object.fromEntries(set.map(([, field]) => [field, true])),
    eds_health_status: status.healthOf(endpoint).toUpperCase(),
  };
}

type Flag = readonly [flag: string, field: string, isSet: boolean];

function flagsOf(status: ClusterStatus, endpoint: Endpoint): readonly Flag[] {
  const has = (reason: number): boolean => (endpoint.unfit & reason) !== 0;
  const health = status.healthOf(endpoint);
  return [
    ['failed_active_hc', 'failed_active_health_check', has(UNFIT.FAILED_CHECK)],
    ['failed_outlier_check', 'failed_outlier_check', status.outlierOf(endpoint).isEjected],
    ['failed_eds_health', '', health !== 'healthy' && health !== 'degraded'],
    ['degraded_active_hc', 'failed_active_degraded_check', endpoint.isDegraded],
    ['degraded_eds_health', '', health === 'degraded'],
    ['pending_dynamic_removal', 'pending_dynamic_removal', status.isLingering(endpoint)],
    ['pending_active_hc', 'pending_active_hc', has(UNFIT.UNCHECKED)],
    ['excluded_via_immediate_hc_fail', 'excluded_via_immediate_hc_fail', has(UNFIT.EXCLUDED)],
    ['active_hc_timeout', 'active_hc_timeout', has(UNFIT.CHECK_TIMED_OUT)],
  ];
}
