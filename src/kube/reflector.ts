// One kind of the API server, kept current: listed once (as a stream where the server can, in pages otherwise), watched
// from there, resumed where it was after every cut, listed again only when the server has forgotten (410) or nothing
// else helps. It never ends but by `stop`, never shows half a list, and takes nothing away before a server that knows
// the kind has said so.
//
//   list ──▶ watch ──▶ (end, reset, stall) ──▶ watch from the last resourceVersion
//    ▲         │ 410, three failures without progress          │ 404
//    └─────────┴──────────────◀── looked for again ◀── absent ◀┘
import type { Clock } from '../base/clock.ts';
import { createBackoff, type Backoff } from '../base/backoff.ts';
import type { Log } from '../base/log.ts';
import type { KubeClient, Selection } from './client.ts';
import { servedVersion } from './discovery.ts';
import { ownFailure, type KubeFailure } from './kube-answer.ts';
import { resourceName, type KubeKind } from './kind-path.ts';
import type { KubeObject } from './kube-object.ts';
import { ObjectStore, type ObjectChange, type ObjectDraft } from './object-store.ts';
import { pause } from './pause.ts';
import type { ReflectorCounters } from './reflector-counters.ts';
import { DEFAULT_TIMING, type ReflectorTiming } from './reflector-timing.ts';
import { Trouble } from './trouble.ts';
import type { WatchEvent } from './watch-event.ts';

export interface ReflectorOptions<T> extends Selection {
  readonly client: Pick<KubeClient, 'listPages' | 'watch' | 'call'>;
  readonly kind: KubeKind;
  /** In which it is watched where it is not served in its own; none by default. */
  readonly otherVersions?: readonly string[];
  /** What of an object is kept in memory; null: it is of no interest, as if it were not there. */
  readonly keep: (object: KubeObject) => T | null;
  readonly onChange: (change: ObjectChange<T>) => void;
  /** Once: the first whole list has been told of, or the kind is not served. */
  readonly onSynced?: () => void;
  /** The server answers again after it did not: others that wait for it need not wait longer (`hearAnswer`). */
  readonly onAnswered?: () => void;
  readonly log: Log;
  readonly clock: Clock;
  /** `Math.random` by default. */
  readonly random?: () => number;
  readonly timing?: Partial<ReflectorTiming>;
}

interface Ended {
  /** Null: in order. */
  readonly end: KubeFailure | null;
  /** Since it was accepted; below 0: it was not. */
  readonly heldMs: number;
}

const FRUITLESS_MAX = 3;
const STALLS_MAX = 3;
const STREAM_FAULTS_MAX = 2;
const ABSENCES_MIN = 3;
const CONFIRM_MS = 1_000;
const STOP_MS = 200;
/** The list as a stream was tried and the server or something before it could not. */
const STREAM_FAULTS: ReadonlySet<string> = new Set(['Closed', 'Stalled', 'Malformed', 'TooLarge']);

export class Reflector<T> {
  readonly #options: ReflectorOptions<T>;
  readonly #timing: ReflectorTiming;
  readonly #store: ObjectStore<T>;
  readonly #trouble: Trouble;
  readonly #backoff: Backoff;
  readonly #random: () => number;
  readonly #ending = new AbortController();
  readonly #counts = { lists: 0, watches: 0, events: 0, bookmarks: 0, resumes: 0, faults: 0 };
  /** In the version that is served. */
  #kind: KubeKind;
  #run: Promise<void> | null = null;
  #nap = new AbortController();
  /** The pause is our own choice. */
  #isCuttable = false;
  /** Somebody was answered since the last question was asked. */
  #hasHeard = false;
  /** Empty: a list is needed. */
  #resourceVersion = '';
  #isSynced = false;
  #isAbsent = false;
  #lastSyncMs = 0;
  #canStream = true;
  #streamFaults = 0;
  #fruitless = 0;
  #stalls = 0;
  #expired = 0;
  #absences = 0;
  #isEmptyDoubted = false;

  constructor(options: ReflectorOptions<T>) {
    this.#options = options;
    this.#kind = options.kind;
    this.#timing = { ...DEFAULT_TIMING, ...options.timing };
    this.#random = options.random ?? Math.random;
    const { backoffMinMs: baseMs, backoffMaxMs: maxMs } = this.#timing;
    this.#backoff = createBackoff({ baseMs, maxMs, random: this.#random, isFullyJittered: true });
    this.#trouble = new Trouble(options.kind, options.namespace ?? '', options.log);
    this.#store = new ObjectStore(
      (object, old) => this.#keep(object, old),
      (change) => this.#tell(change),
    );
  }

  start(): void {
    this.#run ??= this.#loop();
  }

  /** Nothing more will be told; a call that hangs is not waited for. What is known stays. */
  async stop(): Promise<void> {
    this.#ending.abort();
    this.#nap.abort();
    await Promise.race([this.#run, pause(STOP_MS, new AbortController().signal)]);
  }

  /** The server answered somebody: a pause after a failure is over, unless the server itself asked for it. */
  hearAnswer(): void {
    this.#hasHeard = true;
    if (this.#isCuttable) this.#nap.abort();
  }

  /** What is known is whole; it stays true while the server is away. */
  get isSynced(): boolean {
    return this.#isSynced;
  }

  /** The server does not serve this kind. */
  get isAbsent(): boolean {
    return this.#isAbsent;
  }

  /** When the server last told us anything, by the clock; 0: never. */
  get lastSyncMs(): number {
    return this.#lastSyncMs;
  }

  /** By `namespace/name`; live. */
  get objects(): ReadonlyMap<string, T> {
    return this.#store.objects;
  }

  get what(): string {
    return resourceName(this.#options.kind);
  }

  /** Empty: the last answer was good. */
  get complaint(): string {
    return this.#trouble.complaint;
  }

  counters(): ReflectorCounters {
    return { ...this.#counts, failures: this.#trouble.failures };
  }

  async #loop(): Promise<void> {
    const { signal } = this.#ending;
    while (!signal.aborted) {
      let delayMs: number;
      this.#isCuttable = false;
      this.#hasHeard = false;
      try {
        delayMs = this.#resourceVersion === '' ? await this.#begin() : await this.#resume();
      } catch (cause) {
        delayMs = this.#fail(ownFailure('Malformed', `a fault of ours: ${String(cause)}`).failure);
      }
      this.#nap = new AbortController();
      if (delayMs > 0 && !signal.aborted) await pause(delayMs, AbortSignal.any([signal, this.#nap.signal]));
    }
  }

  async #begin(): Promise<number> {
    const canStream = this.#canStream && this.#streamFaults < STREAM_FAULTS_MAX;
    return canStream ? await this.#stream() : await this.#page();
  }

  async #page(): Promise<number> {
    const { client } = this.#options;
    const draft = this.#store.draft();
    this.#counts.lists++;
    const listed = await client.listPages(this.#kind, this.#options, {
      onRestart: () => draft.clear(),
      onPage: (items) => {
        for (const item of items) draft.put(item);
      },
    });
    if (this.#ending.signal.aborted) return 0;
    if (listed.kind === 'failed') return await this.#failToBegin(listed.failure);
    return this.#adopt(draft, listed.value) ? 0 : CONFIRM_MS * this.#random();
  }

  /** List and watch in one. Whatever goes wrong with it twice, the next list is in pages. */
  async #stream(): Promise<number> {
    const draft = this.#store.draft();
    let isWhole = false;
    let isDoubted = false;
    this.#counts.lists++;
    const { end: ended, heldMs } = await this.#watch(true, (event) => {
      if (isWhole) return this.#take(event);
      if (event.kind === 'changed') draft.put(event.object);
      else if (event.kind === 'deleted') draft.remove(event.object);
      else if (event.isInitialEnd) {
        isDoubted = !this.#adopt(draft, event.resourceVersion);
        isWhole = true;
      }
      return !isDoubted;
    });
    if (isDoubted) return CONFIRM_MS * this.#random();
    if (isWhole) return await this.#judge(ended, heldMs);
    if (this.#ending.signal.aborted) return 0;
    const end = ended ?? ownFailure('Closed', 'the list was cut').failure;
    if (end.status === 400 || end.status === 422) {
      this.#canStream = false;
      return 0;
    }
    if (STREAM_FAULTS.has(end.reason)) this.#streamFaults++;
    return await this.#failToBegin(end);
  }

  async #resume(): Promise<number> {
    const { end, heldMs } = await this.#watch(false, (event) => this.#take(event));
    return await this.#judge(end, heldMs);
  }

  async #watch(
    isInitial: boolean,
    onEvent: (event: Exclude<WatchEvent, { kind: 'failed' }>) => boolean,
  ): Promise<Ended> {
    const { client, clock } = this.#options;
    const { watchSeconds, stallMs } = this.#timing;
    const timeoutSeconds = Math.ceil(watchSeconds * (1 + this.#random()));
    const resourceVersion = isInitial ? '' : this.#resourceVersion;
    let openedMs = Infinity;
    let held: NodeJS.Timeout | undefined;
    const end = await client.watch(
      this.#kind,
      { ...this.#options, resourceVersion, isInitial, timing: { timeoutSeconds, stallMs } },
      {
        onOpen: () => {
          openedMs = clock.now();
          this.#counts.watches++;
          if (!isInitial) this.#counts.resumes++;
          held = setTimeout(() => this.#recover(), this.#timing.heldMs);
        },
        onEvent: (event) => {
          if (this.#ending.signal.aborted) return false;
          this.#lastSyncMs = clock.now();
          return onEvent(event);
        },
        signal: this.#ending.signal,
      },
    );
    clearTimeout(held);
    return { end, heldMs: clock.now() - openedMs };
  }

  #take(event: Exclude<WatchEvent, { kind: 'failed' }>): boolean {
    this.#progress();
    if (event.kind === 'bookmark') {
      this.#counts.bookmarks++;
      this.#resourceVersion = event.resourceVersion;
      return true;
    }
    this.#counts.events++;
    if (event.kind === 'changed') this.#store.put(event.object);
    else this.#store.remove(event.object);
    this.#resourceVersion = event.object.metadata.resourceVersion;
    return true;
  }

  /** False: it takes everything away, which the server must say twice. */
  #adopt(draft: ObjectDraft<T>, resourceVersion: string): boolean {
    if (draft.known.size === 0 && this.#store.size > 0 && !this.#isEmptyDoubted) {
      this.#isEmptyDoubted = true;
      return false;
    }
    this.#isEmptyDoubted = false;
    this.#resourceVersion = resourceVersion;
    this.#lastSyncMs = this.#options.clock.now();
    this.#streamFaults = 0;
    this.#absences = 0;
    this.#setAbsent(false);
    this.#store.replace(draft);
    this.#synced();
    return true;
  }

  /** How long to wait after a watch that was whole. */
  async #judge(end: KubeFailure | null, heldMs: number): Promise<number> {
    if (this.#ending.signal.aborted) return 0;
    if (end?.status === 410) {
      this.#trouble.count(end.reason);
      this.#resourceVersion = '';
      return this.#expired++ === 0 ? 0 : this.#backoff.next();
    }
    if (end?.status === 404) {
      this.#resourceVersion = '';
      return await this.#failToBegin(end);
    }
    if (end?.reason === 'Stalled' && ++this.#stalls >= STALLS_MAX) {
      this.#stalls = 0;
      this.#resourceVersion = '';
    }
    const isCut = end === null || end.reason === 'Closed' || end.reason === 'Stalled';
    if (isCut && heldMs >= this.#timing.heldMs) {
      this.#recover();
      this.#backoff.reset();
      this.#fruitless = 0;
      this.#expired = 0;
      if (end !== null) this.#trouble.count(end.reason);
      return 0;
    }
    // Nobody answered: the place where it was may still be good.
    if (end?.status === 0 && heldMs < 0) return this.#fail(end);
    // A stream that ends as soon as it begins, or a line that can never be read, must not be asked for for ever.
    if (++this.#fruitless >= FRUITLESS_MAX) {
      this.#fruitless = 0;
      this.#resourceVersion = '';
    }
    return end === null ? this.#backoff.next() : this.#fail(end);
  }

  async #failToBegin(failure: KubeFailure): Promise<number> {
    if (failure.status !== 404) return this.#fail(failure);
    const { client, kind, otherVersions = [], log } = this.#options;
    const served = await servedVersion(client, kind, [kind.version, ...otherVersions]);
    if (served.kind === 'failed') return this.#fail(served.failure);
    if (served.value === this.#kind.version) return this.#fail(failure);
    if (served.value !== null) {
      log.info(`${this.what}: watched as ${served.value}`);
      this.#kind = { ...kind, version: served.value };
      this.#store.doubt();
      return 0;
    }
    if (++this.#absences < ABSENCES_MIN && this.#store.size > 0) return CONFIRM_MS;
    if (!this.#isAbsent) log.info(`${this.what}: not served, looked for again`);
    this.#setAbsent(true);
    this.#lastSyncMs = this.#options.clock.now();
    this.#recover();
    this.#backoff.reset();
    this.#store.replace(this.#store.draft());
    this.#synced();
    return this.#timing.absentMs * (0.8 + 0.4 * this.#random());
  }

  #setAbsent(isAbsent: boolean): void {
    if (this.#isAbsent && !isAbsent) this.#options.log.info(`${this.what}: served now`);
    this.#isAbsent = isAbsent;
  }

  #synced(): void {
    if (this.#isSynced) return;
    this.#isSynced = true;
    this.#guard(() => this.#options.onSynced?.());
  }

  #progress(): void {
    this.#fruitless = 0;
    this.#stalls = 0;
    this.#expired = 0;
    this.#backoff.reset();
    this.#recover();
  }

  #recover(): void {
    if (this.#trouble.end()) this.#guard(() => this.#options.onAnswered?.());
  }

  /** What the server asks for is waited for, and up to twice that; else as long as nobody is known to be answered. */
  #fail(failure: KubeFailure): number {
    const { retryAfterMs } = failure;
    this.#trouble.say(failure);
    this.#isCuttable = retryAfterMs === 0;
    const mostMs = this.#isCuttable ? (this.#hasHeard ? this.#timing.backoffMinMs : Infinity) : retryAfterMs;
    return retryAfterMs + Math.min(this.#backoff.next(), mostMs);
  }

  /** A fault leaves what was kept before. */
  #keep(object: KubeObject, old: T | null): T | null {
    let kept = old;
    this.#guard(() => {
      kept = this.#options.keep(object);
    });
    return kept;
  }

  #tell(change: ObjectChange<T>): void {
    this.#guard(() => this.#options.onChange(change));
  }

  /** Those who are told may make mistakes; the informer lives on. */
  #guard(call: () => void): void {
    try {
      call();
    } catch (cause) {
      this.#counts.faults++;
      const text = cause instanceof Error ? (cause.stack ?? cause.message) : String(cause);
      this.#options.log.error(`${this.what}: a fault in what handles it`, { cause: text });
    }
  }
}
