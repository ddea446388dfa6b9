// @hot
// The time that a client has for a request head, from its first byte on: what bounds a client that sends one
// byte now and then. The limit for the whole request counts for its head, too; nothing is armed for a head
// that comes in one piece. Source: Envoy request_headers_timeout and request_timeout; both answer 408.
import { WheelTimer, type TimerWheel } from '../base/timer-wheel.ts';

export interface HeadLimits {
  /** Milliseconds; 0 is off. */
  readonly requestHeadersTimeoutMs: number;
  readonly requestTimeoutMs: number;
}

export class HeadTimer {
  readonly #wheel: TimerWheel;
  readonly #limitMs: number;
  readonly #timer: WheelTimer;

  /** `onTimeout` gets the details of the refusal. */
  // Per connection.
  constructor(wheel: TimerWheel, limits: HeadLimits, onTimeout: (details: string) => void) {
    const { requestHeadersTimeoutMs: headMs, requestTimeoutMs: wholeMs } = limits;
    const isHead = headMs > 0 && (wholeMs === 0 || headMs <= wholeMs);
    this.#wheel = wheel;
    this.#limitMs = isHead ? headMs : wholeMs;
    this.#timer = new WheelTimer(() => onTimeout(isHead ? 'request_header_timeout' : 'request_overall_timeout'));
  }

  arm(): void {
    if (this.#limitMs > 0) this.#wheel.arm(this.#timer, this.#limitMs);
  }

  disarm(): void {
    this.#wheel.disarm(this.#timer);
  }
}
