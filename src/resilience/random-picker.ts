// @hot
// Random: every endpoint with a chance in proportion to its weight. Envoy's own random balancer
// leaves weights out; ours honours them, because a weight that is written is meant.
import type { Endpoint, Picker } from '../plan/cluster.ts';

export class RandomPicker implements Picker {
  readonly #endpoints: readonly Endpoint[];
  /** Sums of the weights up to and with each endpoint. */
  readonly #sums: Float64Array;
  readonly #total: number;
  readonly #random: () => number;

  /** At least one endpoint; every weight more than 0. */
  constructor(endpoints: readonly Endpoint[], weights: Float64Array, random: () => number) {
    this.#endpoints = endpoints;
    this.#random = random;
    this.#sums = new Float64Array(weights.length);
    let total = 0;
    for (let index = 0; index < weights.length; index++) {
      total += weights[index] as number;
      this.#sums[index] = total;
    }
    this.#total = total;
  }

  pick(): Endpoint {
    const point = this.#random() * this.#total;
    const sums = this.#sums;
    let low = 0;
    let high = sums.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((sums[middle] as number) > point) high = middle;
      else low = middle + 1;
    }
    return this.#endpoints[low] as Endpoint;
  }
}
