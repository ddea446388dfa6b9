// When the endpoints of a cluster began to take traffic: at their first picker, and again whenever they come back
// from being unfit. Ends a slow start by building the picker once more when the last endpoint is warm, so that
// warm clusters have the ordinary one: one delay per cluster, and only while somebody warms up.
import type { Clock } from '../base/clock.ts';
import type { Endpoint } from '../plan/cluster.ts';
import type { Balancing } from './cluster-settings.ts';
import type { Delay } from './dns-discovery.ts';
import { beganMs } from './warming.ts';

export class Warmup {
  readonly #clock: Clock;
  readonly #delay: Delay;
  readonly #refresh: () => void;
  /** Those that the last picker could use. */
  #fit: ReadonlySet<Endpoint> = new Set();
  #cancel: (() => void) | null = null;
  readonly #now = (): number => this.#clock.now();

  constructor(clock: Clock, delay: Delay, refresh: () => void) {
    this.#clock = clock;
    this.#delay = delay;
    this.#refresh = refresh;
  }

  /** Before each new picker, which gets the clock returned. */
  watch(endpoints: readonly Endpoint[], balancing: Balancing): () => number {
    const nowMs = this.#now();
    const fit = new Set(endpoints.filter(({ isHealthy }) => isHealthy));
    for (const endpoint of fit) if (!this.#fit.has(endpoint)) endpoint.warmSinceMs = nowMs;
    this.#fit = fit;
    this.#cancel?.();
    this.#cancel = null;
    const slowStart = 'slowStart' in balancing ? (balancing.slowStart ?? null) : null;
    const lastMs =
      slowStart === null
        ? 0
        : endpoints.reduce((latest, endpoint) => Math.max(latest, beganMs(endpoint, slowStart)), 0);
    const leftMs = slowStart === null ? 0 : lastMs + slowStart.windowMs - nowMs;
    if (leftMs > 0 && lastMs > 0) {
      this.#cancel = this.#delay(() => {
        this.#cancel = null;
        this.#refresh();
      }, Math.ceil(leftMs));
    }
    return this.#now;
  }
}
