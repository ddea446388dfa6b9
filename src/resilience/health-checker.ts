// The active checks of one cluster: a HealthCheck for each check of each endpoint, begun and ended as endpoints and
// settings come and go. What the checks of an endpoint say together is its verdict: it fails while one of them does.
// A change of the settings checks anew what it changes, and takes nothing from an endpoint before the first result.
import type { Clock } from '../base/clock.ts';
import type { Log } from '../base/log.ts';
import type { TimerWheel } from '../base/timer-wheel.ts';
import { EMPTY_WATCHES, UNFIT, type Endpoint, type EndpointWatch } from '../plan/cluster.ts';
import type { CheckVerdict } from './checked-endpoints.ts';
import type { LiveCluster } from './cluster.ts';
import { HealthCheck, type HealthEvent, type Probe } from './health-check.ts';
import type { CheckPlace, HealthCheckSettings } from './health-check-settings.ts';
import { HealthCounts } from './health-counts.ts';

export interface HealthCheckerOptions {
  readonly cluster: LiveCluster;
  readonly clock: Clock;
  readonly wheel: TimerWheel;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly log: Log;
  readonly makeProbe: (request: ProbeRequest) => Probe;
  /** Called for each event of a check that has somewhere to write it. */
  readonly onEvent: (record: HealthRecord) => void;
  /** Each verdict, after the cluster has it. */
  readonly onVerdict: (endpoint: Endpoint, verdict: CheckVerdict) => void;
  /** Listens to the responses of an endpoint while it is checked. */
  readonly watch: EndpointWatch | null;
}

export interface ProbeRequest {
  readonly cluster: LiveCluster;
  readonly endpoint: Endpoint;
  readonly settings: HealthCheckSettings;
  readonly counts: HealthCounts;
}

export interface HealthRecord {
  readonly cluster: LiveCluster;
  readonly endpoint: Endpoint;
  readonly settings: HealthCheckSettings;
  readonly event: HealthEvent;
}

interface Checked {
  /** Equal while the endpoint is checked alike. */
  readonly key: string;
  readonly checks: readonly HealthCheck[];
}

const LOOK_MS = 200;

export class HealthChecker {
  /** By the name of the check. */
  readonly counts = new Map<string, HealthCounts>();
  readonly #options: HealthCheckerOptions;
  readonly #checked = new Map<Endpoint, Checked>();
  #hadTraffic = false;
  /** When the endpoints are asked again whether there is traffic. */
  #nextLookMs = 0;

  constructor(options: HealthCheckerOptions) {
    this.#options = options;
  }

  /** Checks exactly the endpoints that the cluster has now. */
  follow(): void {
    const { cluster } = this.#options;
    const settings = cluster.settings.healthChecks ?? [];
    const endpoints = new Set(cluster.endpoints);
    for (const endpoint of this.#checked.keys()) if (!endpoints.has(endpoint)) this.#end(endpoint);
    const rules = settings.map(({ fingerprint }) => fingerprint).join(' ');
    for (const endpoint of endpoints) {
      const place = cluster.checked.placeOf(endpoint);
      if (settings.length === 0 || place.isDisabled) {
        this.#end(endpoint);
        continue;
      }
      const key = keyOf(rules, place);
      if (this.#checked.get(endpoint)?.key === key) continue;
      this.#end(endpoint);
      this.#begin(endpoint, key, settings);
    }
  }

  close(): void {
    for (const endpoint of this.#checked.keys()) this.#end(endpoint);
  }

  /** A response of the endpoint asked to be left out. */
  failPassively(endpoint: Endpoint): void {
    for (const check of this.#checked.get(endpoint)?.checks ?? []) check.failPassively();
  }

  /** The cluster carries traffic, whatever its endpoints count. */
  markUsed(): void {
    this.#hadTraffic = true;
  }

  #begin(endpoint: Endpoint, key: string, settings: readonly HealthCheckSettings[]): void {
    const { watch } = this.#options;
    const isFailed = (endpoint.unfit & UNFIT.FAILED_CHECK) !== 0;
    const checks = settings.map((one) => this.#makeCheck(endpoint, one, isFailed));
    this.#checked.set(endpoint, { key, checks });
    if (watch !== null) endpoint.watches = [...endpoint.watches, watch];
    for (const check of checks) check.begin();
  }

  #end(endpoint: Endpoint): void {
    const { watch } = this.#options;
    const known = this.#checked.get(endpoint);
    if (known === undefined) return;
    this.#checked.delete(endpoint);
    for (const check of known.checks) {
      check.close();
      this.#countsOf(check.name).checks.delete(check);
    }
    const left = endpoint.watches.filter((one) => one !== watch);
    endpoint.watches = left.length === 0 ? EMPTY_WATCHES : left;
  }

  #makeCheck(endpoint: Endpoint, settings: HealthCheckSettings, isFailed: boolean): HealthCheck {
    const { cluster, clock, wheel, random, makeProbe, onEvent } = this.#options;
    const counts = this.#countsOf(settings.name);
    const check = new HealthCheck({
      settings,
      clock,
      wheel,
      random,
      probe: makeProbe({ cluster, endpoint, settings, counts }),
      tally: counts,
      isFailed,
      hasTraffic: () => this.#hasTraffic(),
      onEvent: (event) => {
        this.#report(endpoint, event);
        if (settings.eventPaths.length > 0) onEvent({ cluster, endpoint, settings, event });
      },
      onResult: () => this.#judge(endpoint),
    });
    counts.checks.add(check);
    return check;
  }

  #countsOf(name: string): HealthCounts {
    const known = this.counts.get(name);
    if (known !== undefined) return known;
    const made = new HealthCounts();
    this.counts.set(name, made);
    return made;
  }

  #judge(endpoint: Endpoint): void {
    const known = this.#checked.get(endpoint);
    if (known === undefined) return;
    const verdict = verdictOf(known.checks, this.#options.cluster);
    this.#options.cluster.judge(endpoint, verdict);
    this.#options.onVerdict(endpoint, verdict);
  }

  /** Connections for requests count, those of checks do not. */
  #hasTraffic(): boolean {
    const nowMs = this.#options.clock.now();
    // Not for each check: that would be every endpoint looking at every other.
    if (!this.#hadTraffic && nowMs >= this.#nextLookMs) {
      this.#nextLookMs = nowMs + LOOK_MS;
      this.#hadTraffic = this.#options.cluster.endpoints.some(({ connectionsTotal }) => connectionsTotal > 0);
    }
    return this.#hadTraffic;
  }

  #report(endpoint: Endpoint, event: HealthEvent): void {
    const { log, cluster } = this.#options;
    const where = { cluster: cluster.name, endpoint: endpoint.authority };
    if (event.kind === 'ejected') {
      log.warning('health check failed: the endpoint gets no traffic', {
        ...where,
        failure: event.failure,
        status: event.status,
      });
    } else if (event.kind === 'added') log.info('health check passed: the endpoint gets traffic', where);
    else if (event.kind === 'degraded') log.info('health check passed: the endpoint says it is degraded', where);
    else if (event.kind === 'recovered') log.info('health check passed: the endpoint is no longer degraded', where);
    else if (event.kind === 'failed' && event.isFirst) {
      log.warning('the first health check failed', { ...where, failure: event.failure, status: event.status });
    }
  }
}

function keyOf(rules: string, { address, port, hostname }: CheckPlace): string {
  return JSON.stringify([rules, address, port, hostname]);
}

/** One check that fails is enough; all of them must have had a result. */
function verdictOf(checks: readonly HealthCheck[], cluster: LiveCluster): CheckVerdict {
  const isChecked = checks.every((check) => check.isChecked);
  const excludesNew = cluster.settings.source.commonLbConfig?.ignoreNewHostsUntilFirstHc ?? false;
  let unfit = 0;
  if (checks.some((check) => check.isFailed)) unfit |= UNFIT.FAILED_CHECK;
  if (checks.some((check) => check.isExcluded)) unfit |= UNFIT.EXCLUDED;
  if (checks.some((check) => check.isTimedOut)) unfit |= UNFIT.CHECK_TIMED_OUT;
  if (!isChecked && excludesNew && unfit !== 0) unfit |= UNFIT.UNCHECKED;
  return { unfit, isDegraded: checks.some((check) => check.isDegraded), isChecked };
}
