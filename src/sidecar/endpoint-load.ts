// @hot
// What an attempt does to its endpoint: entered once, left once, and whoever watches the endpoint is told how it ended.
import { OUTCOME, type Endpoint } from '../plan/cluster.ts';
import type { Exchange } from '../plan/exchange.ts';

/** One more attempt on `endpoint`. */
export function enterEndpoint(endpoint: Endpoint): void {
  endpoint.active++;
  endpoint.requestsTotal++;
}

/** An attempt of `x` (null: of nobody's exchange) is over; `outcome` as OUTCOME says, `latencyMs` to the head of the response, -1 without one; watches are told of `judged`. */
export function leaveEndpoint(
  endpoint: Endpoint,
  outcome: number,
  latencyMs: number,
  x: Exchange | null,
  judged = outcome,
): void {
  endpoint.active--;
  if (outcome < OUTCOME.NONE || outcome >= 500) endpoint.failuresTotal++;
  tellWatches(endpoint, judged, latencyMs, x);
}

/** What became of an attempt or a connection of `x`; the endpoint's numbers are counted elsewhere. */
export function tellWatches(endpoint: Endpoint, outcome: number, latencyMs: number, x: Exchange | null): void {
  const { watches } = endpoint;
  for (let i = 0; i < watches.length; i++) watches[i]?.onOutcome(endpoint, outcome, latencyMs, x);
}
