// @hot
// Round robin. Equal weights: one after the other. Differing weights: earliest deadline first, where
// the deadline of an endpoint's pick number n is n / weight. The quotient is computed afresh each
// time, never summed up, so that over every run of "sum of weights" picks each endpoint gets exactly
// its weight, spread out and not in bursts. Both start at a random place: many sidecars that get the
// same endpoints at the same moment must not all begin with the first.
import type { Endpoint, Picker } from '../plan/cluster.ts';
import { DeadlineHeap } from './deadline-heap.ts';

export class EvenRoundRobin implements Picker {
  readonly #endpoints: readonly Endpoint[];
  #next: number;

  /** At least one endpoint. */
  constructor(endpoints: readonly Endpoint[], random: () => number) {
    this.#endpoints = endpoints;
    this.#next = Math.floor(random() * endpoints.length);
  }

  pick(): Endpoint {
    const index = this.#next;
    this.#next = index + 1 === this.#endpoints.length ? 0 : index + 1;
    return this.#endpoints[index] as Endpoint;
  }
}

export class WeightedRoundRobin implements Picker {
  readonly #endpoints: readonly Endpoint[];
  readonly #weights: Float64Array;
  readonly #picks: Float64Array;
  readonly #heap: DeadlineHeap;

  /** At least one endpoint; every weight more than 0. */
  constructor(endpoints: readonly Endpoint[], weights: Float64Array, random: () => number) {
    this.#endpoints = endpoints;
    this.#weights = weights;
    this.#picks = new Float64Array(weights.length);
    const deadlines = new Float64Array(weights.length);
    for (let index = 0; index < weights.length; index++) deadlines[index] = 1 / (weights[index] as number);
    this.#heap = new DeadlineHeap(deadlines);
    for (let skipped = Math.floor(random() * weights.length); skipped > 0; skipped--) this.pick();
  }

  pick(): Endpoint {
    const index = this.#heap.first;
    const picks = (this.#picks[index] as number) + 1;
    this.#picks[index] = picks;
    this.#heap.deadlines[index] = (picks + 1) / (this.#weights[index] as number);
    this.#heap.sink();
    return this.#endpoints[index] as Endpoint;
  }
}
