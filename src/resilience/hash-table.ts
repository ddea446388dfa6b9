// @hot
// What ring hash and Maglev have in common: a table that gives an endpoint for a 64-bit hash, and the picker
// over it. A request without a hash gets one at random, as in Envoy, which makes it a random choice.
// `round` counts the choices that a retry's host predicates refused: each gives another place of the table.
import type { Endpoint, Picker } from '../plan/cluster.ts';
import type { Exchange } from '../plan/exchange.ts';

/** An endpoint with its part of the whole: all shares of a table add up to 1. */
export interface HashShare {
  readonly endpoint: Endpoint;
  /** What is hashed for it: metadata `hash_key`, its hostname or its address, as wire text. */
  readonly key: string;
  readonly share: number;
}

export interface HashTable {
  /** The index of the endpoint, in the order of the shares. `high` and `low` are unsigned 32 bits. */
  find(high: number, low: number, round: number): number;
}

const TWO_32 = 4294967296;

export class HashPicker implements Picker {
  readonly usesHash = true;
  readonly #endpoints: readonly Endpoint[];
  readonly #table: HashTable;
  readonly #random: () => number;

  /** At least one endpoint. */
  constructor(endpoints: readonly Endpoint[], table: HashTable, random: () => number) {
    this.#endpoints = endpoints;
    this.#table = table;
    this.#random = random;
  }

  pick(x: Exchange | null): Endpoint {
    if (x !== null && x.hasHash) {
      return this.#endpoints[this.#table.find(x.hashHigh, x.hashLow, x.pickRound)] as Endpoint;
    }
    const high = Math.floor(this.#random() * TWO_32);
    const low = Math.floor(this.#random() * TWO_32);
    return this.#endpoints[this.#table.find(high, low, 0)] as Endpoint;
  }
}
