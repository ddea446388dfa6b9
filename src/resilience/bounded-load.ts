// @hot
// Hashing with bounded loads, as Envoy has it (hash_balance_factor): an endpoint whose requests in flight are
// more than its share of `factor` percent of all passes its requests on, in an order that is random but always
// the same for one hash. When all have too many, the one least over its bound gets the request.
// Source: Envoy ConsistentHashingLbConfig.hash_balance_factor; arXiv 1608.01350 and 1908.08762.
import type { Endpoint, Picker } from '../plan/cluster.ts';
import type { Exchange } from '../plan/exchange.ts';
import type { HashShare, HashTable } from './hash-table.ts';
import { Twister } from './twister.ts';

const TWO_32 = 4294967296;

export class BoundedLoad implements Picker {
  readonly usesHash = true;
  readonly #table: HashTable;
  readonly #endpoints: readonly Endpoint[];
  readonly #shares: Float64Array;
  readonly #factorPercent: number;
  readonly #random: () => number;
  readonly #order: Uint32Array;
  /** Made when an endpoint is over its bound for the first time. */
  #twister: Twister | null = null;

  /** At least one share; `factorPercent` is at least 100. */
  constructor(shares: readonly HashShare[], table: HashTable, factorPercent: number, random: () => number) {
    this.#table = table;
    this.#endpoints = endpointsOf(shares);
    this.#shares = new Float64Array(shares.length);
    for (let i = 0; i < shares.length; i++) this.#shares[i] = (shares[i] as HashShare).share;
    this.#order = new Uint32Array(shares.length);
    this.#factorPercent = factorPercent;
    this.#random = random;
  }

  pick(x: Exchange | null): Endpoint {
    const isHashed = x !== null && x.hasHash;
    const high = isHashed ? x.hashHigh : Math.floor(this.#random() * TWO_32);
    const low = isHashed ? x.hashLow : Math.floor(this.#random() * TWO_32);
    const first = this.#table.find(high, low, isHashed ? x.pickRound : 0);
    const endpoint = this.#endpoints[first] as Endpoint;
    // Everybody may have one.
    if (endpoint.active <= 1) return endpoint;
    const slots = this.#slots();
    const overload = this.#overloadOf(first, slots);
    return overload <= 1 ? endpoint : this.#pickOther(first, overload, low, slots);
  }

  #pickOther(first: number, overload: number, seed: number, slots: number): Endpoint {
    const order = this.#order;
    const size = order.length;
    const twister = (this.#twister ??= new Twister());
    twister.seed(seed);
    for (let i = 0; i < size; i++) order[i] = i;
    let best = first;
    let bestOverload = overload;
    for (let i = 0; i < size; i++) {
      const j = i + twister.below(size - i);
      const index = order[j] as number;
      order[j] = order[i] as number;
      order[i] = index;
      if (index === first) continue;
      const other = this.#overloadOf(index, slots);
      if (other <= 1) return this.#endpoints[index] as Endpoint;
      if (other < bestOverload) {
        best = index;
        bestOverload = other;
      }
    }
    return this.#endpoints[best] as Endpoint;
  }

  /** How many requests all endpoints together may have: `factorPercent` of those in flight and this one. */
  #slots(): number {
    const endpoints = this.#endpoints;
    let active = 0;
    for (let i = 0; i < endpoints.length; i++) active += (endpoints[i] as Endpoint).active;
    return Math.floor(((active + 1) * this.#factorPercent + 99) / 100);
  }

  #overloadOf(index: number, slots: number): number {
    const own = Math.max(Math.ceil(slots * (this.#shares[index] as number)), 1);
    return (this.#endpoints[index] as Endpoint).active / own;
  }
}

// config time
function endpointsOf(shares: readonly HashShare[]): readonly Endpoint[] {
  return shares.map(({ endpoint }) => endpoint);
}
