// What outlier detection in this thread says of an endpoint, for the admin server: whether it is out, and how many of its
// requests went well in the last interval.
import type { ClusterId } from '../base/brand.ts';
import { UNFIT, type Endpoint } from '../plan/cluster.ts';
import type { OutlierStatus } from './admin/source.ts';
import type { Proxy } from './proxy.ts';

/** Scrape time. Rates are -1 without outlier detection. */
export function outlierStatus({ outliers }: Proxy, cluster: ClusterId, endpoint: Endpoint): OutlierStatus {
  const host = outliers.detectorOf(cluster)?.hostOf(endpoint) ?? null;
  return {
    isEjected: (endpoint.unfit & UNFIT.EJECTED) !== 0,
    successRate: host?.successRate ?? -1,
    localSuccessRate: host?.localSuccessRate ?? -1,
  };
}
