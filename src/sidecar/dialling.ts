// One attempt to connect to an endpoint, bounded in time. It ends in exactly one callback, or in none when
// it is cancelled.
import { WheelTimer, type TimerWheel } from '../base/timer-wheel.ts';
import type { Endpoint } from '../plan/cluster.ts';
import { failure, type Failure } from '../plan/failure.ts';
import { dialEndpoint, type SecureTarget } from './dial-secure.ts';
import type { Dial, DialUser } from './wire-dial.ts';
import type { Wire } from './wire.ts';

export interface DiallingUser {
  /** The wire is paused and without a user. */
  connected(wire: Wire): void;
  /** `connect-timeout` or `connect-failed`. */
  failed(failed: Failure): void;
}

export class Dialling implements DialUser {
  readonly #wheel: TimerWheel;
  readonly #user: DiallingUser;
  readonly #timer: WheelTimer;
  #dial: Dial | null = null;

  constructor(wheel: TimerWheel, user: DiallingUser) {
    this.#wheel = wheel;
    this.#user = user;
    this.#timer = new WheelTimer(() => {
      this.#dial?.cancel();
      user.failed(failure('connect-timeout', 'upstream', 'yes'));
    });
  }

  /** `secure` null is plaintext; the time is for the handshake too. */
  start(endpoint: Endpoint, secure: SecureTarget | null, timeoutMs: number): void {
    this.#wheel.arm(this.#timer, timeoutMs);
    this.#dial = dialEndpoint(endpoint, secure, this);
  }

  cancel(): void {
    this.#wheel.disarm(this.#timer);
    this.#dial?.cancel();
  }

  onDialled(wire: Wire): void {
    this.#wheel.disarm(this.#timer);
    this.#user.connected(wire);
  }

  onDialFailed(cause: string): void {
    this.#wheel.disarm(this.#timer);
    this.#user.failed(failure('connect-failed', 'upstream', 'yes', cause));
  }
}
