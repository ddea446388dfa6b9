// @hot
// What outlier detection keeps of one endpoint: failures in a row, the results of the interval that runs, how often it was
// put out, and whether it is. It is told of every attempt, and tells the detector when a threshold is
// reached. While it is out only the request that probes it counts.
import { OUTCOME, type Endpoint, type EndpointWatch } from '../plan/cluster.ts';
import type { Exchange } from '../plan/exchange.ts';
import type { OutlierSettings } from './outlier-settings.ts';
import type { OutlierKind } from './outlier-tally.ts';

export const IN = 0;
export const OUT = 1;
/** The ejection time is over, and no request has shown yet whether it is well. */
export const PROBING = 2;
export type HostState = typeof IN | typeof OUT | typeof PROBING;

/** The detector, as its hosts see it. */
export interface OutlierOwner {
  readonly settings: OutlierSettings;
  onThreshold(host: OutlierHost, kind: OutlierKind, x: Exchange | null): void;
  onProbed(host: OutlierHost, isWell: boolean): void;
}

/** Requests of one interval; rates are judged by the last whole one. */
export class ResultBucket {
  total = 0;
  succeeded = 0;

  clear(): void {
    this.total = 0;
    this.succeeded = 0;
  }
}

export class OutlierHost implements EndpointWatch {
  readonly endpoint: Endpoint;
  state: HostState = IN;
  /** The multiple of the base ejection time; grows with each ejection, and shrinks with each interval of health. */
  ejections = 0;
  /** On the clock's now(). */
  probeStartedMs = 0;
  readonly external = new ResultBucket();
  readonly local = new ResultBucket();
  /** Percent of the last interval; -1 when there were too few requests. Shown by the admin server. */
  successRate = -1;
  localSuccessRate = -1;
  /** When it was put out last, and when it came back, on the clock's now(); null: never. */
  ejectedMs: number | null = null;
  returnedMs: number | null = null;
  readonly #owner: OutlierOwner;
  #failures = 0;
  #gatewayFailures = 0;
  #localFailures = 0;
  /** The request that probes, by its exchange and epoch; null: none is under way. */
  #probe: Exchange | null = null;
  #probeEpoch = 0;

  constructor(endpoint: Endpoint, owner: OutlierOwner) {
    this.endpoint = endpoint;
    this.#owner = owner;
  }

  get isProbed(): boolean {
    return this.#probe !== null;
  }

  /** `x` goes to this endpoint to see whether it is well. */
  probe(x: Exchange, nowMs: number): void {
    this.#probe = x;
    this.#probeEpoch = x.epoch;
    this.probeStartedMs = nowMs;
  }

  /** Nobody probes: another request may. */
  endProbe(): void {
    this.#probe = null;
  }

  onOutcome(_endpoint: Endpoint, outcome: number, _latencyMs: number, x: Exchange | null): void {
    if (this.state !== IN) {
      this.#probed(outcome, x);
      return;
    }
    if (outcome === OUTCOME.NONE) return;
    if (outcome > 0) {
      this.#answered(outcome, x);
      if (this.#owner.settings.splitsLocalOrigin) {
        this.#localFailures = 0;
        this.local.total++;
        this.local.succeeded++;
      }
    } else if (this.#owner.settings.splitsLocalOrigin) this.#failedHere(x);
    // Envoy: without the split a failure of this side counts as an answer.
    else this.#answered(outcome === OUTCOME.TIMEOUT ? 504 : 503, x);
  }

  #probed(outcome: number, x: Exchange | null): void {
    if (x === null || x !== this.#probe || x.epoch !== this.#probeEpoch) return;
    this.#probe = null;
    if (outcome !== OUTCOME.NONE) this.#owner.onProbed(this, outcome > 0 && outcome < 500);
  }

  #answered(status: number, x: Exchange | null): void {
    const { external } = this;
    external.total++;
    if (status < 500) {
      external.succeeded++;
      this.#failures = 0;
      this.#gatewayFailures = 0;
      return;
    }
    const { consecutive5xx, consecutiveGateway } = this.#owner.settings;
    if (status >= 502 && status <= 504) {
      if (++this.#gatewayFailures === consecutiveGateway.threshold) {
        this.#gatewayFailures = 0;
        this.#owner.onThreshold(this, 'consecutive_gateway_failure', x);
      }
    } else this.#gatewayFailures = 0;
    if (this.state === IN && ++this.#failures === consecutive5xx.threshold) {
      this.#failures = 0;
      this.#owner.onThreshold(this, 'consecutive_5xx', x);
    }
  }

  #failedHere(x: Exchange | null): void {
    this.local.total++;
    if (++this.#localFailures === this.#owner.settings.consecutiveLocalOrigin.threshold) {
      this.#localFailures = 0;
      this.#owner.onThreshold(this, 'consecutive_local_origin_failure', x);
    }
  }

  /** It takes traffic again: what was counted before says nothing of it now. */
  restart(): void {
    this.state = IN;
    this.#probe = null;
    this.#failures = 0;
    this.#gatewayFailures = 0;
    this.#localFailures = 0;
    this.external.clear();
    this.local.clear();
  }
}
