// @hot
// Round robin, least request and random while some endpoint warms up (slow start): earliest deadline first, with the
// weight of each endpoint taken at the moment of its pick, so that traffic rises steadily and not in steps.
// Once nobody warms, the cluster builds the ordinary picker; slow start costs nothing afterwards.
//
//   weight * max(least share, (max(age, 1 s) / window)^(1 / aggression))
//
// Source: Envoy SlowStartConfig.
import type { Endpoint, Picker } from '../plan/cluster.ts';
import { DeadlineHeap } from './deadline-heap.ts';

export interface SlowStart {
  /** More than 0. */
  readonly windowMs: number;
  /** More than 0; 1 by default: linear. */
  readonly aggression: number;
  /** 0 to 1; 0.1 by default. */
  readonly shareMin: number;
  /** Only what comes back from an ejection warms up, not what is new; absent is false. */
  readonly isForReturns?: boolean;
}

const AGE_MIN_MS = 1000;

/** When the endpoint's slow start began, on the clock's now(); 0: it has none. */
export function beganMs(endpoint: Endpoint, { isForReturns }: SlowStart): number {
  return isForReturns === true ? endpoint.returnedMs : endpoint.warmSinceMs;
}

/** The factor of the endpoint's weight, at most 1. */
export function warmth(endpoint: Endpoint, nowMs: number, slowStart: SlowStart): number {
  const { windowMs, aggression, shareMin } = slowStart;
  const sinceMs = beganMs(endpoint, slowStart);
  const ageMs = nowMs - sinceMs;
  if (sinceMs === 0 || ageMs >= windowMs) return 1;
  const part = (ageMs > AGE_MIN_MS ? ageMs : AGE_MIN_MS) / windowMs;
  const factor = aggression === 1 ? part : Math.pow(part, 1 / aggression);
  return factor > shareMin ? (factor < 1 ? factor : 1) : shareMin;
}

export interface WarmingOptions {
  /** At least one. */
  readonly endpoints: readonly Endpoint[];
  readonly weights: Float64Array;
  readonly slowStart: SlowStart;
  /** Of least request; 0 for round robin. */
  readonly activeRequestBias: number;
  readonly random: () => number;
  readonly now: () => number;
}

export class WarmingPicker implements Picker {
  readonly #endpoints: readonly Endpoint[];
  readonly #weights: Float64Array;
  readonly #slowStart: SlowStart;
  readonly #bias: number;
  readonly #now: () => number;
  readonly #heap: DeadlineHeap;

  constructor({ endpoints, weights, slowStart, activeRequestBias, random, now }: WarmingOptions) {
    this.#endpoints = endpoints;
    this.#weights = weights;
    this.#slowStart = slowStart;
    this.#bias = activeRequestBias;
    this.#now = now;
    const deadlines = new Float64Array(weights.length);
    const nowMs = now();
    for (let index = 0; index < weights.length; index++) deadlines[index] = this.#stride(index, nowMs);
    this.#heap = new DeadlineHeap(deadlines);
    for (let skipped = Math.floor(random() * weights.length); skipped > 0; skipped--) this.pick();
  }

  pick(): Endpoint {
    const heap = this.#heap;
    const index = heap.first;
    heap.deadlines[index] = (heap.deadlines[index] as number) + this.#stride(index, this.#now());
    heap.sink();
    return this.#endpoints[index] as Endpoint;
  }

  #stride(index: number, nowMs: number): number {
    const endpoint = this.#endpoints[index] as Endpoint;
    const bias = this.#bias;
    const load = bias === 0 ? 1 : bias === 1 ? endpoint.active + 1 : Math.pow(endpoint.active + 1, bias);
    return load / ((this.#weights[index] as number) * warmth(endpoint, nowMs, this.#slowStart));
  }
}
