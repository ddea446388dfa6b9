// An ejection, or its end, as a line of the outlier event log: JSON with Envoy's names and its defaults written out. Like
// Envoy, the end of an ejection does not tell for what the endpoint was out.
// Source: Envoy data.cluster.v3.OutlierDetectionEvent.
import type { Endpoint } from '../plan/cluster.ts';
import type { OutlierKind } from './outlier-tally.ts';

export interface OutlierEvent {
  readonly cluster: string;
  readonly endpoint: Endpoint;
  /** Since it was put out, or came back; null: never before. */
  readonly sinceMs: number | null;
  /** The multiple of the base ejection time. */
  readonly ejections: number;
  /** Null: it came back. */
  readonly ejection: Ejection | null;
}

export interface Ejection {
  readonly kind: OutlierKind;
  readonly isEnforced: boolean;
  /** Percent of its requests that succeeded; -1 for failures in a row. */
  readonly successRate: number;
  /** Of all endpoints, and the rate below which one is put out; -1 unless success rates were compared. */
  readonly averageRate: number;
  readonly leastRate: number;
}

const TYPES: Readonly<Record<OutlierKind, string>> = {
  consecutive_5xx: 'CONSECUTIVE_5XX',
  consecutive_gateway_failure: 'CONSECUTIVE_GATEWAY_FAILURE',
  consecutive_local_origin_failure: 'CONSECUTIVE_LOCAL_ORIGIN_FAILURE',
  success_rate: 'SUCCESS_RATE',
  local_origin_success_rate: 'SUCCESS_RATE_LOCAL_ORIGIN',
  failure_percentage: 'FAILURE_PERCENTAGE',
  local_origin_failure_percentage: 'FAILURE_PERCENTAGE_LOCAL_ORIGIN',
};

/** `wallMs`: since the Unix epoch. Without a line end. */
export function formatOutlierEvent({ cluster, endpoint, ...event }: OutlierEvent, wallMs: number): string {
  const { sinceMs, ejections, ejection } = event;
  return JSON.stringify({
    type: TYPES[ejection?.kind ?? 'consecutive_5xx'],
    timestamp: new Date(wallMs).toISOString(),
    ...(sinceMs === null ? {} : { secs_since_last_action: String(Math.floor(sinceMs / 1000)) }),
    cluster_name: cluster,
    upstream_url: endpoint.authority,
    action: ejection === null ? 'UNEJECT' : 'EJECT',
    num_ejections: ejections,
    enforced: ejection?.isEnforced ?? false,
    ...(ejection === null ? {} : detailsOf(ejection)),
  });
}

function detailsOf({ kind, successRate, averageRate, leastRate }: Ejection): object {
  switch (kind) {
    case 'success_rate':
    case 'local_origin_success_rate':
      return {
        eject_success_rate_event: {
          host_success_rate: Math.floor(successRate),
          cluster_average_success_rate: Math.floor(averageRate),
          cluster_success_rate_ejection_threshold: Math.floor(leastRate),
        },
      };
    case 'failure_percentage':
    case 'local_origin_failure_percentage':
      return { eject_failure_percentage_event: { host_success_rate: Math.floor(successRate) } };
    default:
      return { eject_consecutive_event: {} };
  }
}
