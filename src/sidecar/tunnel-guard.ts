// Whether a newer filter chain would still open a tunnel that is open. Its request is judged again by the RBAC filters of the route
// that takes it now, with what the request said then: its caller, its head, what was found in its token. Nobody else is asked
// again, and what the tunnel carries is not read. A denial is left as the details of the tunnel's line in the access log.
import type { Exchange } from '../plan/exchange.ts';
import { REPLY } from '../plan/plan.ts';
import type { HttpManager } from './http-manager.ts';

/** The step that decides about requests; its trial runs under another name (policy/rbac-compile.ts). */
const GUARD = 'rbac';

/** `x`: the exchange that became the tunnel. Config time. */
export function isTunnelRefused(x: Exchange, { routes, missPlan }: HttpManager): boolean {
  const { status } = x.response;
  const { plan: before } = x;
  const plan = routes.table?.match(x) ?? missPlan;
  const refusing = plan.onRequest.find((step) => step.name === GUARD && step.run(x, step.arg) === REPLY);
  // The client was answered already, and what began it ends it.
  x.response.status = status;
  x.plan = before;
  return refusing !== undefined;
}
