// What stands in a filter chain before the filter that ends it, and may turn a connection away before anything is
// dialled or served for it.
import type { Exchange } from './exchange.ts';
import type { RemoteCall } from './remote-call.ts';

export interface ConnectionGuard {
  /** False, counted and with `x.details` set, when the connection must not go on. `x` has nothing but its connection. */
  readonly admits: (x: Exchange) => boolean;
  /** As `admits`, without counting: for what is done before anybody knows whether the chain takes the connection. */
  readonly wouldAdmit: (x: Exchange) => boolean;
  /** Asks somebody else about a connection that `admits` lets pass; null: nobody. */
  readonly ask: ConnectionQuestion | null;
}

/**
 * Calls `done` once, later than it returns, with `x.details` set when the connection must not go on; null: there is
 * nothing to ask about this one. Once the call is cancelled `done` is not called.
 */
export type ConnectionQuestion = (x: Exchange, done: (isAdmitted: boolean) => void) => RemoteCall | null;
