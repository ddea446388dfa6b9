// @hot
// The deadlines of one exchange: the route's timeout, the longest a stream may last, and the time for the
// whole request to arrive; and the pause that a step asked for. What is not configured is never armed. An entry in the wheel each, made once per
// connection. Source: Envoy RouteAction.timeout, max_stream_duration, HttpConnectionManager.request_timeout.
import { WheelTimer, type TimerWheel } from '../base/timer-wheel.ts';
import type { Exchange } from '../plan/exchange.ts';

/** What fires. */
export interface StreamTimersOwner {
  onRouteTimeout(): void;
  onStreamTooLong(): void;
  onRequestTooSlow(): void;
  resume(epoch: number): void;
}

export class StreamTimers {
  readonly #wheel: TimerWheel;
  readonly #route: WheelTimer;
  readonly #duration: WheelTimer;
  readonly #request: WheelTimer;
  readonly #pause: WheelTimer;
  #pausedEpoch = 0;

  // Per connection.
  constructor(wheel: TimerWheel, owner: StreamTimersOwner) {
    this.#wheel = wheel;
    this.#route = new WheelTimer(() => owner.onRouteTimeout());
    this.#duration = new WheelTimer(() => owner.onStreamTooLong());
    this.#request = new WheelTimer(() => owner.onRequestTooSlow());
    this.#pause = new WheelTimer(() => owner.resume(this.#pausedEpoch));
  }

  /** Milliseconds from now; 0 arms nothing. */
  armRoute(timeoutMs: number): void {
    if (timeoutMs > 0) this.#wheel.arm(this.#route, timeoutMs);
  }

  /** Milliseconds from now; 0 takes the limit away. */
  armDuration(limitMs: number): void {
    if (limitMs > 0) this.#wheel.arm(this.#duration, limitMs);
    else this.#wheel.disarm(this.#duration);
  }

  armRequest(timeoutMs: number): void {
    if (timeoutMs > 0) this.#wheel.arm(this.#request, timeoutMs);
  }

  /** The request is complete. */
  disarmRequest(): void {
    this.#wheel.disarm(this.#request);
  }

  /** The exchange goes on after its `pauseMs`; without one somebody else resumes it. */
  armPause(x: Exchange): void {
    if (x.pauseMs === 0) return;
    this.#pausedEpoch = x.epoch;
    this.#wheel.arm(this.#pause, x.pauseMs);
    x.pauseMs = 0;
  }

  disarmAll(): void {
    this.#wheel.disarm(this.#pause);
    this.#wheel.disarm(this.#route);
    this.#wheel.disarm(this.#duration);
    this.#wheel.disarm(this.#request);
  }
}
