// @hot
// Token buckets by a key that requests bring (a caller, the value of a header), so many of them and no more. In one
// thread the key that was not seen for longest makes room, as in Envoy. Where threads share them, a key has a few places by
// its hash, and the bucket with the most tokens makes room there: one that is full is as good as a new one.
// A caller that invents keys gets new buckets that way: limits by keys that anybody may choose need one for all beside them.
// A key that is kept is a copy: what a request brings is a slice of its whole head, and long ones stand by their digest.
import { Buffer } from 'node:buffer';
import { hash } from 'node:crypto';
import { LocalRateBucket, type FillRate, type RateBucket } from './rate-bucket.ts';

export interface KeyedBuckets {
  /** The bucket of this key now; good for the current turn only. */
  of(key: string, nowMs: number, rate: FillRate): RateBucket;
}

/** A bucket and its key, which is a copy. */
interface Keyed {
  readonly key: string;
  readonly bucket: LocalRateBucket;
}

export class LocalKeyedBuckets implements KeyedBuckets {
  readonly #countMax: number;
  /** In the order in which they were asked for last. */
  readonly #buckets = new Map<string, Keyed>();

  constructor(countMax: number) {
    this.#countMax = countMax;
  }

  of(given: string): RateBucket {
    const buckets = this.#buckets;
    const key = given.length > KEY_CHARACTERS_MAX ? hash('sha256', given, 'base64') : given;
    const known = buckets.get(key);
    if (known !== undefined) buckets.delete(known.key);
    else if (buckets.size >= this.#countMax) {
      for (const oldest of buckets.keys()) {
        buckets.delete(oldest);
        break;
      }
    }
    const kept = known ?? { key: copyOf(key), bucket: new LocalRateBucket() };
    buckets.set(kept.key, kept);
    return kept.bucket;
  }
}

const KEY_CHARACTERS_MAX = 128;

/** The same text, without what it was cut from. */
function copyOf(key: string): string {
  return Buffer.from(key, 'utf16le').toString('utf16le');
}

/** One place of a shared table: whose bucket it is, by the hash of the key, and the bucket. */
export interface KeyedSlot {
  /** Index of the owner's cell. */
  readonly owner: number;
  readonly bucket: RateBucket;
}

/** Places that a key may have. */
const PROBES = 8;

export class SharedKeyedBuckets implements KeyedBuckets {
  readonly #cells: Int32Array<SharedArrayBuffer>;
  readonly #slots: readonly KeyedSlot[];
  readonly #hashOf: (key: string) => number;

  /** `hashOf` never gives 0; config time. */
  constructor(cells: Int32Array<SharedArrayBuffer>, slots: readonly KeyedSlot[], hashOf: (key: string) => number) {
    this.#cells = cells;
    this.#slots = slots;
    this.#hashOf = hashOf;
  }

  of(key: string, nowMs: number, rate: FillRate): RateBucket {
    const cells = this.#cells;
    const hash = this.#hashOf(key);
    const count = this.#slots.length;
    const probes = Math.min(PROBES, count);
    let fullest = this.#slotAt(hash, 0);
    let most = -1;
    for (let i = 0; i < probes; i++) {
      const slot = this.#slotAt(hash, i);
      const owner = Atomics.load(cells, slot.owner);
      if (owner === hash) return slot.bucket;
      if (owner === 0 && Atomics.compareExchange(cells, slot.owner, 0, hash) === 0) return slot.bucket;
      const tokens = slot.bucket.tokens(nowMs, rate);
      if (tokens <= most) continue;
      most = tokens;
      fullest = slot;
    }
    Atomics.store(cells, fullest.owner, hash);
    fullest.bucket.fill(nowMs, rate, rate.tokensMax);
    return fullest.bucket;
  }

  #slotAt(hash: number, probe: number): KeyedSlot {
    return this.#slots[((hash >>> 1) + probe) % this.#slots.length] as KeyedSlot;
  }
}
