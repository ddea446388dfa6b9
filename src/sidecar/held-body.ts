// @hot
// A request body that a filter must see before the request goes on (Exchange.holdBytesMax): it is taken in up to the
// limit, shown to the filter, and sent to the endpoint later out of the replay buffer. What is larger is answered
// with 413, unless the filter is content with the beginning; then no more is read until the request is sent.
import type { Exchange } from '../plan/exchange.ts';
import { failure, type Failure } from '../plan/failure.ts';
import { UNASKED_BYTES, type ReplayBuffer } from './replay-buffer.ts';

const TOO_LARGE = failure('too-large', 'downstream', 'no');

/** Who reads the request on, and answers where it is too large. */
export interface HeldBodyOwner {
  onRequestSent(): void;
  onRequestFailed(failed: Failure): void;
}

export class HeldBody {
  /** True while the body is taken in. */
  isOn = false;
  readonly #x: Exchange;
  readonly #replay: ReplayBuffer;
  readonly #owner: HeldBodyOwner;

  // Per connection.
  constructor(x: Exchange, replay: ReplayBuffer, owner: HeldBodyOwner) {
    this.#x = x;
    this.#replay = replay;
    this.#owner = owner;
  }

  /** `hasBody` false: there is none, and the exchange goes on at once. */
  begin(hasBody: boolean, isStarting: boolean): void {
    const x = this.#x;
    if (!hasBody) {
      x.holdBytesMax = 0;
      this.#resume();
      return;
    }
    this.isOn = true;
    // The limit is looked after here.
    this.#replay.bytesMax = Infinity;
    if (!isStarting) this.#owner.onRequestSent();
  }

  keep(bytes: Buffer, start: number, end: number): void {
    this.#replay.keep(bytes, start, end);
    const { holdBytesMax, holdsPartial } = this.#x;
    if (this.#replay.size > holdBytesMax && !holdsPartial) {
      this.stop();
      this.#owner.onRequestFailed(TOO_LARGE);
    } else if (this.#replay.size >= holdBytesMax && holdsPartial) this.end();
  }

  /** All of it is there, or as much as is wanted. */
  end(): void {
    if (!this.isOn) return;
    const x = this.#x;
    x.heldBody = this.#replay.copy(x.holdBytesMax);
    x.isHeldPartial = this.#replay.size > x.holdBytesMax;
    this.stop();
    this.#resume();
  }

  stop(): void {
    if (!this.isOn) return;
    this.isOn = false;
    this.#x.holdBytesMax = 0;
    this.#replay.bytesMax = UNASKED_BYTES;
  }

  #resume(): void {
    this.#x.resumer?.resume(this.#x.epoch);
  }
}
