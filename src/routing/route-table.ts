// A compiled RouteConfiguration: answers which Plan a request walks. Immutable; an update replaces it.
import type { Exchange } from '../plan/exchange.ts';
import type { Plan } from '../plan/plan.ts';

export interface RouteTable {
  readonly name: string;
  /** The Plan of the first matching route, or null: no virtual host or no route matches (404, NR). */
  match(x: Exchange): Plan | null;
}
