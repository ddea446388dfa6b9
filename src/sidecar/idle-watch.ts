// Watches one downstream connection for idleness and age with a single timer, armed for the earliest
// moment at which anything may be due: stream idle, connection idle, connection duration. Activity only
// writes down a time; nothing is armed per request.
// Source: Envoy stream_idle_timeout, idle_timeout, max_connection_duration.
import { WheelTimer } from '../base/timer-wheel.ts';
import type { Driver } from './driver.ts';
import type { Engine } from './engine.ts';
import type { HttpManager } from './http-manager.ts';
import type { Wire } from './wire.ts';

const CHECK_MS_MIN = 20;
const OVER_AGE_LOOK_MS = 1000;

/** The connection that is watched. */
export interface IdleOwner {
  readonly wire: Wire;
  destroy(): void;
}

export class IdleWatch {
  /** Monotonic milliseconds of the last byte that moved. */
  lastMs: number;
  /** True once the connection is older than it may get: the next response is its last. */
  isOverAge = false;
  readonly #engine: Engine;
  readonly #manager: HttpManager;
  readonly #driver: Driver;
  readonly #owner: IdleOwner;
  readonly #openedMs: number;
  readonly #timer: WheelTimer;
  #isStopped = false;

  constructor(engine: Engine, manager: HttpManager, driver: Driver, owner: IdleOwner) {
    this.#engine = engine;
    this.#manager = manager;
    this.#driver = driver;
    this.#owner = owner;
    this.#openedMs = engine.clock.now();
    this.lastMs = this.#openedMs;
    this.#timer = new WheelTimer(() => this.#look());
    this.#arm();
  }

  /** A route may allow less idleness than the manager. */
  minds(streamIdleTimeoutMs: number): void {
    if (streamIdleTimeoutMs === 0) return;
    const { streamIdleTimeoutMs: usualMs } = this.#manager;
    if (usualMs === 0 || streamIdleTimeoutMs < usualMs) this.#arm();
  }

  stop(): void {
    this.#isStopped = true;
    this.#engine.wheel.disarm(this.#timer);
  }

  #arm(): void {
    const { idleTimeoutMs, streamIdleTimeoutMs, maxConnectionDurationMs } = this.#manager;
    const { isActive, x } = this.#driver;
    const nowMs = this.#engine.clock.now();
    // What is not going on may begin at any moment from now on: the next request, or the next pause.
    let dueMs = Infinity;
    if (idleTimeoutMs > 0) dueMs = (isActive ? nowMs : this.lastMs) + idleTimeoutMs;
    if (streamIdleTimeoutMs > 0) dueMs = Math.min(dueMs, nowMs + streamIdleTimeoutMs);
    if (isActive && x.streamIdleTimeoutMs > 0) dueMs = Math.min(dueMs, this.lastMs + x.streamIdleTimeoutMs);
    if (maxConnectionDurationMs > 0) {
      const endMs = this.#openedMs + maxConnectionDurationMs;
      const closeMs = endMs + this.#manager.drainMs;
      // A response under way may have begun before it was known that it would be the last.
      const nextMs = nowMs < closeMs ? closeMs : nowMs + OVER_AGE_LOOK_MS;
      dueMs = Math.min(dueMs, this.isOverAge ? nextMs : endMs);
    }
    if (dueMs === Infinity) return;
    this.#engine.wheel.arm(this.#timer, Math.max(dueMs - nowMs, CHECK_MS_MIN));
  }

  #look(): void {
    const nowMs = this.#engine.clock.now();
    const idleMs = nowMs - this.lastMs;
    const { idleTimeoutMs, maxConnectionDurationMs, streamIdleTimeoutMs: unreadMs, drainMs } = this.#manager;
    const overAgeMs = nowMs - this.#openedMs - maxConnectionDurationMs;
    if (maxConnectionDurationMs > 0 && overAgeMs >= 0 && !this.isOverAge) {
      this.isOverAge = true;
      this.#manager.tally.ageLimits++;
    }
    if (this.#driver.isActive) {
      const { streamIdleTimeoutMs } = this.#driver.x;
      if (streamIdleTimeoutMs > 0 && idleMs >= streamIdleTimeoutMs) this.#driver.onIdle();
    } else if (idleTimeoutMs > 0 && idleMs >= idleTimeoutMs) {
      this.#manager.tally.idleTimeouts++;
      this.#owner.destroy();
    } else if (this.isOverAge && overAgeMs >= drainMs) {
      this.#owner.destroy();
    } else if (unreadMs > 0 && idleMs >= unreadMs && this.#owner.wire.bufferedBytes > 0) {
      // The exchange is over for everybody but the client, who takes nothing of the answer.
      this.#manager.tally.streamIdleTimeouts++;
      this.#owner.destroy();
    }
    if (!this.#isStopped) this.#arm();
  }
}
