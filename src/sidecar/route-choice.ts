// @hot
// The plan of a request: that of the route that takes it, else the manager's own for requests that nobody
// takes, which answers 404. A change of protocol that the route does not allow is refused with 403; CONNECT
// with 405 either way. It answers nothing: status and details are laid on the exchange.
import type { Exchange } from '../plan/exchange.ts';
import { FLAGS } from '../plan/response-flags.ts';
import type { HttpManager } from './http-manager.ts';
import { CONNECT, chooseUpgrade, isTerminated } from './upgrade.ts';

/** What to do with the request once the policies have had their say. */
export const FORWARD = 0;
/** Forward the bytes behind CONNECT as plain TCP. */
export const FORWARD_PLAIN = 1;
/** Answer with what is laid. */
export const REFUSE = 2;
export type RouteChoice = typeof FORWARD | typeof FORWARD_PLAIN | typeof REFUSE;

/** Sets `x.plan` and `x.isUnrouted`. */
export function chooseRoute(x: Exchange, manager: HttpManager): RouteChoice {
  const { table } = manager.routes;
  const plan = table === null ? null : table.match(x);
  x.plan = plan ?? manager.missPlan;
  x.isUnrouted = false;
  if (plan === null) {
    manager.tally.withoutRoute++;
    x.flags |= FLAGS.NR;
    x.details = 'route_not_found';
    x.response.status = x.upgrade === CONNECT ? 405 : 404;
    x.isUnrouted = true;
    return REFUSE;
  }
  if (x.upgrade === '') return FORWARD;
  if (!chooseUpgrade(x, plan.upgrades, manager.upgrades)) {
    manager.tally.upgradesRefused++;
    x.details = 'upgrade_failed';
    x.response.status = x.upgrade === CONNECT ? 405 : 403;
    x.isUnrouted = true;
    return REFUSE;
  }
  return x.upgrade === CONNECT && isTerminated(plan.upgrades) ? FORWARD_PLAIN : FORWARD;
}
