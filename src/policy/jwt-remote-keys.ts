// The keys of a provider that a service has: fetched when the first token needs them, again by whoever uses them when
// four fifths of their age are over, and once in a while when a token names a key that is not known. The last good set
// stays in force while the service fails; before the first there are no keys, and every token fails. One fetch at a time,
// with a limit of time and bytes, behind the breaker of its cluster; requests that need it wait for its end.
//
// A set outlives the filter that asked for it: a newer version of the listener goes on with the keys that are there.
// Each worker has its own. Source: Envoy RemoteJwks; what differs stands in docs/tokens.md.
import type { Clock } from '../base/clock.ts';
import { JWKS_BYTES_MAX, parseKeySet, type KeySet } from '../base/key-set.ts';
import type { Resumer } from '../plan/exchange.ts';
import type { FilterTally } from '../plan/filter-tally.ts';
import type { RemoteCalls, RemoteHttpResult } from '../plan/remote-call.ts';
import type { JwtKeySource } from './jwt-key-source.ts';
import { STAT } from './jwt-stats.ts';

export interface RemoteKeysSettings {
  readonly cluster: string;
  readonly authority: string;
  /** With the query. */
  readonly path: string;
  readonly timeoutMs: number;
  /** How long a set is good. */
  readonly ageMs: number;
  /** After a failed fetch nobody asks again for so long. */
  readonly pauseMs: number;
  /** Further attempts of one fetch, and the pauses before them. */
  readonly retries: number;
  readonly retryMs: number;
  readonly retryMsMax: number;
}

export interface RemoteKeysScope {
  readonly remote: RemoteCalls;
  readonly clock: Clock;
  readonly random: () => number;
  readonly tally: FilterTally;
}

/** A token with an unknown kid has the keys fetched at most once in so long. */
export const UNKNOWN_KEY_PAUSE_MS = 30_000;
const WAITERS_MAX = 1024;
const SETS_MAX = 64;

/** By the tally of a filter, which is the same for all its versions. */
const known = new WeakMap<FilterTally, Map<string, RemoteKeys>>();

/** The same object for the same settings of the same filter. */
export function remoteKeys(settings: RemoteKeysSettings, scope: RemoteKeysScope): JwtKeySource {
  const sets = known.get(scope.tally) ?? new Map<string, RemoteKeys>();
  known.set(scope.tally, sets);
  const key = JSON.stringify(settings);
  const found = sets.get(key) ?? new RemoteKeys(settings, scope);
  // The newest is the last: what nobody configures any more is forgotten first.
  sets.delete(key);
  sets.set(key, found);
  for (const oldest of sets.keys()) {
    if (sets.size <= SETS_MAX) break;
    sets.delete(oldest);
  }
  return found;
}

interface Waiter {
  readonly resumer: Resumer;
  readonly epoch: number;
}

export class RemoteKeys implements JwtKeySource {
  current: KeySet | null = null;
  version = 0;
  refreshAtMs = 0;
  readonly #settings: RemoteKeysSettings;
  readonly #scope: RemoteKeysScope;
  #text = '';
  #isFetching = false;
  #lastMs = -Infinity;
  #waiters: Waiter[] = [];

  constructor(settings: RemoteKeysSettings, scope: RemoteKeysScope) {
    this.#settings = settings;
    this.#scope = scope;
  }

  refresh(): void {
    if (!this.#isFetching) this.#begin();
  }

  request(isForUnknownKey: boolean): boolean {
    if (this.#isFetching) return true;
    const pauseMs = isForUnknownKey ? UNKNOWN_KEY_PAUSE_MS : this.#settings.pauseMs;
    if (this.#scope.clock.now() - this.#lastMs < pauseMs) return false;
    this.#begin();
    return true;
  }

  await(resumer: Resumer, epoch: number): boolean {
    if (!this.#isFetching || this.#waiters.length >= WAITERS_MAX) return false;
    this.#waiters.push({ resumer, epoch });
    return true;
  }

  /** Plans are printed without it. */
  toJSON(): undefined {
    return undefined;
  }

  #begin(): void {
    this.#isFetching = true;
    this.#lastMs = this.#scope.clock.now();
    // Whoever comes meanwhile must not ask again.
    this.refreshAtMs = this.#lastMs + this.#settings.pauseMs;
    this.#attempt(0);
  }

  #attempt(attempt: number): void {
    const { cluster, path, authority, timeoutMs } = this.#settings;
    const headers = [['accept', 'application/json']] as const;
    this.#scope.remote.http(
      cluster,
      { method: 'GET', path, authority, headers, body: null },
      { timeoutMs, bytesMax: JWKS_BYTES_MAX, done: (result) => this.#answered(result, attempt) },
    );
  }

  #answered(result: RemoteHttpResult, attempt: number): void {
    const text = textOf(result);
    const set = text === null ? null : parseKeySet(text);
    if (set !== null && set.failure === null && text !== null) {
      this.#take(set, text);
      return this.#end(true);
    }
    const { retries, retryMs, retryMsMax } = this.#settings;
    if (attempt >= retries) return this.#end(false);
    const pause = Math.min(retryMsMax, retryMs * 2 ** attempt) * this.#scope.random();
    setTimeout(() => this.#attempt(attempt + 1), pause).unref();
  }

  #take(set: KeySet, text: string): void {
    this.refreshAtMs = this.#scope.clock.now() + this.#settings.ageMs * (0.7 + 0.1 * this.#scope.random());
    if (text === this.#text) return;
    this.#text = text;
    this.current = set;
    this.version++;
  }

  #end(isGood: boolean): void {
    this.#scope.tally.add(isGood ? STAT.fetchSuccess : STAT.fetchFailed, 1);
    this.#isFetching = false;
    if (!isGood) this.refreshAtMs = this.#scope.clock.now() + this.#settings.pauseMs;
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const { resumer, epoch } of waiters) resumer.resume(epoch);
  }
}

function textOf(result: RemoteHttpResult): string | null {
  if (result.kind === 'failed' || result.response.status !== 200) return null;
  return result.response.body.toString('utf8');
}
