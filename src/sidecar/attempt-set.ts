// @hot
// The attempts of one request. The first is made up front and writes into the exchange's own response head; those
// that run beside others are made when a request is hedged for the first time, and used again.
import { Head } from '../http/head.ts';
import type { Exchange } from '../plan/exchange.ts';
import { Attempt, type AttemptOwner, type ResponseSink } from './attempt.ts';
import type { Engine } from './engine.ts';

export class AttemptSet {
  readonly first: Attempt;
  readonly #engine: Engine;
  readonly #x: Exchange;
  readonly #owner: AttemptOwner & { readonly sink: ResponseSink };
  readonly #others: Attempt[] = [];

  // Per connection.
  constructor(engine: Engine, x: Exchange, owner: AttemptOwner & { readonly sink: ResponseSink }) {
    this.#engine = engine;
    this.#x = x;
    this.#owner = owner;
    this.first = new Attempt(engine, x, owner, x.response);
  }

  /** True once a request was hedged: there may be others beside the first. */
  get hasOthers(): boolean {
    return this.#others.length > 0;
  }

  /** One that is not under way. */
  idle(): Attempt {
    if (!this.first.isActive) return this.first;
    const others = this.#others;
    for (let i = 0; i < others.length; i++) {
      const other = others[i];
      if (other !== undefined && !other.isActive) return other;
    }
    const made = new Attempt(this.#engine, this.#x, this.#owner, new Head());
    others.push(made);
    return made;
  }

  /** True while one other than `than` is under way. */
  isActive(than: Attempt | null): boolean {
    if (this.first !== than && this.first.isActive) return true;
    const others = this.#others;
    for (let i = 0; i < others.length; i++) if (others[i] !== than && others[i]?.isActive === true) return true;
    return false;
  }

  /** Drops all that are under way but one; `outcome` is what their endpoints are told. */
  drop(but: Attempt | null, outcome: number): void {
    const others = this.#others;
    if (this.first !== but) this.first.drop(outcome);
    for (let i = 0; i < others.length; i++) if (others[i] !== but) others[i]?.drop(outcome);
  }
}
