// One active check of one endpoint: when it runs, what its results mean, and when it runs again. It opens nothing
// itself: a Probe does, and answers once for each start. The first result moves the endpoint at once; afterwards
// a wrong answer fails it at once, what the network or a retriable status says counts towards the threshold.
// Source: Envoy core.v3.HealthCheck; the rules that its text leaves open were measured on Envoy 1.40.
//
//   begin ─► wait (initial jitter) ─► probe ─► passed │ failed │ timed out ─► wait ─► probe …
import type { Clock } from '../base/clock.ts';
import { WheelTimer, type TimerWheel } from '../base/timer-wheel.ts';
import type { HealthCheckSettings } from './health-check-settings.ts';

export type ProbeResult =
  | { readonly kind: 'passed'; readonly isDegraded: boolean }
  | {
      readonly kind: 'failed';
      /** `network`: no answer came; `active`: a wrong one. */
      readonly reason: 'active' | 'network';
      /** True: it only counts towards the threshold, as what the network does always. */
      readonly isRetriable: boolean;
      /** True: the endpoint asked to be left out of all computations. */
      readonly isExcluded: boolean;
      /** 0 when there was none. */
      readonly status: number;
    };

/** What a check does to an endpoint. */
export interface Probe {
  /** Begins one check; `done` is called exactly once, later, unless abort() comes first. */
  start(done: (result: ProbeResult) => void): void;
  /** Gives the check up, which took too long. */
  abort(): void;
  /** Ends everything; start() is not called again. */
  close(): void;
}

/** Who told that an endpoint fails, as events name it. */
export type FailureType = 'ACTIVE' | 'PASSIVE' | 'NETWORK' | 'NETWORK_TIMEOUT';

export type HealthEvent =
  | { readonly kind: 'added'; readonly isFirst: boolean }
  | { readonly kind: 'ejected'; readonly failure: FailureType; readonly status: number }
  | { readonly kind: 'passed' }
  | { readonly kind: 'failed'; readonly failure: FailureType; readonly isFirst: boolean; readonly status: number }
  | { readonly kind: 'degraded' }
  | { readonly kind: 'recovered' };

/** Envoy's `cluster.NAME.health_check.*`. */
export interface HealthTally {
  attempts: number;
  successes: number;
  failures: number;
  passiveFailures: number;
  networkFailures: number;
  verifications: number;
}

export interface HealthCheckInit {
  readonly settings: HealthCheckSettings;
  readonly clock: Clock;
  readonly wheel: TimerWheel;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly probe: Probe;
  readonly tally: HealthTally;
  /** Whether the endpoint was taken for failed before the first check. */
  readonly isFailed: boolean;
  /** True once any connection of the cluster was made for traffic. */
  readonly hasTraffic: () => boolean;
  readonly onEvent: (event: HealthEvent) => void;
  /** After each result; `isFailed` and the like tell what is true now. */
  readonly onResult: (check: HealthCheck) => void;
}

/** How a result moves the endpoint: not, not yet, or now. */
type Move = 'none' | 'pending' | 'moved';

export class HealthCheck {
  readonly name: string;
  isFailed: boolean;
  isDegraded = false;
  isExcluded = false;
  /** It fails because its last check got no answer in time. */
  isTimedOut = false;
  /** False until the first result. */
  isChecked = false;
  readonly #init: HealthCheckInit;
  readonly #waitTimer = new WheelTimer(() => this.#check());
  readonly #timeoutTimer = new WheelTimer(() => this.#onTimeout());
  #passes = 0;
  #failures = 0;
  #isClosed = false;

  constructor(init: HealthCheckInit) {
    this.#init = init;
    this.name = init.settings.name;
    this.isFailed = init.isFailed;
  }

  begin(): void {
    const { initialJitterMs } = this.#init.settings;
    if (initialJitterMs > 0) this.#wait(0, initialJitterMs);
    else this.#check();
  }

  close(): void {
    this.#isClosed = true;
    const { wheel, probe } = this.#init;
    wheel.disarm(this.#waitTimer);
    wheel.disarm(this.#timeoutTimer);
    probe.close();
  }

  /** A response of the endpoint to somebody's request said `x-envoy-immediate-health-check-fail`. */
  failPassively(): void {
    if (this.#isClosed) return;
    this.isExcluded = true;
    this.#fail('PASSIVE', 0, false);
  }

  #check(): void {
    const { probe, wheel, settings, tally } = this.#init;
    tally.attempts++;
    wheel.arm(this.#timeoutTimer, settings.timeoutMs);
    probe.start((result) => this.#onResult(result));
  }

  #onResult(result: ProbeResult): void {
    if (this.#isClosed) return;
    this.#init.wheel.disarm(this.#timeoutTimer);
    if (result.kind === 'passed') {
      this.#waitAfter('passed', this.#pass(result.isDegraded));
      return;
    }
    if (result.isExcluded) this.isExcluded = true;
    const failure = result.reason === 'network' ? 'NETWORK' : 'ACTIVE';
    this.#waitAfter('failed', this.#fail(failure, result.status, result.isRetriable));
  }

  #onTimeout(): void {
    if (this.#isClosed) return;
    this.#init.probe.abort();
    this.#waitAfter('failed', this.#fail('NETWORK_TIMEOUT', 0, false));
  }

  #pass(isDegraded: boolean): Move {
    const { settings, tally, onEvent } = this.#init;
    const isFirst = !this.isChecked;
    let move: Move = 'none';
    this.#failures = 0;
    if (this.isFailed) {
      move = isFirst || ++this.#passes === settings.healthyThreshold ? 'moved' : 'pending';
      if (move === 'moved') {
        this.isFailed = false;
        this.isExcluded = false;
        this.isTimedOut = false;
        onEvent({ kind: 'added', isFirst });
      }
    }
    if (settings.logsEverySuccess && move !== 'moved') onEvent({ kind: 'passed' });
    if (isDegraded !== this.isDegraded) {
      this.isDegraded = isDegraded;
      onEvent({ kind: isDegraded ? 'degraded' : 'recovered' });
      if (move === 'none') move = 'moved';
    }
    tally.successes++;
    this.#tell();
    return move;
  }

  #fail(failure: FailureType, status: number, isRetriable: boolean): Move {
    const { settings, tally, onEvent } = this.#init;
    const isFirst = !this.isChecked;
    const isNetwork = failure === 'NETWORK' || failure === 'NETWORK_TIMEOUT';
    let move: Move = 'none';
    this.#passes = 0;
    if (!this.isFailed) {
      const isOver = (!isNetwork && !isRetriable) || ++this.#failures === settings.unhealthyThreshold;
      move = isOver ? 'moved' : 'pending';
      this.isFailed = isOver;
      if (isOver) onEvent({ kind: 'ejected', failure, status });
    }
    if (isFirst || settings.logsEveryFailure) onEvent({ kind: 'failed', failure, isFirst, status });
    this.isTimedOut = this.isFailed && failure === 'NETWORK_TIMEOUT';
    tally.failures++;
    if (isNetwork) tally.networkFailures++;
    if (failure === 'PASSIVE') tally.passiveFailures++;
    this.#tell();
    return move;
  }

  #tell(): void {
    this.isChecked = true;
    this.#init.onResult(this);
  }

  #waitAfter(result: 'passed' | 'failed', move: Move): void {
    if (this.#isClosed) return;
    this.#wait(this.#intervalAfter(result, move), this.#init.settings.intervalJitterMs);
  }

  #intervalAfter(result: 'passed' | 'failed', move: Move): number {
    const { settings, hasTraffic } = this.#init;
    const hasPassed = result === 'passed';
    if (!hasTraffic()) return hasPassed ? settings.noTrafficHealthyIntervalMs : settings.noTrafficIntervalMs;
    if (move === 'pending') return hasPassed ? settings.healthyEdgeIntervalMs : settings.unhealthyEdgeIntervalMs;
    return hasPassed ? settings.intervalMs : settings.unhealthyIntervalMs;
  }

  /** At least 1 ms, so that nothing turns for ever. */
  #wait(baseMs: number, jitterMs: number): void {
    const { settings, wheel, random } = this.#init;
    let waitMs = baseMs;
    const shareMs = (settings.intervalJitterPercent * baseMs) / 100;
    if (shareMs > 0) waitMs += random() * shareMs;
    if (jitterMs > 0) waitMs += random() * jitterMs;
    wheel.arm(this.#waitTimer, Math.max(1, waitMs));
  }
}
