// What active health checks count, under Envoy's names: `cluster.NAME.health_check.*`, and for a check that has a
// name `cluster.NAME.health_check.name.CHECK.*`.
import type { Numbers } from './proxy-stats.ts';

/** One check of a cluster, over all its endpoints. */
export interface HealthNumbers {
  /** Empty for the only check of a cluster. */
  readonly name: string;
  readonly counts: {
    readonly attempts: number;
    readonly successes: number;
    readonly failures: number;
    readonly passiveFailures: number;
    readonly networkFailures: number;
    readonly verifications: number;
    readonly healthy: number;
    readonly degraded: number;
  };
}

/** Scrape time. */
export function healthStats(checks: readonly HealthNumbers[]): Numbers {
  return checks.flatMap(({ name, counts }) => {
    const prefix = name === '' ? 'health_check' : `health_check.name.${name}`;
    return [
      [`${prefix}.attempt`, 'counter', counts.attempts],
      [`${prefix}.success`, 'counter', counts.successes],
      [`${prefix}.failure`, 'counter', counts.failures],
      [`${prefix}.passive_failure`, 'counter', counts.passiveFailures],
      [`${prefix}.network_failure`, 'counter', counts.networkFailures],
      [`${prefix}.verify_cluster`, 'counter', counts.verifications],
      [`${prefix}.healthy`, 'gauge', counts.healthy],
      [`${prefix}.degraded`, 'gauge', counts.degraded],
    ] as const;
  });
}
