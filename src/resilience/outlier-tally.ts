// What outlier detection has done in one cluster, under Envoy's names (cluster.NAME.outlier_detection.*).

/** For what an endpoint is put out. */
export const OUTLIER_KINDS = [
  'consecutive_5xx',
  'consecutive_gateway_failure',
  'consecutive_local_origin_failure',
  'success_rate',
  'local_origin_success_rate',
  'failure_percentage',
  'local_origin_failure_percentage',
] as const;
export type OutlierKind = (typeof OUTLIER_KINDS)[number];

export class OutlierTally {
  /** Out now. */
  active = 0;
  /** Ejections that did not happen, because too many others were out, or it was the last. */
  overflow = 0;
  /** Ejections that did not last: the first request after the ejection time failed as well. */
  probesFailed = 0;
  probesSucceeded = 0;
  /** Envoy's old `ejections_total`: of 5xx in a row and success rates alone, enforced or not. */
  chosenTotal = 0;
  readonly #detected = new Map<OutlierKind, number>();
  readonly #enforced = new Map<OutlierKind, number>();

  detect(kind: OutlierKind): void {
    this.#detected.set(kind, this.detected(kind) + 1);
  }

  /** It may be put out, whether that is enforced or not. */
  choose(kind: OutlierKind): void {
    if (kind === 'consecutive_5xx' || kind === 'success_rate') this.chosenTotal++;
  }

  enforce(kind: OutlierKind): void {
    this.#enforced.set(kind, this.enforced(kind) + 1);
    this.active++;
  }

  detected(kind: OutlierKind): number {
    return this.#detected.get(kind) ?? 0;
  }

  enforced(kind: OutlierKind): number {
    return this.#enforced.get(kind) ?? 0;
  }

  get enforcedTotal(): number {
    return [...this.#enforced.values()].reduce((sum, count) => sum + count, 0);
  }
}
