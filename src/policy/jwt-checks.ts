// The signatures that one filter is having checked: each token once, however many requests wait for it; so many at once,
// and a queue behind them, beyond which requests are refused. A result is kept until everybody who waited for it has
// been judged; a check that nobody waits for any more leaves the queue, and one that is under way ends unheard. Only
// requests whose tokens nobody remembers come here.
//
//   find ─► PENDING: the exchange waits ─► checked ─► resumed, judged again ─► find: the result ─► release
//                                                          └─ another token of it ─► PENDING …
import type { KeySet, SigningKey } from '../base/key-set.ts';
import type { Exchange } from '../plan/exchange.ts';
import { isSignedBy } from './jwt-jose.ts';
import { JWT, PENDING, type JwtStatus } from './jwt-status.ts';

export interface JwtChecksOptions {
  /** Checks under way at once; 16 by default: the thread pool has four threads. */
  readonly runningMax?: number;
  /** Checks that wait for their turn; 256 by default. */
  readonly queuedMax?: number;
  /** By jose, by default. */
  readonly verify?: typeof isSignedBy;
}

export interface WantedCheck {
  readonly text: string;
  readonly alg: string;
  readonly set: KeySet;
  /** To be tried in turn; at least one. */
  readonly keys: readonly SigningKey[];
}

interface Check extends WantedCheck {
  readonly waiting: Set<Exchange>;
  status: JwtStatus;
}

/** What one request waits for. */
interface Held {
  readonly epoch: number;
  readonly checks: Set<Check>;
}

export class JwtChecks {
  readonly #runningMax: number;
  readonly #queuedMax: number;
  readonly #verify: typeof isSignedBy;
  /** By the set of keys, by the token. */
  readonly #known = new Map<KeySet, Map<string, Check>>();
  readonly #held = new Map<Exchange, Held>();
  readonly #queue = new Set<Check>();
  #running = 0;

  constructor({ runningMax = 16, queuedMax = 256, verify = isSignedBy }: JwtChecksOptions = {}) {
    this.#runningMax = runningMax;
    this.#queuedMax = queuedMax;
    this.#verify = verify;
  }

  /** Checks under way, and what is kept for somebody. */
  get size(): number {
    let size = this.#running + this.#held.size;
    for (const checks of this.#known.values()) size += checks.size;
    return size;
  }

  /** OK or why not; PENDING: the exchange is resumed when it is known; `overloaded`: there is no room. */
  find(x: Exchange, wanted: WantedCheck): JwtStatus {
    const known = this.#known.get(wanted.set)?.get(wanted.text);
    if (known !== undefined) {
      if (known.status === PENDING) this.#hold(x, known);
      return known.status;
    }
    if (this.#running >= this.#runningMax && this.#queue.size >= this.#queuedMax) return JWT.overloaded;
    const check: Check = { ...wanted, waiting: new Set(), status: PENDING };
    const checks = this.#known.get(wanted.set) ?? new Map<string, Check>();
    this.#known.set(wanted.set, checks.set(wanted.text, check));
    this.#hold(x, check);
    this.#queue.add(check);
    this.#startNext();
    return PENDING;
  }

  /** The exchange has been judged, or has ended. */
  release(x: Exchange): void {
    const held = this.#held.get(x);
    if (held === undefined) return;
    this.#held.delete(x);
    for (const check of held.checks) {
      check.waiting.delete(x);
      if (check.waiting.size === 0) this.#forget(check);
    }
  }

  /** Plans are printed without it. */
  toJSON(): undefined {
    return undefined;
  }

  #hold(x: Exchange, check: Check): void {
    const held = this.#held.get(x) ?? { epoch: x.epoch, checks: new Set<Check>() };
    held.checks.add(check);
    this.#held.set(x, held);
    check.waiting.add(x);
  }

  #forget(check: Check): void {
    this.#queue.delete(check);
    const checks = this.#known.get(check.set);
    if (checks?.get(check.text) !== check) return;
    checks.delete(check.text);
    if (checks.size === 0) this.#known.delete(check.set);
  }

  #startNext(): void {
    for (const check of this.#queue) {
      if (this.#running >= this.#runningMax) return;
      this.#queue.delete(check);
      this.#running++;
      void this.#run(check);
    }
  }

  async #run(check: Check): Promise<void> {
    let isGood = false;
    for (const { key } of check.keys) {
      if (check.waiting.size === 0) break;
      isGood = await this.#verify(check.text, check.alg, key);
      if (isGood) break;
    }
    this.#running--;
    this.#startNext();
    check.status = isGood ? JWT.ok : JWT.verificationFails;
    if (check.waiting.size === 0) this.#forget(check);
    // Who is resumed is judged at once, and may wait for another check or end.
    for (const x of check.waiting) {
      const held = this.#held.get(x);
      if (held !== undefined && check.waiting.has(x)) x.resumer?.resume(held.epoch);
    }
  }
}
