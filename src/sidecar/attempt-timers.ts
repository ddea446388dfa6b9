// @hot
// The times of one attempt: how long it may take until its response's head, and how long it may be quiet, which
// goes on counting while the response comes. Made when an attempt first has one of them, and armed again.
// Source: Envoy RetryPolicy.per_try_timeout and per_try_idle_timeout.
import { WheelTimer, type TimerWheel } from '../base/timer-wheel.ts';

export class AttemptTimers {
  readonly #wheel: TimerWheel;
  readonly #total: WheelTimer;
  readonly #idle: WheelTimer;
  #idleMs = 0;

  // Per connection.
  constructor(wheel: TimerWheel, fire: (isIdle: boolean) => void) {
    this.#wheel = wheel;
    this.#total = new WheelTimer(() => fire(false));
    this.#idle = new WheelTimer(() => fire(true));
  }

  /** Milliseconds from now; 0 is none. */
  arm(totalMs: number, idleMs: number): void {
    this.#idleMs = idleMs;
    if (totalMs > 0) this.#wheel.arm(this.#total, totalMs);
    if (idleMs > 0) this.#wheel.arm(this.#idle, idleMs);
  }

  /** Something moved. */
  touch(): void {
    if (this.#idle.isArmed) this.#wheel.arm(this.#idle, this.#idleMs);
  }

  /** The response's head is there. */
  onHead(): void {
    this.#wheel.disarm(this.#total);
    this.touch();
  }

  disarm(): void {
    this.#wheel.disarm(this.#total);
    this.#wheel.disarm(this.#idle);
  }
}
