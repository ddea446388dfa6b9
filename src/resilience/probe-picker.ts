// @hot
// Stands before a balancer while the ejection time of one of its endpoints is over: one request goes there to see whether
// it is well, at a time, and everything else where the balancer says. A request that can be repeated is preferred, since
// it loses nothing; after a while, or when no other endpoint is there, any will do. Nobody is sent where the request
// may not go: to another subset (each subset has its own), to a worse priority than the balancer chose, away from its
// session, or to where its hash would not lead were the endpoint well.
import { UNFIT, type Endpoint, type Picker } from '../plan/cluster.ts';
import type { Clock } from '../base/clock.ts';
import type { Exchange } from '../plan/exchange.ts';
import { PROBING, type OutlierHost } from './outlier-host.ts';

/** A probe that has not ended by then is not waited for: its request may never have been sent. */
export const PROBE_MS_MAX = 15_000;

export interface Probing {
  readonly host: OutlierHost;
  /** Until then, on the clock's now(), only requests that can be repeated probe. */
  readonly anyAfterMs: number;
}

export interface Probes {
  readonly probing: readonly Probing[];
  /** The balancer as it would be if they were well, for those that go by a hash; null for others. */
  readonly asIfWell: Picker | null;
  readonly clock: Clock;
}

export class ProbePicker implements Picker {
  readonly usesHash: boolean;
  readonly #inner: Picker;
  readonly #probes: Probes;

  constructor(inner: Picker, probes: Probes) {
    this.usesHash = inner.usesHash === true;
    this.#inner = inner;
    this.#probes = probes;
  }

  pick(x: Exchange | null): Endpoint | null {
    const chosen = this.#inner.pick(x);
    if (x === null) return chosen;
    const { probing, clock } = this.#probes;
    if (x.attempts > 0) return chosen ?? this.#anyProbed(x, clock.now());
    const nowMs = clock.now();
    const isRepeatable = x.request.method === 'GET' || x.request.method === 'HEAD';
    for (let i = 0; i < probing.length; i++) {
      const { host, anyAfterMs } = probing[i] as Probing;
      if (!isOpen(host) || isBusy(host, nowMs) || !this.#mayProbe(host.endpoint, chosen, x)) continue;
      if (!isRepeatable && nowMs < anyAfterMs) continue;
      host.probe(x, nowMs);
      return host.endpoint;
    }
    return chosen ?? this.#anyProbed(x, nowMs);
  }

  #mayProbe(endpoint: Endpoint, chosen: Endpoint | null, x: Exchange): boolean {
    if (chosen !== null && endpoint.priority > chosen.priority) return false;
    if (x.sessionEndpoint !== '' && x.sessionEndpoint !== endpoint.authority) return false;
    const { asIfWell } = this.#probes;
    return asIfWell === null || !x.hasHash || asIfWell.pick(x) === endpoint;
  }

  /** No other endpoint is there, so even a request that cannot be repeated, or a second one, is better off here. */
  #anyProbed(x: Exchange, nowMs: number): Endpoint | null {
    const { probing } = this.#probes;
    for (let i = 0; i < probing.length; i++) {
      const { host } = probing[i] as Probing;
      if (!isOpen(host)) continue;
      if (!host.isProbed) host.probe(x, nowMs);
      return host.endpoint;
    }
    return null;
  }
}

/** Its ejection is all that keeps traffic away. */
function isOpen(host: OutlierHost): boolean {
  return host.state === PROBING && host.endpoint.unfit === UNFIT.EJECTED;
}

function isBusy(host: OutlierHost, nowMs: number): boolean {
  return host.isProbed && nowMs - host.probeStartedMs < PROBE_MS_MAX;
}
