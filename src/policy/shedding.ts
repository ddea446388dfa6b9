// @hot
// Sheds load by how much requests matter: a header names the class of a request, each class may use a share of what the
// app can serve at a time, and the least important ones have the smallest. So under overload they are refused first,
// and the most important ones only when nothing is left. What the app can serve is a number, or found
// by gradient-controller.ts.
import type { HeaderId } from '../base/brand.ts';
import type { Budget } from '../base/shared-limits.ts';
import { H } from '../http/header-name.ts';
import type { Exchange } from '../plan/exchange.ts';
import type { FilterTally } from '../plan/filter-tally.ts';
import { CONTINUE, REPLY, type Verdict } from '../plan/plan.ts';
import { FLAGS } from '../plan/response-flags.ts';
import type { GradientController } from './gradient-controller.ts';

/** The statistics `http.PREFIX.shedding.CLASS.*`. */
export const SHEDDING_STATS = [
  { name: 'rq_shed', kind: 'counter' },
  { name: 'rq_active', kind: 'gauge' },
] as const;
const SHED = 0;
const ACTIVE = 1;

export interface RequestClass {
  readonly name: string;
  /** Of the limit, in (0, 1]. */
  readonly share: number;
  readonly details: string;
  readonly tally: FilterTally;
}

export interface SheddingSettings {
  readonly header: HeaderId;
  readonly classes: ReadonlyMap<string, RequestClass>;
  /** Of requests that name none, or one that is not known. */
  readonly otherwise: RequestClass;
  /** All classes together, in all threads. */
  readonly budget: Budget;
  /** Infinity where `controller` finds it. */
  readonly requestsMax: number;
  readonly controller: GradientController | null;
  /** Of Exchange.held. */
  readonly bit: number;
}

export function runShedding(x: Exchange, arg: SheddingSettings): Verdict {
  const requestClass = classOf(x, arg);
  const { controller } = arg;
  if (controller !== null && !controller.enter(requestClass.share)) return shed(x, requestClass);
  // At least one, or a small limit would shut a class out for good.
  const most = arg.requestsMax === Infinity ? UNLIMITED : Math.max(1, Math.floor(arg.requestsMax * requestClass.share));
  if (!arg.budget.acquire(most)) {
    if (controller !== null) controller.left();
    return shed(x, requestClass);
  }
  requestClass.tally.add(ACTIVE, 1);
  x.held |= arg.bit;
  return CONTINUE;
}

const UNLIMITED = 0x7fffffff;

export function endShedding(x: Exchange, arg: SheddingSettings): Verdict {
  if ((x.held & arg.bit) === 0) return CONTINUE;
  x.held &= ~arg.bit;
  arg.budget.release();
  classOf(x, arg).tally.add(ACTIVE, -1);
  const { controller } = arg;
  if (controller === null) return CONTINUE;
  if (x.response.status === 0 || (x.flags & FLAGS.DC) !== 0) controller.left();
  else controller.answered(x.startMs);
  return CONTINUE;
}

function classOf(x: Exchange, arg: SheddingSettings): RequestClass {
  const name = x.request.get(arg.header);
  if (name === null) return arg.otherwise;
  return arg.classes.get(name) ?? arg.otherwise;
}

/** As an overflow of a cluster: 503, UO, `x-envoy-overloaded`, so that nobody who retries does so here. */
function shed(x: Exchange, requestClass: RequestClass): Verdict {
  requestClass.tally.add(SHED, 1);
  x.flags |= FLAGS.UO;
  x.response.status = 503;
  x.response.set(H.envoyOverloaded, 'true');
  x.replyBody = requestClass.details;
  x.details = requestClass.details;
  return REPLY;
}
