// Finds the endpoints whose requests fail more than those of the others: by how far a success rate lies below the mean
// of all, or by the percentage of failures. Source: Envoy's success rate and failure percentage ejection.
import type { OutlierHost, ResultBucket } from './outlier-host.ts';
import type { OutlierSettings, RateRule } from './outlier-settings.ts';
import type { OutlierKind } from './outlier-tally.ts';

export interface RateFinding {
  readonly host: OutlierHost;
  readonly kind: OutlierKind;
  /** Percent of its requests that succeeded. */
  readonly rate: number;
  /** Of all endpoints, and the rate below which one is put out; -1 unless success rates are compared. */
  readonly average: number;
  readonly least: number;
}

interface Rated {
  readonly host: OutlierHost;
  /** Percent of the requests that succeeded. */
  readonly rate: number;
}

type BucketOf = (host: OutlierHost) => ResultBucket;

/** What the interval that ends has shown; `hosts` are those that take traffic. */
export function findByRates(hosts: readonly OutlierHost[], settings: OutlierSettings): readonly RateFinding[] {
  const external = findIn(hosts, settings, (host) => host.external, ['success_rate', 'failure_percentage']);
  if (!settings.splitsLocalOrigin) return external;
  const kinds = ['local_origin_success_rate', 'local_origin_failure_percentage'] as const;
  return [...external, ...findIn(hosts, settings, (host) => host.local, kinds)];
}

function findIn(
  hosts: readonly OutlierHost[],
  { successRate, failurePercentage }: OutlierSettings,
  bucketOf: BucketOf,
  [bySuccess, byFailure]: readonly [OutlierKind, OutlierKind],
): readonly RateFinding[] {
  const findings: RateFinding[] = [];
  const rated = rate(hosts, successRate, bucketOf);
  const average = rated.length === 0 ? -1 : averageOf(rated);
  const least = rated.length === 0 ? -1 : boundOf(rated, average, successRate.deviationFactor);
  for (const { host, rate: own } of rated) {
    if (own < least) findings.push({ host, kind: bySuccess, rate: own, average, least });
  }
  for (const { host, rate: own } of rate(hosts, failurePercentage, bucketOf)) {
    if (100 - own >= failurePercentage.threshold)
      findings.push({ host, kind: byFailure, rate: own, average: -1, least: -1 });
  }
  return findings;
}

/** The endpoints with enough requests; none when they are too few. */
function rate(hosts: readonly OutlierHost[], rule: RateRule, bucketOf: BucketOf): readonly Rated[] {
  const rated: Rated[] = [];
  for (const host of hosts) {
    const { total, succeeded } = bucketOf(host);
    if (total > 0 && total >= rule.requestVolume) rated.push({ host, rate: (100 * succeeded) / total });
  }
  return rated.length > 0 && rated.length >= rule.minimumHosts ? rated : [];
}

function averageOf(rated: readonly Rated[]): number {
  return rated.reduce((sum, { rate: own }) => sum + own, 0) / rated.length;
}

/** The mean less so many thousandths of the standard deviation. */
function boundOf(rated: readonly Rated[], mean: number, deviationFactor: number): number {
  const variance = rated.reduce((sum, { rate: own }) => sum + (own - mean) ** 2, 0) / rated.length;
  return mean - Math.sqrt(variance) * (deviationFactor / 1000);
}
