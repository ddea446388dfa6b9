// @hot
// Stands before a cluster's picker while the ejection time of an endpoint is over: one request goes there to see whether it
// is well, at a time, and everything else where the picker says. A request that can be repeated is preferred, since
// it loses nothing; after a while, or when no other endpoint is there, any will do.
import type { Endpoint, Picker } from '../plan/cluster.ts';
import type { Clock } from '../base/clock.ts';
import type { Exchange } from '../plan/exchange.ts';
import type { OutlierHost } from './outlier-host.ts';

/** For so long only requests that can be repeated probe. */
const PATIENCE_MS = 1000;
/** A probe that has not ended by then is not waited for: its request may never have been sent. */
const PROBE_MS_MAX = 15_000;

export interface Probing {
  readonly host: OutlierHost;
  /** When the ejection time was over, on the clock's now(). */
  readonly sinceMs: number;
}

export class ProbePicker implements Picker {
  readonly #inner: Picker;
  readonly #probing: readonly Probing[];
  readonly #clock: Clock;

  constructor(inner: Picker, probing: readonly Probing[], clock: Clock) {
    this.#inner = inner;
    this.#probing = probing;
    this.#clock = clock;
  }

  pick(x: Exchange | null): Endpoint | null {
    if (x === null || x.attempts > 0) return this.#inner.pick(x);
    const nowMs = this.#clock.now();
    const isRepeatable = x.request.method === 'GET' || x.request.method === 'HEAD';
    for (let i = 0; i < this.#probing.length; i++) {
      const { host, sinceMs } = this.#probing[i] as Probing;
      if (host.isProbed && nowMs - host.probeStartedMs < PROBE_MS_MAX) continue;
      if (!isRepeatable && nowMs - sinceMs < PATIENCE_MS) continue;
      host.probe(x, nowMs);
      return host.endpoint;
    }
    const endpoint = this.#inner.pick(x);
    return endpoint ?? this.#anyProbed(x, nowMs);
  }

  /** No other endpoint is there, so even a request that cannot be repeated, or a second one, is better off here. */
  #anyProbed(x: Exchange, nowMs: number): Endpoint | null {
    const first = this.#probing[0];
    if (first === undefined) return null;
    if (!first.host.isProbed) first.host.probe(x, nowMs);
    return first.host.endpoint;
  }
}
