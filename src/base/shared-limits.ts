// @hot
// Limits that hold for the whole process although several threads enforce them: budgets (so many at a time) and
// token buckets (so many per interval), by name, in one SharedArrayBuffer. Threads find an entry by the hash of its
// name, so that nobody has to be asked. A budget knows each thread's share: what a thread held that crashed
// is given back by `forget`. Without threads the same shapes are plain numbers. Entries are never removed; when
// the table is full, further names are limited by each thread for itself, and `isFull` says so.
//
//   entry │ hash │ hash │ used or tokens │ period │ share of thread 0 │ … │ share of thread n-1 │
//   … and behind the entries the blocks of limits by key (keyed-table.ts)
import { LocalShare, SharedShare, type LimitShare } from './limit-share.ts';
import { LocalKeyedBuckets, SharedKeyedBuckets, type KeyedBuckets } from './keyed-buckets.ts';
import { KeyedTable, TABLE_CELLS } from './keyed-table.ts';
import { LocalRateBucket, SharedRateBucket, type RateBucket } from './rate-bucket.ts';
import { localWindow, SlottedWindow, WINDOW_CELLS, type RateWindow } from './rate-window.ts';

export interface Budget {
  /** False when `max` are in use; then nothing was taken. */
  acquire(max: number): boolean;
  release(): void;
  /** In use now, in all threads. */
  readonly used: number;
}

export interface TokenRate {
  readonly tokensMax: number;
  readonly tokensPerFill: number;
  /** Milliseconds, at least 1. */
  readonly fillMs: number;
}

export interface TokenBucket {
  /** `nowMs` is of systemClock.now(), which counts from the start of the process in all of its threads. */
  take(nowMs: number): boolean;
}

/** Where limits come from: shared by threads or not. */
export interface Limits {
  budget(name: string): Budget;
  /** A bucket keeps its tokens when its sizes change; with another interval it is a new one. */
  bucket(name: string, rate: TokenRate): TokenBucket;
  /** Counts what happens within `intervalMs`, which is above 0; with another interval it is a new one. */
  window(name: string, intervalMs: number): RateWindow;
  /** A bucket that fills continuously; it keeps its tokens when rate and brim change. */
  rate(name: string): RateBucket;
  /** At most `countMax` such buckets, by key. */
  keyedRates(name: string, countMax: number): KeyedBuckets;
  /** What this process may have of a limit that it shares with others, and what it was asked for. */
  share(name: string): LimitShare;
  /** Those that were asked for here, by name. */
  readonly shares: ReadonlyMap<string, LimitShare>;
}

const ENTRIES = 65_536;
const HASH = 0;
const HASH_TOO = 1;
const USED = 2;
const PERIOD = 3;
const SHARES = 4;

export class SharedLimits implements Limits {
  /** What the threads share: hand it to each. */
  readonly memory: SharedArrayBuffer;
  readonly #cells: Int32Array<SharedArrayBuffer>;
  readonly #wideCells: BigInt64Array<SharedArrayBuffer>;
  readonly #width: number;
  readonly #thread: number;
  readonly #table: KeyedTable;
  #isFull = false;
  readonly shares = new Map<string, LimitShare>();
  readonly #keyed = new Map<string, KeyedBuckets>();

  /** Of `threads` threads this is number `thread`; without `memory` it is made. */
  constructor(threads: number, thread: number, memory?: SharedArrayBuffer) {
    this.#thread = thread;
    // An even number of cells, so that two of them can be one of 64 bits.
    this.#width = (SHARES + threads + 1) & ~1;
    const cells = ENTRIES * this.#width;
    this.memory = memory ?? new SharedArrayBuffer((cells + TABLE_CELLS) * Int32Array.BYTES_PER_ELEMENT);
    this.#cells = new Int32Array(this.memory);
    this.#wideCells = new BigInt64Array(this.memory);
    this.#table = new KeyedTable(this.#cells, this.#wideCells, cells);
  }

  /** True when a name did not fit: what it limits holds for this thread by itself. */
  get isFull(): boolean {
    return this.#isFull;
  }

  /** Config time. */
  budget(name: string): Budget {
    const at = this.#find('budget ' + name);
    return at < 0 ? new LocalBudget() : new SharedBudget(this.#cells, at, this.#thread);
  }

  /** Config time. A bucket starts full. */
  bucket(name: string, rate: TokenRate): TokenBucket {
    const at = this.#find(`bucket ${rate.fillMs} ${name}`);
    return at < 0 ? new LocalBucket(rate, newTokens()) : new SharedBucket(this.#cells, at, rate);
  }

  /** Config time, or once per process. */
  window(name: string, intervalMs: number): RateWindow {
    const slots: number[] = [];
    for (let i = 0; i < WINDOW_CELLS; i++) {
      const at = this.#find(`window ${i} ${intervalMs} ${name}`);
      if (at < 0) return localWindow(intervalMs);
      slots.push(at + USED);
    }
    return new SlottedWindow(this.#cells, slots, intervalMs);
  }

  /** Config time. */
  rate(name: string): RateBucket {
    const at = this.#find('rate ' + name);
    return at < 0 ? new LocalRateBucket() : new SharedRateBucket(this.#wideCells, (at + USED) / 2);
  }

  /** Config time. Many routes may ask for the same. */
  keyedRates(name: string, countMax: number): KeyedBuckets {
    const key = `${countMax} ${name}`;
    const known = this.#keyed.get(key) ?? this.#makeKeyed(name, countMax);
    this.#keyed.set(key, known);
    return known;
  }

  /** Config time. */
  #makeKeyed(name: string, countMax: number): KeyedBuckets {
    const slots = this.#table.slotsOf(firstHash(name), secondHash(name), countMax);
    if (slots === null) {
      this.#isFull = true;
      return new LocalKeyedBuckets(countMax);
    }
    return new SharedKeyedBuckets(this.#cells, slots, firstHash);
  }

  /** Config time. */
  share(name: string): LimitShare {
    const known = this.shares.get(name) ?? this.#makeShare(name);
    this.shares.set(name, known);
    return known;
  }

  #makeShare(name: string): LimitShare {
    const at = this.#find('share ' + name);
    const more = this.#find('demand ' + name);
    const last = this.#find('in force ' + name);
    if (at < 0 || more < 0 || last < 0) return new LocalShare();
    return new SharedShare(this.#cells, { missing: at + USED, demand: more + USED, inForce: last + USED });
  }

  /** Gives back all that a thread held: it is no more. */
  forget(thread: number): void {
    const cells = this.#cells;
    const width = this.#width;
    for (let at = 0; at < ENTRIES * width; at += width) {
      // Looking does not claim memory that nothing stands in.
      if (Atomics.load(cells, at + SHARES + thread) === 0) continue;
      const share = Atomics.exchange(cells, at + SHARES + thread, 0);
      if (share !== 0) Atomics.sub(cells, at + USED, share);
    }
  }

  #find(name: string): number {
    const cells = this.#cells;
    const width = this.#width;
    const hash = firstHash(name);
    const hashToo = secondHash(name);
    for (let i = 0; i < ENTRIES; i++) {
      const at = (((hash >>> 1) + i) % ENTRIES) * width;
      const found = Atomics.compareExchange(cells, at + HASH, 0, hash);
      if (found !== 0 && found !== hash) continue;
      // Whoever comes second with the same first hash settles on the second one in the same way.
      const foundToo = Atomics.compareExchange(cells, at + HASH_TOO, 0, hashToo);
      if (foundToo === 0 || foundToo === hashToo) return at;
    }
    this.#isFull = true;
    return -1;
  }
}

/** Limits of a process of one thread. */
export class LocalLimits implements Limits {
  readonly #budgets = new Map<string, Budget>();
  readonly #tokens = new Map<string, Tokens>();
  readonly #windows = new Map<string, RateWindow>();
  readonly #rates = new Map<string, RateBucket>();
  readonly #keyed = new Map<string, KeyedBuckets>();
  readonly shares = new Map<string, LimitShare>();
  readonly #makeShare: (name: string) => LimitShare;

  /** A thread that serves no traffic may look at the shares of those that do. */
  constructor(makeShare: (name: string) => LimitShare = () => new LocalShare()) {
    this.#makeShare = makeShare;
  }

  budget(name: string): Budget {
    const known = this.#budgets.get(name) ?? new LocalBudget();
    this.#budgets.set(name, known);
    return known;
  }

  /** Config time. */
  bucket(name: string, rate: TokenRate): TokenBucket {
    const key = `${rate.fillMs} ${name}`;
    const tokens = this.#tokens.get(key) ?? newTokens();
    this.#tokens.set(key, tokens);
    return new LocalBucket(rate, tokens);
  }

  /** Config time. */
  window(name: string, intervalMs: number): RateWindow {
    const key = `${intervalMs} ${name}`;
    const known = this.#windows.get(key) ?? localWindow(intervalMs);
    this.#windows.set(key, known);
    return known;
  }

  /** Config time. */
  rate(name: string): RateBucket {
    const known = this.#rates.get(name) ?? new LocalRateBucket();
    this.#rates.set(name, known);
    return known;
  }

  /** Config time. */
  keyedRates(name: string, countMax: number): KeyedBuckets {
    const key = `${countMax} ${name}`;
    const known = this.#keyed.get(key) ?? new LocalKeyedBuckets(countMax);
    this.#keyed.set(key, known);
    return known;
  }

  /** Config time. */
  share(name: string): LimitShare {
    const known = this.shares.get(name) ?? this.#makeShare(name);
    this.shares.set(name, known);
    return known;
  }
}

class LocalBudget implements Budget {
  used = 0;

  acquire(max: number): boolean {
    if (this.used >= max) return false;
    this.used++;
    return true;
  }

  release(): void {
    this.used--;
  }
}

class SharedBudget implements Budget {
  readonly #cells: Int32Array<SharedArrayBuffer>;
  readonly #at: number;
  readonly #share: number;

  constructor(cells: Int32Array<SharedArrayBuffer>, at: number, thread: number) {
    this.#cells = cells;
    this.#at = at + USED;
    this.#share = at + SHARES + thread;
  }

  get used(): number {
    return Atomics.load(this.#cells, this.#at);
  }

  acquire(max: number): boolean {
    if (Atomics.add(this.#cells, this.#at, 1) >= max) {
      Atomics.sub(this.#cells, this.#at, 1);
      return false;
    }
    Atomics.add(this.#cells, this.#share, 1);
    return true;
  }

  release(): void {
    Atomics.sub(this.#cells, this.#share, 1);
    Atomics.sub(this.#cells, this.#at, 1);
  }
}

/** Tokens that are missing from a full bucket, and when it was last filled, counted in intervals. */
interface Tokens {
  missing: number;
  period: number;
}

function newTokens(): Tokens {
  return { missing: 0, period: 0 };
}

class LocalBucket implements TokenBucket {
  readonly #rate: TokenRate;
  readonly #tokens: Tokens;

  constructor(rate: TokenRate, tokens: Tokens) {
    this.#rate = rate;
    this.#tokens = tokens;
  }

  take(nowMs: number): boolean {
    const { tokensMax, tokensPerFill, fillMs } = this.#rate;
    const tokens = this.#tokens;
    const period = Math.floor(nowMs / fillMs);
    if (period > tokens.period) {
      tokens.missing = Math.max(0, tokens.missing - (period - tokens.period) * tokensPerFill);
      tokens.period = period;
    }
    if (tokens.missing >= tokensMax) return false;
    tokens.missing++;
    return true;
  }
}

/** The tokens are kept as how many are missing, so that fresh memory is a full bucket. */
class SharedBucket implements TokenBucket {
  readonly #cells: Int32Array<SharedArrayBuffer>;
  readonly #missing: number;
  readonly #period: number;
  readonly #rate: TokenRate;

  constructor(cells: Int32Array<SharedArrayBuffer>, at: number, rate: TokenRate) {
    this.#cells = cells;
    this.#missing = at + USED;
    this.#period = at + PERIOD;
    this.#rate = rate;
  }

  take(nowMs: number): boolean {
    const cells = this.#cells;
    const { tokensMax, tokensPerFill, fillMs } = this.#rate;
    // Wraps after 2³¹ periods: 24 days of the shortest.
    const period = Math.floor(nowMs / fillMs) | 0;
    const last = Atomics.load(cells, this.#period);
    const passed = (period - last) | 0;
    if (passed > 0 && Atomics.compareExchange(cells, this.#period, last, period) === last) {
      this.#refill(Math.min(tokensMax, passed * tokensPerFill));
    }
    for (;;) {
      const missing = Atomics.load(cells, this.#missing);
      if (missing >= tokensMax) return false;
      if (Atomics.compareExchange(cells, this.#missing, missing, missing + 1) === missing) return true;
    }
  }

  #refill(tokens: number): void {
    for (;;) {
      const missing = Atomics.load(this.#cells, this.#missing);
      const left = Math.max(0, missing - tokens);
      if (Atomics.compareExchange(this.#cells, this.#missing, missing, left) === missing) return;
    }
  }
}

/** Never 0, which marks a free entry. */
function firstHash(text: string): number {
  return hashOf(text, 0x811c9dc5) | 1;
}

function secondHash(text: string): number {
  return hashOf(text, 0x2f0b4c47) | 1;
}

/** FNV-1a over the UTF-16 code units, with a stir at the end. */
function hashOf(text: string, seed: number): number {
  let hash = seed;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x45d9f3b);
  return hash ^ (hash >>> 15);
}
