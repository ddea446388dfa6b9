// What one health check of a cluster has counted over all endpoints: Envoy's `cluster.NAME.health_check.*`.
import type { HealthCheck, HealthTally } from './health-check.ts';

export class HealthCounts implements HealthTally {
  attempts = 0;
  successes = 0;
  failures = 0;
  passiveFailures = 0;
  networkFailures = 0;
  verifications = 0;
  /** Those that run. */
  readonly checks = new Set<HealthCheck>();

  /** Scrape time. */
  get healthy(): number {
    return [...this.checks].filter(({ isFailed }) => !isFailed).length;
  }

  get degraded(): number {
    return [...this.checks].filter(({ isDegraded }) => isDegraded).length;
  }
}
