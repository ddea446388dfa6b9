// The key sets that rules ask for and the control service fetches: each is fetched when it is first wanted, again ahead
// of its age and, when that fails, sooner and with growing pauses, behind a breaker. The last good set stays until there
// is a newer one; there is no other: a set that never came has no keys, and every token that needs it is refused
// (CVE-2026-31837). Whoever wants to know is told when a set changed, or began or ceased to fail.
//
//   wanted ─► fetch ─► good ──(20 min, jittered)──► fetch …
//               └► failed ──(1 s, 2 s, … 60 s)──► fetch, the last good set staying in force
import type { Clock } from '../base/clock.ts';
import type { Log } from '../base/log.ts';
import { JwksFetcher, type JwksResult, type JwksSource } from './jwks-fetch.ts';

/** What is known of one set. */
export interface JwksState {
  /** Null: it never came. */
  readonly jwks: string | null;
  /** Why the last fetch failed; empty: it did not, or is the first one under way. */
  readonly failure: string;
}

/** By the key of the source. */
export type JwksStates = ReadonlyMap<string, JwksState>;

export const NO_JWKS: JwksStates = new Map();

export interface JwksStoreOptions {
  readonly log: Log;
  readonly clock: Clock;
  readonly onChange: () => void;
  /** Keys may be fetched from private addresses. */
  readonly allowsPrivate: boolean;
  /** 20 min by default. */
  readonly refreshMs?: number;
  /** The first pause after a failure; 1 s by default. */
  readonly retryMs?: number;
  /** Uniform in [0, 1). */
  readonly random?: () => number;
  readonly fetch?: Fetch;
}

const REFRESH_MS = 20 * 60_000;
const RETRY_MS = 1_000;
const RETRY_MS_MAX = 60_000;
/** Sets that all rules together may ask for. */
const SOURCES_MAX = 1_000;

interface Entry {
  readonly source: JwksSource;
  state: JwksState;
  failures: number;
  timer: NodeJS.Timeout | null;
  guard: Promise<Guard> | null;
}

type Fetch = (source: JwksSource) => Promise<JwksResult>;

interface Guard {
  readonly fetch: Fetch;
  readonly stop: () => void;
}

/** Equal for sources that lead to the same set. */
export function jwksKey({ uri, issuer }: Pick<JwksSource, 'uri' | 'issuer'>): string {
  return uri === '' ? `issuer ${issuer}` : uri;
}

export class JwksStore {
  readonly #options: JwksStoreOptions;
  readonly #fetcher: JwksFetcher;
  readonly #fetch: Fetch;
  readonly #entries = new Map<string, Entry>();
  #states: JwksStates = NO_JWKS;
  #isClosed = false;
  #successes = 0;
  #failures = 0;

  constructor(options: JwksStoreOptions) {
    this.#options = options;
    this.#fetcher = new JwksFetcher(options.allowsPrivate);
    this.#fetch = options.fetch ?? ((source) => this.#fetcher.fetch(source));
  }

  /** An immutable picture; the same object until something changes. */
  get states(): JwksStates {
    return this.#states;
  }

  /** Keeps what is in the list, fetches what is new in it, and forgets the rest. */
  want(sources: readonly JwksSource[]): void {
    const wanted = new Map(sources.slice(0, SOURCES_MAX).map((source) => [jwksKey(source), source]));
    for (const [key, entry] of this.#entries) {
      if (wanted.has(key)) continue;
      forget(entry);
      this.#entries.delete(key);
    }
    for (const [key, source] of wanted) {
      if (this.#entries.has(key)) continue;
      const entry: Entry = { source, state: { jwks: null, failure: '' }, failures: 0, timer: null, guard: null };
      this.#entries.set(key, entry);
      void this.#refresh(key, entry);
    }
  }

  counters(): ReadonlyMap<string, number> {
    return new Map([
      ['pilot_jwks_resolver_network_fetch_success_total', this.#successes],
      ['pilot_jwks_resolver_network_fetch_fail_total', this.#failures],
      ['outrigger_jwks_sets', this.#entries.size],
      ['outrigger_jwks_sets_failing', [...this.#entries.values()].filter(({ state }) => state.failure !== '').length],
    ]);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    for (const entry of this.#entries.values()) forget(entry);
    this.#entries.clear();
    await this.#fetcher.close();
  }

  async #refresh(key: string, entry: Entry): Promise<void> {
    entry.timer = null;
    entry.guard ??= guarded(this.#fetch, entry.source.timeoutMs);
    const guard = await entry.guard;
    const result = await guard.fetch(entry.source);
    if (this.#isClosed || this.#entries.get(key) !== entry) return;
    this.#note(key, entry, result);
    const { refreshMs = REFRESH_MS, retryMs = RETRY_MS, random = Math.random } = this.#options;
    const pause = entry.failures === 0 ? refreshMs : Math.min(RETRY_MS_MAX, retryMs * 2 ** (entry.failures - 1));
    // Between four fifths of the pause and all of it: ahead of its age, and not all sets at once.
    entry.timer = setTimeout(() => void this.#refresh(key, entry), pause * (0.8 + 0.2 * random()));
    entry.timer.unref();
  }

  #note(key: string, entry: Entry, result: JwksResult): void {
    const { log, onChange } = this.#options;
    const before = entry.state;
    if (result.kind === 'fetched') {
      this.#successes += 1;
      entry.failures = 0;
      entry.state = { jwks: result.jwks, failure: '' };
      if (before.failure !== '') log.info('keys are fetched again', { from: key });
    } else {
      this.#failures += 1;
      entry.failures += 1;
      entry.state = { jwks: before.jwks, failure: result.reason };
      const effect = before.jwks === null ? 'no token that needs them passes' : 'the last good ones stay in force';
      if (before.failure !== result.reason)
        log.warning(`keys cannot be fetched; ${effect}`, { from: key, reason: result.reason });
    }
    if (before.jwks === entry.state.jwks && before.failure === entry.state.failure) return;
    this.#states = new Map([...this.#entries].map(([name, { state }]) => [name, state]));
    onChange();
  }
}

function forget({ timer, guard }: Entry): void {
  if (timer !== null) clearTimeout(timer);
  void guard?.then(({ stop }) => stop());
}

const OPEN = 'EOPENBREAKER';

/** A breaker of opossum's around the fetch: a server that fails again and again is left alone for a while. */
async function guarded(fetch: Fetch, timeoutMs: number): Promise<Guard> {
  const { default: CircuitBreaker } = await import('opossum');
  let reason = '';
  const breaker = new CircuitBreaker(
    async (source: JwksSource) => {
      const result = await fetch(source);
      if (result.kind === 'fetched') return result;
      reason = result.reason;
      throw new Error(reason);
    },
    // The fetch has a limit of its own, which says more; this one is for a fetch that never ends.
    { timeout: timeoutMs * 2, volumeThreshold: 5, errorThresholdPercentage: 50, resetTimeout: 10_000 },
  );
  return {
    fetch: async (source) => {
      try {
        return await breaker.fire(source);
      } catch (cause) {
        const isOpen = cause instanceof Error && 'code' in cause && cause.code === OPEN;
        // While it is left alone, what it failed with is still what is wrong.
        return { kind: 'failed', reason: isOpen || !(cause instanceof Error) ? reason : cause.message };
      }
    },
    stop: () => breaker.shutdown(),
  };
}
