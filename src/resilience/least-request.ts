// @hot
// Least request, as Envoy has it. Equal weights: of `choiceCount` endpoints drawn at random, with
// repetition, the one with the fewest requests in flight; the first drawn wins a tie. Differing
// weights: earliest deadline first with weight / (active + 1)^bias, taken at the moment of the pick.
import type { Endpoint, Picker } from '../plan/cluster.ts';
import { DeadlineHeap } from './deadline-heap.ts';

export class LeastOfChoices implements Picker {
  readonly #endpoints: readonly Endpoint[];
  readonly #choiceCount: number;
  readonly #random: () => number;

  /** At least one endpoint. */
  constructor(endpoints: readonly Endpoint[], choiceCount: number, random: () => number) {
    this.#endpoints = endpoints;
    this.#choiceCount = choiceCount;
    this.#random = random;
  }

  pick(): Endpoint {
    const endpoints = this.#endpoints;
    let best = endpoints[Math.floor(this.#random() * endpoints.length)] as Endpoint;
    for (let choice = 1; choice < this.#choiceCount; choice++) {
      const drawn = endpoints[Math.floor(this.#random() * endpoints.length)] as Endpoint;
      if (drawn.active < best.active) best = drawn;
    }
    return best;
  }
}

/** Looks at every endpoint; a tie is broken at random, each of the equals with the same chance. */
export class LeastOfAll implements Picker {
  readonly #endpoints: readonly Endpoint[];
  readonly #random: () => number;

  /** At least one endpoint. */
  constructor(endpoints: readonly Endpoint[], random: () => number) {
    this.#endpoints = endpoints;
    this.#random = random;
  }

  pick(): Endpoint {
    const endpoints = this.#endpoints;
    let best = endpoints[0] as Endpoint;
    let equals = 1;
    for (let index = 1; index < endpoints.length; index++) {
      const candidate = endpoints[index] as Endpoint;
      if (candidate.active > best.active) continue;
      equals = candidate.active < best.active ? 1 : equals + 1;
      if (equals === 1 || this.#random() * equals < 1) best = candidate;
    }
    return best;
  }
}

export class WeightedLeastRequest implements Picker {
  readonly #endpoints: readonly Endpoint[];
  readonly #weights: Float64Array;
  readonly #bias: number;
  readonly #heap: DeadlineHeap;

  /** At least one endpoint; every weight more than 0. */
  constructor(endpoints: readonly Endpoint[], weights: Float64Array, bias: number, random: () => number) {
    this.#endpoints = endpoints;
    this.#weights = weights;
    this.#bias = bias;
    const deadlines = new Float64Array(weights.length);
    for (let index = 0; index < weights.length; index++) deadlines[index] = this.#stride(index);
    this.#heap = new DeadlineHeap(deadlines);
    for (let skipped = Math.floor(random() * weights.length); skipped > 0; skipped--) this.pick();
  }

  pick(): Endpoint {
    const heap = this.#heap;
    const index = heap.first;
    heap.deadlines[index] = (heap.deadlines[index] as number) + this.#stride(index);
    heap.sink();
    return this.#endpoints[index] as Endpoint;
  }

  /** One over the weight that the requests in flight leave. */
  #stride(index: number): number {
    const load = (this.#endpoints[index] as Endpoint).active + 1;
    const bias = this.#bias;
    const divisor = bias === 1 ? load : bias === 0 ? 1 : Math.pow(load, bias);
    return divisor / (this.#weights[index] as number);
  }
}
