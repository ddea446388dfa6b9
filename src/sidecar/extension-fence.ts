// @hot
// Runs the steps of one extension so that its mistakes stay its own. What throws, or returns a promise, has failed for
// that request: it goes on without the extension, or is answered 503 (FailClosed). What takes longer than its budget of
// time is not called any more: a synchronous step that ends cannot be interrupted, so the next one is not begun. One that
// does not end is found by those who look (extension-watch.ts).
//
// Time is the thread's processor time, so that a machine that is busy with others cuts nobody off; a step that sleeps
// counts too, when it took ten budgets of the wall clock.
import type { Log } from '../base/log.ts';
import { H } from '../http/header-name.ts';
import type { Exchange } from '../plan/exchange.ts';
import type { ExtensionSteps } from '../plan/extension.ts';
import type { FilterTally } from '../plan/filter-tally.ts';
import { CONTINUE, REPLY, type Verdict } from '../plan/plan.ts';
import type { ExchangeView } from './extension-view.ts';
import type { ExtensionWatch } from './extension-watch.ts';
import type { RunningCell } from './stuck-extension.ts';

/** The statistics `http.PREFIX.extension.NAME.*`. */
export const EXTENSION_STATS = [
  { name: 'calls', kind: 'counter' },
  { name: 'failed', kind: 'counter' },
  { name: 'overran', kind: 'counter' },
  { name: 'replied', kind: 'counter' },
  { name: 'failed_open', kind: 'counter' },
  { name: 'failed_closed', kind: 'counter' },
] as const;
const CALLS = 0;
const FAILED = 1;
const OVERRAN = 2;
const REPLIED = 3;
const FAILED_OPEN = 4;
const FAILED_CLOSED = 5;

/** What it says is for people, and may hold anything. */
const REASON_CHARACTERS_MAX = 200;
const WALL_BUDGETS = 10;
/** Failures are logged one by one up to here, then every time there are twice as many. */
const LOGGED_MAX = 8;

export type ExtensionPhase = keyof ExtensionSteps;
export type FailurePolicy = 'FailOpen' | 'FailClosed';

export interface FenceInit {
  /** Of the filter: `outrigger.extension/NAME`. */
  readonly name: string;
  /** The module and its digest. */
  readonly module: string;
  /** Null: nobody looks whether it is stuck. */
  readonly watch: ExtensionWatch | null;
  readonly steps: ExtensionSteps;
  readonly view: ExchangeView;
  readonly failurePolicy: FailurePolicy;
  readonly budgetMs: number;
  readonly tally: FilterTally;
  readonly log: Log;
  /** Adds `x-outrigger-error` to refusals. */
  readonly explainsErrors: boolean;
}

export class ExtensionFence {
  isCutOff = false;
  readonly #cell: RunningCell | null;
  readonly #number: number;
  /** What the step runs for that is running. */
  #x: Exchange | null = null;
  #epoch = 0;
  #failures = 0;
  readonly #init: FenceInit;
  readonly #isClosed: boolean;

  constructor(init: FenceInit) {
    this.#init = init;
    this.#isClosed = init.failurePolicy === 'FailClosed';
    const { watch, name, module, failurePolicy, budgetMs } = init;
    this.#cell = watch?.cell ?? null;
    this.#number = watch?.add(this, { name, module, failurePolicy, budgetMs }) ?? 0;
  }

  onRequest(x: Exchange): Verdict {
    const { view, tally } = this.#init;
    if (this.#isOut()) return this.#fail(x, 'extension_cut_off');
    if (this.#init.steps.onRequest === undefined) return CONTINUE;
    if (!this.#call(x, 'onRequest', true))
      return this.#fail(x, this.isCutOff ? 'extension_overran' : 'extension_failed');
    if (!view.hasReplied) return CONTINUE;
    tally.add(REPLIED, 1);
    x.details = 'extension_replied';
    return REPLY;
  }

  /** The other phases can stop nothing any more. */
  onLater(x: Exchange, phase: ExtensionPhase): Verdict {
    if (!this.#isOut()) this.#call(x, phase, false);
    return CONTINUE;
  }

  /** Its step did not end, and was interrupted: nothing behind it has run, so the request cannot go on. */
  interrupted(): void {
    const { view, tally } = this.#init;
    const x = this.#x;
    this.#x = null;
    this.isCutOff = true;
    tally.add(OVERRAN, 1);
    view.lift();
    x?.resumer?.abandon(this.#epoch);
  }

  /** Overrun, or of a version that hung somewhere. */
  #isOut(): boolean {
    const { watch, module } = this.#init;
    return this.isCutOff || (watch !== null && watch.isBanned(module));
  }

  /** False: it failed, or overran. */
  #call(x: Exchange, phase: ExtensionPhase, mayReply: boolean): boolean {
    const { steps, view, tally, budgetMs } = this.#init;
    tally.add(CALLS, 1);
    view.lay(x, mayReply);
    const cell = this.#cell;
    if (cell !== null) {
      this.#x = x;
      this.#epoch = x.epoch;
      cell.enter(this.#number);
    }
    const wallMs = performance.now();
    const before = process.threadCpuUsage();
    let reason = '';
    try {
      const result: unknown = steps[phase]?.(view);
      if (isPromise(result)) {
        result.then(undefined, ignore);
        reason = 'it returned a promise';
      }
    } catch (cause) {
      reason = reasonOf(cause);
    }
    if (cell !== null) {
      cell.leave();
      this.#x = null;
    }
    const after = process.threadCpuUsage(before);
    const tookMs = (after.user + after.system) / 1000;
    const tookWallMs = performance.now() - wallMs;
    view.lift();
    if (tookMs > budgetMs || tookWallMs > budgetMs * WALL_BUDGETS) {
      this.#cutOff(phase, Math.max(tookMs, tookWallMs));
      return false;
    }
    if (reason === '') return true;
    this.#failed(phase, reason);
    return false;
  }

  #fail(x: Exchange, details: string): Verdict {
    const { tally, name, explainsErrors } = this.#init;
    if (!this.#isClosed) {
      tally.add(FAILED_OPEN, 1);
      return CONTINUE;
    }
    tally.add(FAILED_CLOSED, 1);
    x.response.reset();
    x.response.status = 503;
    if (explainsErrors) x.response.set(H.outriggerError, '-; extension ' + name + '; ' + details);
    x.replyBody = 'extension failed';
    x.details = details;
    return REPLY;
  }

  // Once per process and extension, if at all: a log line is made from what happened (once per process).
  #cutOff(phase: ExtensionPhase, tookMs: number): void {
    const { name, tally, log, budgetMs, failurePolicy } = this.#init;
    this.isCutOff = true;
    tally.add(OVERRAN, 1);
    log.error('an extension overran its time and is not called any more', {
      extension: name,
      phase,
      tookMs: Math.round(tookMs * 10) / 10,
      budgetMs,
      failurePolicy,
    });
  }

  #failed(phase: ExtensionPhase, reason: string): void {
    const { name, tally, log, failurePolicy } = this.#init;
    tally.add(FAILED, 1);
    this.#failures += 1;
    const failures = this.#failures;
    if (failures > LOGGED_MAX && (failures & (failures - 1)) !== 0) return;
    log.error('an extension failed', { extension: name, phase, reason, failures, failurePolicy });
  }
}

function isPromise(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function';
}

function ignore(): void {
  // Its failure was told already: that it was a promise.
}

function reasonOf(cause: unknown): string {
  const text = cause instanceof Error ? cause.name + ': ' + cause.message : 'it threw no Error';
  return text.slice(0, REASON_CHARACTERS_MAX);
}
