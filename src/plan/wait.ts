// What one exchange waits for in one filter: the call, then its answer. Made only where somebody waits, which costs
// a journey to another process anyway.
import type { Exchange } from './exchange.ts';
import type { RemoteCall } from './remote-call.ts';

export class Wait<Result> {
  answer: { readonly result: Result } | null = null;
  #call: RemoteCall | null = null;
  readonly #x: Exchange;
  readonly #epoch: number;

  constructor(x: Exchange) {
    this.#x = x;
    this.#epoch = x.epoch;
  }

  /** `begin` makes the call, which says `done` once, later than `begin` returns. */
  start(begin: (done: (result: Result) => void) => RemoteCall): void {
    this.#call = begin((result) => {
      if (this.#call === null) return;
      this.#call = null;
      this.answer = { result };
      this.#x.resumer?.resume(this.#epoch);
    });
  }

  cancel(): void {
    const call = this.#call;
    this.#call = null;
    call?.cancel();
  }
}
