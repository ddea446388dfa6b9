// @hot
// Exchanges that no connection uses: with their heads' arrays they are the largest part of a connection, and
// one that came and went for each would be the largest part of the garbage. An exchange that is given back is
// reset, so that its epoch has moved on and no late callback takes it for its own.
import { Exchange } from '../plan/exchange.ts';

const SPARE_MAX = 256;

const spare: Exchange[] = [];

/** Fresh: to be given back when the connection is over. */
export function takeExchange(): Exchange {
  return spare.pop() ?? new Exchange();
}

/** Nobody holds `x` any more, but for callbacks that compare its epoch. */
export function giveExchange(x: Exchange): void {
  x.reset();
  if (spare.length < SPARE_MAX) spare.push(x);
}
