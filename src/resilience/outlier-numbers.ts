// The statistics of outlier detection in one cluster, under Envoy's names, and ours for the probes that Envoy has not.
import { OUTLIER_KINDS, type OutlierTally } from './outlier-tally.ts';

type NumberRow = readonly [name: string, kind: 'counter' | 'gauge', value: number];

/** Scrape time. Nothing for a cluster without outlier detection. */
export function outlierNumbers(tally: OutlierTally | null): readonly NumberRow[] {
  if (tally === null) return [];
  const rows: NumberRow[] = [
    ['outlier_detection.ejections_active', 'gauge', tally.active],
    ['outlier_detection.ejections_overflow', 'counter', tally.overflow],
    ['outlier_detection.ejections_enforced_total', 'counter', tally.enforcedTotal],
    // Envoy's names of before, which it still counts.
    ['outlier_detection.ejections_total', 'counter', tally.chosenTotal],
    ['outlier_detection.ejections_consecutive_5xx', 'counter', tally.detected('consecutive_5xx')],
    ['outlier_detection.ejections_success_rate', 'counter', tally.detected('success_rate')],
    // Of a field that no configuration of 1.40 has.
    ['outlier_detection.ejections_detected_degradation', 'counter', 0],
    ['outlier_detection.probes_succeeded', 'counter', tally.probesSucceeded],
    ['outlier_detection.probes_failed', 'counter', tally.probesFailed],
  ];
  for (const kind of OUTLIER_KINDS) {
    rows.push([`outlier_detection.ejections_detected_${kind}`, 'counter', tally.detected(kind)]);
    rows.push([`outlier_detection.ejections_enforced_${kind}`, 'counter', tally.enforced(kind)]);
  }
  return rows;
}
