// The way of a connection past the guards of its chain, one after the other: each judges it at once, or asks somebody
// else while its bytes stay unread. Who leaves meanwhile is asked about no more. One that is turned away is counted and
// logged like any other connection where the chain forwards bytes, with what was decided as the reason.
//
//   begin ─► guard ─► guard … ─► done(true)
//              │  └─► asks, waits ──┘
//              └─► done(false), or closed by the client
import type { Exchange } from '../plan/exchange.ts';
import type { RemoteCall } from '../plan/remote-call.ts';
import { exchangeOf, tellTurnedAway } from './chain-guard.ts';
import type { Engine } from './engine.ts';
import type { FilterChain } from './listener-config.ts';
import { NO_USER, type Wire } from './wire.ts';

export class ConnectionPassage {
  readonly #chain: FilterChain;
  readonly #wire: Wire;
  readonly #engine: Engine;
  readonly #x: Exchange;
  readonly #done: (isAdmitted: boolean) => void;
  #next = 0;
  #call: RemoteCall | null = null;

  /** `done` is called once; at once where nobody is asked. */
  constructor(
    chain: FilterChain,
    wire: Wire,
    { engine, isInbound }: { readonly engine: Engine; readonly isInbound: boolean },
    done: (isAdmitted: boolean) => void,
  ) {
    this.#chain = chain;
    this.#wire = wire;
    this.#engine = engine;
    this.#x = exchangeOf(wire, engine, isInbound);
    this.#done = done;
  }

  begin(): void {
    const { guards } = this.#chain;
    for (let guard = guards[this.#next]; guard !== undefined; guard = guards[this.#next]) {
      this.#next++;
      if (!guard.admits(this.#x)) return this.#refuse();
      const call = guard.ask?.(this.#x, (isAdmitted) => this.#answered(isAdmitted)) ?? null;
      if (call === null) continue;
      this.#call = call;
      this.#wire.user = { ...NO_USER, onWireClose: () => this.#leave() };
      return;
    }
    this.#done(true);
  }

  #answered(isAdmitted: boolean): void {
    this.#call = null;
    if (isAdmitted) this.begin();
    else this.#refuse();
  }

  #leave(): void {
    if (this.#call === null) return;
    this.#call.cancel();
    this.#call = null;
    this.#done(false);
  }

  #refuse(): void {
    tellTurnedAway(this.#chain, this.#x, this.#engine);
    this.#done(false);
  }
}
