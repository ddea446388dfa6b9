// @hot
// What an attempt does to its endpoint: entered once, left once, and whoever watches the endpoint is told how it ended.
import { OUTCOME, type Endpoint } from '../plan/cluster.ts';
import type { Exchange } from '../plan/exchange.ts';

/** One more attempt of `x`, on `endpoint`. */
export function enterEndpoint(x: Exchange, endpoint: Endpoint): void {
  x.endpoint = endpoint;
  x.attempts++;
  endpoint.active++;
  endpoint.requestsTotal++;
}

/** The attempt is over; `outcome` as OUTCOME says, `latencyMs` to the head of the response, -1 without one. */
export function leaveEndpoint(x: Exchange, outcome: number, latencyMs: number): void {
  const { endpoint } = x;
  if (endpoint === null) return;
  endpoint.active--;
  if (outcome < OUTCOME.NONE || outcome >= 500) endpoint.failuresTotal++;
  const { watches } = endpoint;
  for (let i = 0; i < watches.length; i++) watches[i]?.onOutcome(endpoint, outcome, latencyMs, x);
}
