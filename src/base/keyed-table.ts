// Buckets by key in memory that threads share: for each limit a block of places, which threads find by the name of the
// limit as they find other limits by theirs (shared-limits.ts). A block is claimed by whoever comes first and is never given
// back: limits of the same name find their tokens again. When all are claimed there is none for another name.
//
//   block │ hash │ hash │ 0 │ 0 │ owner │ 0 │ bucket (64 bits) │ owner │ …
import type { KeyedSlot } from './keyed-buckets.ts';
import { SharedRateBucket } from './rate-bucket.ts';

/** Limits by key that the threads of a process share. */
export const BLOCKS = 1024;
/** Keys of one of them. */
const SLOTS_MAX = 512;
const HEAD_CELLS = 4;
const SLOT_CELLS = 4;
const BLOCK_CELLS = HEAD_CELLS + SLOTS_MAX * SLOT_CELLS;
/** Memory is not resident before something stands in it. */
export const TABLE_CELLS: number = BLOCKS * BLOCK_CELLS;

export class KeyedTable {
  readonly #cells: Int32Array<SharedArrayBuffer>;
  readonly #wideCells: BigInt64Array<SharedArrayBuffer>;
  readonly #start: number;

  /** `start`: the first of TABLE_CELLS cells, an even number. */
  constructor(cells: Int32Array<SharedArrayBuffer>, wideCells: BigInt64Array<SharedArrayBuffer>, start: number) {
    this.#cells = cells;
    this.#wideCells = wideCells;
    this.#start = start;
  }

  /** The places of the limit with these hashes, neither of which is 0; null when every block is another's. Config time. */
  slotsOf(hash: number, hashToo: number, countMax: number): readonly KeyedSlot[] | null {
    const block = this.#find(hash, hashToo);
    if (block < 0) return null;
    return Array.from({ length: Math.min(countMax, SLOTS_MAX) }, (_, i) => {
      const at = block + HEAD_CELLS + i * SLOT_CELLS;
      return { owner: at, bucket: new SharedRateBucket(this.#wideCells, (at + 2) / 2) };
    });
  }

  #find(hash: number, hashToo: number): number {
    const cells = this.#cells;
    for (let i = 0; i < BLOCKS; i++) {
      const at = this.#start + (((hash >>> 1) + i) % BLOCKS) * BLOCK_CELLS;
      const found = Atomics.compareExchange(cells, at, 0, hash);
      if (found !== 0 && found !== hash) continue;
      // Whoever comes second with the same first hash settles on the second one in the same way.
      const foundToo = Atomics.compareExchange(cells, at + 1, 0, hashToo);
      if (foundToo === 0 || foundToo === hashToo) return at;
    }
    return -1;
  }
}
