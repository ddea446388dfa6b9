// @hot
// Maglev, entry for entry the table of Envoy: each endpoint walks the table in a permutation of its own and
// takes the first free entry when it is its turn; the one with the largest share has a turn in every round, the
// others as often as their share allows. Endpoints take turns by their key, so that the order of a list does
// not matter. Source: Envoy Maglev; Eisenbud et al., Maglev, listing 1.
import { Hash64, moduloOfHalves } from '../base/hash64.ts';
import type { HashShare, HashTable } from './hash-table.ts';

interface Walker {
  readonly owner: number;
  readonly skip: number;
  readonly share: number;
  /** The entry to try next. */
  at: number;
  /** Its next turn is when round * share reaches this. */
  turn: number;
}

const ALL_BITS = 0xffffffff;

export class Maglev implements HashTable {
  readonly #owners: Uint32Array;

  /** At least one share; `size` is a prime. Config time. */
  constructor(shares: readonly HashShare[], size: number) {
    const owners = new Uint32Array(size);
    const isTaken = new Uint8Array(size);
    const largest = shares.reduce((most, { share }) => Math.max(most, share), 0);
    const walkers = walkersOf(shares, size);
    let taken = 0;
    for (let round = 1; taken < size; round++) {
      for (let i = 0; i < walkers.length && taken < size; i++) {
        const walker = walkers[i] as Walker;
        if (round * walker.share < walker.turn) continue;
        walker.turn += largest;
        let at = walker.at;
        while (isTaken[at] === 1) at = step(at, walker.skip, size);
        isTaken[at] = 1;
        owners[at] = walker.owner;
        taken++;
        walker.at = step(at, walker.skip, size);
      }
    }
    this.#owners = owners;
  }

  find(high: number, low: number, round: number): number {
    const owners = this.#owners;
    if (round === 0) return owners[moduloOfHalves(high, low, owners.length)] as number;
    // Another key for each round: XOR with minus the round, so that most bits change.
    const otherHigh = (high ^ ALL_BITS) >>> 0;
    const otherLow = (low ^ -round) >>> 0;
    return owners[moduloOfHalves(otherHigh, otherLow, owners.length)] as number;
  }
}

function step(at: number, skip: number, size: number): number {
  const next = at + skip;
  return next >= size ? next - size : next;
}

/** Config time. */
function walkersOf(shares: readonly HashShare[], size: number): readonly Walker[] {
  const hash = new Hash64();
  return shares
    .map(({ key, share }, owner) => {
      hash.xx(key);
      const at = moduloOfHalves(hash.high, hash.low, size);
      hash.xx(key, 1);
      const skip = moduloOfHalves(hash.high, hash.low, size - 1) + 1;
      return { key, owner, share, skip, at, turn: 0 };
    })
    .toSorted((left, right) => (left.key < right.key ? -1 : left.key > right.key ? 1 : left.owner - right.owner));
}

/** What Maglev needs of its table's size, up to 5000011. */
export function isPrime(value: number): boolean {
  if (!Number.isInteger(value) || value < 2) return false;
  for (let divisor = 2; divisor * divisor <= value; divisor++) if (value % divisor === 0) return false;
  return true;
}
