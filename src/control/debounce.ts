// Gathers changes: the work runs once nothing has changed for the quiet time, and at the latest when the
// oldest change has waited for the maximum. Changes of endpoints alone do not wait: they run in the next
// turn of the event loop, many in one, since they are cheap and stale endpoints cost requests; where so many clients are
// told that a run takes long, the next one rests before, so that what comes meanwhile goes with it.
// It knows nothing of what changed; the owner keeps that.
import type { Clock } from '../base/clock.ts';

/** What the work has to look at: `endpoints` means that nothing but endpoints changed since the last run of any kind. */
export type Extent = 'all' | 'endpoints';

/** Calls `run` after `delayMs`; returns what takes it back. */
export type Schedule = (run: () => void, delayMs: number) => () => void;

export interface DebounceOptions {
  readonly run: (extent: Extent) => void;
  /** 100 ms by default. */
  readonly quietMs?: number;
  /** 10 s by default. */
  readonly maxMs?: number;
  /** The longest rest after a run of endpoints, which is eight times as long as the run; 250 ms by default. */
  readonly restMsMax?: number;
  readonly clock: Clock;
  /** `setTimeout`, not keeping the process alive, by default. */
  readonly schedule?: Schedule;
}

/** Clients answer, and streams are written, after the run: it is about a third of what it costs. */
const REST_FACTOR = 8;

export class Debounce {
  readonly #run: (extent: Extent) => void;
  readonly #quietMs: number;
  readonly #maxMs: number;
  readonly #restMsMax: number;
  readonly #clock: Clock;
  readonly #schedule: Schedule;
  #firstMs = 0;
  #lastMs = 0;
  /** Before this, endpoints rest. */
  #restUntilMs = -Infinity;
  /** Takes back the timer of waiting changes; null when none wait. */
  #cancel: (() => void) | null = null;
  #cancelEndpoints: (() => void) | null = null;

  constructor({
    run,
    quietMs = 100,
    maxMs = 10_000,
    restMsMax = 250,
    clock,
    schedule = systemSchedule,
  }: DebounceOptions) {
    this.#run = run;
    this.#quietMs = quietMs;
    this.#maxMs = maxMs;
    this.#restMsMax = restMsMax;
    this.#clock = clock;
    this.#schedule = schedule;
  }

  get isWaiting(): boolean {
    return this.#cancel !== null || this.#cancelEndpoints !== null;
  }

  /** Something other than endpoints changed. */
  note(): void {
    this.#lastMs = this.#clock.now();
    if (this.#cancel !== null) return;
    this.#firstMs = this.#lastMs;
    this.#wait();
  }

  /** Only endpoints changed. Does not wait for, hasten or delay what waits already. */
  noteEndpoints(): void {
    const restMs = Math.max(0, this.#restUntilMs - this.#clock.now());
    this.#cancelEndpoints ??= this.#schedule(() => {
      this.#cancelEndpoints = null;
      const startedMs = this.#clock.now();
      this.#run('endpoints');
      const endedMs = this.#clock.now();
      this.#restUntilMs = endedMs + Math.min(this.#restMsMax, REST_FACTOR * (endedMs - startedMs));
    }, restMs);
  }

  /** Runs now, with everything that waits. */
  flush(): void {
    this.close();
    this.#run('all');
  }

  /** Forgets what waits. */
  close(): void {
    this.#cancel?.();
    this.#cancel = null;
    this.#cancelEndpoints?.();
    this.#cancelEndpoints = null;
  }

  #wait(): void {
    const dueMs = Math.min(this.#lastMs + this.#quietMs, this.#firstMs + this.#maxMs);
    this.#cancel = this.#schedule(() => this.#look(), Math.max(0, dueMs - this.#clock.now()));
  }

  /** One timer serves a burst: when it fires early for the newest change, it is armed again. */
  #look(): void {
    const nowMs = this.#clock.now();
    const isDue = nowMs - this.#lastMs >= this.#quietMs || nowMs - this.#firstMs >= this.#maxMs;
    if (isDue) this.flush();
    else this.#wait();
  }
}

const systemSchedule: Schedule = (run, delayMs) => {
  const timer = setTimeout(run, delayMs).unref();
  return () => clearTimeout(timer);
};
