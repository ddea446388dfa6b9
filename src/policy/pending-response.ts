// @hot
// What an authorization service asked of responses that are still to come. Exchanges are used again, by other connections
// too, and a request may end in a plan that has no such filter: what was kept for it must never reach another
// request's response, so it is good for one epoch of its exchange.
import type { Exchange } from '../plan/exchange.ts';
import type { ResponseChanges } from './ext-authz-decision.ts';

interface Pending {
  readonly epoch: number;
  readonly changes: ResponseChanges;
}

export class PendingResponses {
  /** At most one for each exchange that there is. */
  readonly #kept = new Map<Exchange, Pending>();

  keep(x: Exchange, changes: ResponseChanges): void {
    this.#kept.set(x, { epoch: x.epoch, changes });
  }

  /** Null: there is nothing for this request. What is taken is gone. */
  take(x: Exchange): ResponseChanges | null {
    if (this.#kept.size === 0) return null;
    const pending = this.#kept.get(x);
    if (pending === undefined) return null;
    this.#kept.delete(x);
    return pending.epoch === x.epoch ? pending.changes : null;
  }
}
