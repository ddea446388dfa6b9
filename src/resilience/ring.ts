// @hot
// Ring hash (ketama), place for place the ring of Envoy: every endpoint has hashes in proportion to its share,
// of the texts KEY_0, KEY_1 and so on; a request goes to the first hash that is not below its own. Numbers of
// hashes come from running sums, so that fractions of a hash are not lost over the endpoints.
// Source: Envoy RingHashLbConfig.
import { Hash64 } from '../base/hash64.ts';
import type { HashShare, HashTable } from './hash-table.ts';

export interface RingSettings {
  readonly sizeMin: number;
  readonly sizeMax: number;
  readonly hash: 'xx' | 'murmur';
}

export class Ring implements HashTable {
  readonly #highs: Uint32Array;
  readonly #lows: Uint32Array;
  readonly #owners: Uint32Array;

  /** At least one share. Config time. */
  constructor(shares: readonly HashShare[], { sizeMin, sizeMax, hash }: RingSettings) {
    const smallest = shares.reduce((least, { share }) => Math.min(least, share), 1);
    // The endpoint with the smallest share gets a whole number of hashes, unless that makes the ring too large.
    const scale = Math.min(Math.ceil(smallest * sizeMin) / smallest, sizeMax);
    const size = Math.ceil(scale) + 1;
    const highs = new Uint32Array(size);
    const lows = new Uint32Array(size);
    const owners = new Uint32Array(size);
    const hashed = new Hash64();
    let count = 0;
    let wanted = 0;
    for (const [owner, { key, share }] of shares.entries()) {
      wanted += scale * share;
      for (let i = 0; count < wanted && count < size; i++) {
        if (hash === 'murmur') hashed.murmur(`${key}_${i}`);
        else hashed.xx(`${key}_${i}`);
        highs[count] = hashed.high;
        lows[count] = hashed.low;
        owners[count++] = owner;
      }
    }
    const order = orderOf(highs.subarray(0, count), lows.subarray(0, count));
    this.#highs = order.map((at) => highs[at] ?? 0);
    this.#lows = order.map((at) => lows[at] ?? 0);
    this.#owners = order.map((at) => owners[at] ?? 0);
  }

  get size(): number {
    return this.#owners.length;
  }

  find(high: number, low: number, round: number): number {
    const highs = this.#highs;
    const lows = this.#lows;
    const size = highs.length;
    let from = 0;
    let to = size;
    while (from < to) {
      const middle = (from + to) >> 1;
      const at = highs[middle] as number;
      if (at < high || (at === high && (lows[middle] as number) < low)) from = middle + 1;
      else to = middle;
    }
    return this.#owners[(from + round) % size] as number;
  }
}

/** The indexes by their hash, smallest first: a radix sort, because a ring may have millions. Config time. */
function orderOf(highs: Uint32Array, lows: Uint32Array): Uint32Array {
  const size = highs.length;
  let order = Uint32Array.from(highs.keys());
  let next = new Uint32Array(size);
  const starts = new Uint32Array(257);
  for (let digit = 0; digit < 8; digit++) {
    const words = digit < 4 ? lows : highs;
    const shift = (digit & 3) * 8;
    starts.fill(0);
    for (let i = 0; i < size; i++) {
      const bucket = (((words[i] as number) >>> shift) & 0xff) + 1;
      starts[bucket] = (starts[bucket] as number) + 1;
    }
    for (let i = 1; i < 257; i++) starts[i] = (starts[i] as number) + (starts[i - 1] as number);
    for (let i = 0; i < size; i++) {
      const index = order[i] as number;
      const bucket = ((words[index] as number) >>> shift) & 0xff;
      const to = starts[bucket] as number;
      next[to] = index;
      starts[bucket] = to + 1;
    }
    const sorted = next;
    next = order;
    order = sorted;
  }
  return order;
}
