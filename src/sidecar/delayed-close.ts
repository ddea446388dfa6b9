// Ends a connection politely: FIN after what was written, then the peer's own close is awaited for a while
// and the rest cut. Whoever destroys a socket with unread bytes in it sends a reset, and a reset takes the
// answer away from a client that has not read it. Bytes the peer still takes prolong the wait.
// Source: Envoy HttpConnectionManager.delayed_close_timeout.
import { WheelTimer, type TimerWheel } from '../base/timer-wheel.ts';
import type { Wire } from './wire.ts';

/** Where there is no delay there is still what was written to wait for. */
const FLUSH_LOOK_MS = 1000;

/** Counts peers that did not close in time. */
export interface CloseTally {
  delayedCloseTimeouts: number;
}

export class DelayedClose {
  readonly #wheel: TimerWheel;
  readonly #connection: Wire;
  readonly #delayMs: number;
  readonly #timer: WheelTimer;
  readonly #tally: CloseTally | null;
  #bytesLeft = 0;
  #isPeerDone = false;

  constructor(wheel: TimerWheel, connection: Wire, delayMs: number, tally: CloseTally | null = null) {
    this.#tally = tally;
    this.#wheel = wheel;
    this.#connection = connection;
    this.#delayMs = delayMs;
    this.#timer = new WheelTimer(() => this.#look());
  }

  /** Begins; `isPeerDone`: the peer has said its FIN, and only what was written is waited for. */
  begin(isPeerDone: boolean): void {
    this.#isPeerDone = isPeerDone || this.#delayMs === 0;
    this.#connection.end();
    this.#bytesLeft = this.#connection.unsentBytes;
    if (this.#bytesLeft === 0 && this.#isPeerDone) this.#connection.destroy();
    else this.#arm();
  }

  /** The connection is closed: a wheel full of finished connections would hold all that they held. */
  stop(): void {
    this.#wheel.disarm(this.#timer);
  }

  #arm(): void {
    this.#wheel.arm(this.#timer, this.#delayMs > 0 ? this.#delayMs : FLUSH_LOOK_MS);
  }

  #look(): void {
    const before = this.#bytesLeft;
    const left = this.#connection.unsentBytes;
    this.#bytesLeft = left;
    const isDone = left === 0 && this.#isPeerDone;
    if (left !== before && !isDone) {
      this.#arm();
      return;
    }
    if (!isDone && this.#tally !== null) this.#tally.delayedCloseTimeouts++;
    this.#connection.destroy();
  }
}
