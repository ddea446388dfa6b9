// Circuit breaking per endpoint in one cluster. An endpoint that fails too often in a row, or more than the others, is put
// out for a time that grows with each ejection; then one real request probes it, and its result decides whether it
// comes back, warming up, or goes out again. The last endpoint that is well is never put out, and one may always be.
//
//   in ── threshold ─► out ── ejection time ─► probing ── a request succeeds ─► in (slow start)
//                       ▲                          └── it fails ──┘
import { assertNever } from '../base/assert.ts';
import type { Clock } from '../base/clock.ts';
import type { Log } from '../base/log.ts';
import { UNFIT, type Endpoint } from '../plan/cluster.ts';
import type { Exchange } from '../plan/exchange.ts';
import type { Delay } from './dns-discovery.ts';
import type { Ejection, OutlierEvent } from './outlier-event.ts';
import { IN, OUT, PROBING, OutlierHost, type OutlierOwner, type ResultBucket } from './outlier-host.ts';
import { findByRates, type RateFinding } from './outlier-rates.ts';
import type { OutlierSettings, RateRule } from './outlier-settings.ts';
import type { OutlierKind, OutlierTally } from './outlier-tally.ts';
import { PROBE_MS_MAX, type Probing } from './probe-picker.ts';

export interface OutlierPorts {
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly delay: Delay;
  readonly log: Log;
  readonly tally: OutlierTally;
  /** LiveCluster.setUnfit. */
  readonly setUnfit: (endpoint: Endpoint, reason: number, isUnfit: boolean) => boolean;
  /** Another endpoint is to be probed, or one no more. */
  readonly onProbing: () => void;
  /** Absent: nobody keeps a log of ejections. */
  readonly onEvent?: ((event: Omit<OutlierEvent, 'cluster'>) => void) | undefined;
}

/** For so long, and at most half an interval, only requests that can be repeated probe. */
const PATIENCE_MS = 1000;

export class OutlierDetector implements OutlierOwner {
  settings: OutlierSettings;
  readonly #ports: OutlierPorts;
  readonly #hosts = new Map<Endpoint, OutlierHost>();
  readonly #returns = new Map<OutlierHost, () => void>();
  readonly #probing = new Map<OutlierHost, Probing>();
  /** Endpoints of which it was said in this interval that they would be put out. */
  readonly #capped = new Set<OutlierHost>();
  #endInterval: (() => void) | null = null;

  constructor(settings: OutlierSettings, ports: OutlierPorts) {
    this.settings = settings;
    this.#ports = ports;
  }

  get probing(): readonly Probing[] {
    return [...this.#probing.values()];
  }

  /** The endpoints of the cluster, now: new ones are watched, and those that left are forgotten. */
  follow(endpoints: readonly Endpoint[]): void {
    const present = new Set(endpoints);
    for (const [endpoint, host] of this.#hosts) if (!present.has(endpoint)) this.#forget(host, true);
    for (const endpoint of endpoints) {
      if (this.#hosts.has(endpoint)) continue;
      const host = new OutlierHost(endpoint, this);
      this.#hosts.set(endpoint, host);
      endpoint.watches = Object.freeze([...endpoint.watches, host]);
    }
    if (this.#hosts.size > 0) this.#endInterval ??= this.#ports.delay(() => this.#tick(), this.settings.intervalMs);
  }

  /** Nobody is watched any more, and nobody is out for it. */
  close(): void {
    this.#endInterval?.();
    this.#endInterval = null;
    for (const host of this.#hosts.values()) this.#forget(host, false);
  }

  hostOf(endpoint: Endpoint): OutlierHost | null {
    return this.#hosts.get(endpoint) ?? null;
  }

  /** The endpoint's active health checks have passed. */
  onCheckPassed(endpoint: Endpoint): void {
    const host = this.#hosts.get(endpoint);
    if (host !== undefined && host.state !== IN && this.settings.endsOnCheck)
      this.#return(host, 'a health check passed');
  }

  onThreshold(host: OutlierHost, kind: OutlierKind, x: Exchange | null): void {
    this.#eject({ host, kind, ...NO_RATE }, x);
  }

  onProbed(host: OutlierHost, isWell: boolean): void {
    const { tally } = this.#ports;
    if (isWell) {
      tally.probesSucceeded++;
      this.#return(host, 'a request succeeded');
      return;
    }
    tally.probesFailed++;
    this.#say(host, 'stays ejected', 'the request that probed it failed');
    this.#putOut(host);
    this.#ports.onProbing();
  }

  #eject(finding: RateFinding, x: Exchange | null): void {
    const { host, kind } = finding;
    if (host.state !== IN) return;
    const { tally, random, clock } = this.#ports;
    tally.detect(kind);
    // Envoy draws last, and counts as too many what it would not have enforced.
    if (random() * 100 >= enforcingOf(this.settings, kind)) {
      tally.choose(kind);
      this.#tell(host, host.returnedMs, ejectionOf(finding, false));
      this.#ports.log.debug('outlier detected, not enforced', { endpoint: host.endpoint.authority, kind });
      return;
    }
    const why = this.#whyNot();
    if (why !== '') {
      tally.overflow++;
      x?.note(clock.now(), 'ejection_capped', `${host.endpoint.authority} ${kind}: ${why}`);
      if (!this.#capped.has(host)) this.#say(host, 'would be ejected', `${kind}, but ${why}`);
      this.#capped.add(host);
      return;
    }
    tally.choose(kind);
    tally.enforce(kind);
    x?.note(clock.now(), 'ejected', `${host.endpoint.authority} ${kind}`);
    const ejectionMs = this.#putOut(host);
    this.#tell(host, host.returnedMs, ejectionOf(finding, true));
    this.#say(host, 'ejected', `${kind}, for ${Math.round(ejectionMs)} ms`);
  }

  /** Why no further endpoint may be put out; empty: one may. */
  #whyNot(): string {
    const { maxEjectionPercent, mayAlwaysEjectOne } = this.settings;
    const share = Math.floor((maxEjectionPercent * this.#hosts.size) / 100);
    const most = mayAlwaysEjectOne && maxEjectionPercent > 0 ? Math.max(1, share) : share;
    let out = 0;
    let fit = 0;
    for (const { state, endpoint } of this.#hosts.values()) {
      if (state !== IN) out++;
      if (endpoint.unfit === 0) fit++;
    }
    if (fit <= 1) return 'it is the last that is well';
    return out >= most ? `${out} of ${this.#hosts.size} are out (max_ejection_percent ${maxEjectionPercent})` : '';
  }

  /** Out for its time; how long that is, in milliseconds. Source: Envoy base_ejection_time, max_ejection_time. */
  #putOut(host: OutlierHost): number {
    const { baseEjectionMs, maxEjectionMs, ejectionJitterMs } = this.settings;
    const { random, delay, setUnfit } = this.#ports;
    if (host.ejections * baseEjectionMs < maxEjectionMs + baseEjectionMs) host.ejections++;
    const ejectionMs = Math.min(baseEjectionMs * host.ejections, maxEjectionMs) + random() * ejectionJitterMs;
    host.state = OUT;
    host.ejectedMs = this.#ports.clock.now();
    host.endProbe();
    this.#probing.delete(host);
    this.#returns.get(host)?.();
    this.#returns.set(
      host,
      delay(() => this.#beginProbing(host), ejectionMs),
    );
    setUnfit(host.endpoint, UNFIT.EJECTED, true);
    return ejectionMs;
  }

  #beginProbing(host: OutlierHost): void {
    this.#returns.delete(host);
    host.state = PROBING;
    const anyAfterMs = this.#ports.clock.now() + Math.min(PATIENCE_MS, this.settings.intervalMs / 2);
    this.#probing.set(host, { host, anyAfterMs });
    this.#awaitProbe(host);
    this.#ports.onProbing();
  }

  /** Where no request comes that could probe it for a whole interval, it is taken for well, as Envoy does. */
  #awaitProbe(host: OutlierHost): void {
    const { delay, clock } = this.#ports;
    const end = (): void => {
      if (host.isProbed && clock.now() - host.probeStartedMs < PROBE_MS_MAX) this.#awaitProbe(host);
      else this.#return(host, 'no request came to probe it');
    };
    this.#returns.set(host, delay(end, this.settings.intervalMs));
  }

  #return(host: OutlierHost, why: string): void {
    this.#leaveOut(host);
    const nowMs = this.#ports.clock.now();
    host.endpoint.warmSinceMs = nowMs;
    host.endpoint.returnedMs = nowMs;
    this.#tell(host, host.ejectedMs, null);
    host.returnedMs = nowMs;
    this.#say(host, 'returns', why);
    this.#ports.setUnfit(host.endpoint, UNFIT.EJECTED, false);
  }

  #leaveOut(host: OutlierHost): void {
    this.#ports.tally.active--;
    this.#returns.get(host)?.();
    this.#returns.delete(host);
    this.#probing.delete(host);
    host.restart();
  }

  #forget(host: OutlierHost, isGone: boolean): void {
    const { endpoint } = host;
    this.#hosts.delete(endpoint);
    this.#capped.delete(host);
    endpoint.watches = Object.freeze(endpoint.watches.filter((watch) => watch !== host));
    if (host.state === IN) return;
    this.#leaveOut(host);
    if (!isGone) this.#ports.setUnfit(endpoint, UNFIT.EJECTED, false);
  }

  /** The end of an interval: rates are judged, and who was well through it is trusted a little more. */
  #tick(): void {
    this.#endInterval = null;
    this.#capped.clear();
    const hosts = [...this.#hosts.values()].filter(({ state }) => state === IN);
    const { successRate, failurePercentage } = this.settings;
    for (const host of this.#hosts.values()) {
      if (host.state !== IN) host.external.clear();
      if (host.state !== IN) host.local.clear();
      host.successRate = rateOf(host.external, successRate, failurePercentage);
      host.localSuccessRate = rateOf(host.local, successRate, failurePercentage);
    }
    for (const finding of findByRates(hosts, this.settings)) this.#eject(finding, null);
    for (const host of hosts) {
      if (host.state === IN && host.ejections > 0) host.ejections--;
      host.external.clear();
      host.local.clear();
    }
    if (this.#hosts.size > 0) this.#endInterval = this.#ports.delay(() => this.#tick(), this.settings.intervalMs);
  }

  #tell({ endpoint, ejections }: OutlierHost, beforeMs: number | null, ejection: Ejection | null): void {
    const { onEvent, clock } = this.#ports;
    onEvent?.({ endpoint, ejections, ejection, sinceMs: beforeMs === null ? null : clock.now() - beforeMs });
  }

  #say({ endpoint }: OutlierHost, what: string, why: string): void {
    this.#ports.log.warning(`endpoint ${what}`, { endpoint: endpoint.authority, why });
  }
}

const NO_RATE = { rate: -1, average: -1, least: -1 };

function ejectionOf({ kind, rate, average, least }: RateFinding, isEnforced: boolean): Ejection {
  return { kind, isEnforced, successRate: rate, averageRate: average, leastRate: least };
}

/** Of the interval that ends, in percent; -1: too few requests for either rule. */
function rateOf({ total, succeeded }: ResultBucket, one: RateRule, other: RateRule): number {
  const least = Math.max(1, Math.min(one.requestVolume, other.requestVolume));
  return total >= least ? (100 * succeeded) / total : -1;
}

function enforcingOf(settings: OutlierSettings, kind: OutlierKind): number {
  switch (kind) {
    case 'consecutive_5xx':
      return settings.consecutive5xx.enforcing;
    case 'consecutive_gateway_failure':
      return settings.consecutiveGateway.enforcing;
    case 'consecutive_local_origin_failure':
      return settings.consecutiveLocalOrigin.enforcing;
    case 'success_rate':
      return settings.successRate.enforcing;
    case 'local_origin_success_rate':
      return settings.successRate.enforcingLocalOrigin;
    case 'failure_percentage':
      return settings.failurePercentage.enforcing;
    case 'local_origin_failure_percentage':
      return settings.failurePercentage.enforcingLocalOrigin;
    default:
      return assertNever(kind);
  }
}
