// @hot
// Peak EWMA: of two endpoints drawn at random, the one that costs less, where the cost is an exponentially
// decaying average of its latency times the requests it has and would have. A latency above the average counts
// at once (the peak), one below it little by little. A failure counts as a long latency, so that an endpoint
// which fails fast does not draw the traffic of those that work. The average belongs to the endpoint and
// outlives its picker. Source: Finagle's and Linkerd's peak EWMA, with Linkerd's penalty for failures on.
import type { Endpoint, EndpointWatch, Picker } from '../plan/cluster.ts';
import { OUTCOME } from '../plan/cluster.ts';

export interface PeakEwmaSettings {
  /** The time in which an old latency loses all but 1/e of its weight; 10000 by default. */
  readonly decayMs: number;
  /** What an endpoint is taken for before it has answered; 30 by default. */
  readonly defaultLatencyMs: number;
  /** What a failure counts for at least; 5000 by default. */
  readonly penaltyMs: number;
}

/** The average latency of one endpoint. */
export class LatencyWatch implements EndpointWatch {
  readonly #settings: PeakEwmaSettings;
  readonly #now: () => number;
  #averageMs: number;
  #stampMs: number;

  constructor(settings: PeakEwmaSettings, now: () => number) {
    this.#settings = settings;
    this.#now = now;
    this.#averageMs = settings.defaultLatencyMs;
    this.#stampMs = now();
  }

  isFor({ decayMs, defaultLatencyMs, penaltyMs }: PeakEwmaSettings): boolean {
    const own = this.#settings;
    return own.decayMs === decayMs && own.defaultLatencyMs === defaultLatencyMs && own.penaltyMs === penaltyMs;
  }

  onOutcome(_endpoint: Endpoint, outcome: number, latencyMs: number): void {
    if (outcome === OUTCOME.NONE) return;
    const isFailure = outcome < 0 || outcome >= 500 || outcome === 429;
    const { penaltyMs } = this.#settings;
    const sampleMs = isFailure ? (latencyMs > penaltyMs ? latencyMs : penaltyMs) : latencyMs;
    if (sampleMs < 0) return;
    const nowMs = this.#now();
    const kept = this.#kept(nowMs);
    this.#stampMs = nowMs;
    this.#averageMs = sampleMs > this.#averageMs ? sampleMs : sampleMs + (this.#averageMs - sampleMs) * kept;
  }

  /** What one more request would cost: without answers the average falls back to the default, for another try. */
  cost(endpoint: Endpoint, nowMs: number): number {
    const { defaultLatencyMs } = this.#settings;
    const average = this.#averageMs;
    const latencyMs =
      average > defaultLatencyMs ? defaultLatencyMs + (average - defaultLatencyMs) * this.#kept(nowMs) : average;
    return (latencyMs + 0.001) * (endpoint.active + 1);
  }

  #kept(nowMs: number): number {
    const idleMs = nowMs - this.#stampMs;
    return idleMs <= 0 ? 1 : Math.exp(-idleMs / this.#settings.decayMs);
  }
}

export class PeakEwma implements Picker {
  readonly #endpoints: readonly Endpoint[];
  readonly #watches: readonly LatencyWatch[];
  readonly #weights: Float64Array;
  readonly #random: () => number;
  readonly #now: () => number;

  /** At least one endpoint; a watch and a weight for each. */
  constructor(
    endpoints: readonly Endpoint[],
    watches: readonly LatencyWatch[],
    weights: Float64Array,
    { random, now }: { readonly random: () => number; readonly now: () => number },
  ) {
    this.#endpoints = endpoints;
    this.#watches = watches;
    this.#weights = weights;
    this.#random = random;
    this.#now = now;
  }

  pick(): Endpoint {
    const endpoints = this.#endpoints;
    const size = endpoints.length;
    const first = Math.floor(this.#random() * size);
    if (size === 1) return endpoints[0] as Endpoint;
    // The second is always another one.
    let second = Math.floor(this.#random() * (size - 1));
    if (second >= first) second++;
    const nowMs = this.#now();
    return endpoints[this.#cost(second, nowMs) < this.#cost(first, nowMs) ? second : first] as Endpoint;
  }

  #cost(index: number, nowMs: number): number {
    const watch = this.#watches[index] as LatencyWatch;
    return watch.cost(this.#endpoints[index] as Endpoint, nowMs) / (this.#weights[index] as number);
  }
}

/** Config time: the endpoint's own watch, made when it has none of these settings. */
export function latencyWatchOf(endpoint: Endpoint, settings: PeakEwmaSettings, now: () => number): LatencyWatch {
  const known = endpoint.watches.find((watch) => watch instanceof LatencyWatch && watch.isFor(settings));
  if (known instanceof LatencyWatch) return known;
  const watch = new LatencyWatch(settings, now);
  forgetLatency(endpoint);
  endpoint.watches = Object.freeze(endpoint.watches.concat(watch));
  return watch;
}

/** Config time: the cluster asks for latencies no more. */
export function forgetLatency(endpoint: Endpoint): void {
  if (!endpoint.watches.some((watch) => watch instanceof LatencyWatch)) return;
  endpoint.watches = Object.freeze(endpoint.watches.filter((watch) => !(watch instanceof LatencyWatch)));
}
