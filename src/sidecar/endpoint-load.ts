// @hot
// What an attempt does to its endpoint's counters: entered once, left once.
import type { Endpoint } from '../plan/cluster.ts';
import type { Exchange } from '../plan/exchange.ts';

/** One more attempt of `x`, on `endpoint`. */
export function enterEndpoint(x: Exchange, endpoint: Endpoint): void {
  x.endpoint = endpoint;
  x.attempts++;
  endpoint.active++;
  endpoint.requestsTotal++;
}

/** The attempt is over. */
export function leaveEndpoint(x: Exchange, isFailure: boolean): void {
  const { endpoint } = x;
  if (endpoint === null) return;
  endpoint.active--;
  if (isFailure) endpoint.failuresTotal++;
}
