// @hot
// Adaptive concurrency, as Envoy's filter has it: more requests than the app can serve without getting slower are refused at
// once. The limit is found by gradient-controller.ts. Source: envoy.extensions.filters.http.adaptive_concurrency.v3.
import type { Exchange } from '../plan/exchange.ts';
import type { FilterTally } from '../plan/filter-tally.ts';
import { CONTINUE, REPLY, type Verdict } from '../plan/plan.ts';
import { FLAGS } from '../plan/response-flags.ts';
import type { GradientController } from './gradient-controller.ts';

/** The statistics `http.PREFIX.adaptive_concurrency.gradient_controller.*`. */
export const ADAPTIVE_STATS = [
  { name: 'rq_blocked', kind: 'counter' },
  { name: 'concurrency_limit', kind: 'gauge' },
  { name: 'gradient', kind: 'gauge' },
  { name: 'burst_queue_size', kind: 'gauge' },
  { name: 'min_rtt_msecs', kind: 'gauge' },
  { name: 'sample_rtt_msecs', kind: 'gauge' },
  { name: 'min_rtt_calculation_active', kind: 'gauge' },
] as const;
const BLOCKED = 0;
const LIMIT = 1;
const GRADIENT = 2;
const HEADROOM = 3;
const MINIMUM = 4;
const SAMPLE = 5;
const LEARNING = 6;

export interface AdaptiveSettings {
  readonly controller: GradientController;
  readonly tally: FilterTally;
  readonly runtimeNumber: (key: string, fallback: number) => number;
  /** Of Exchange.held. */
  readonly bit: number;
  /** Empty: it is on, or off, for good. */
  readonly enabledKey: string;
  readonly isEnabled: boolean;
  /** 503 by default. */
  readonly status: number;
}

export function runAdaptive(x: Exchange, arg: AdaptiveSettings): Verdict {
  const { controller, enabledKey, isEnabled } = arg;
  if (enabledKey === '' ? !isEnabled : arg.runtimeNumber(enabledKey, Number(isEnabled)) === 0) return CONTINUE;
  if (controller.enter()) {
    x.held |= arg.bit;
    showController(arg.tally, controller);
    return CONTINUE;
  }
  arg.tally.add(BLOCKED, 1);
  showController(arg.tally, controller);
  x.response.status = arg.status;
  x.replyBody = 'reached concurrency limit';
  x.details = 'reached_concurrency_limit';
  return REPLY;
}

export function endAdaptive(x: Exchange, arg: AdaptiveSettings): Verdict {
  if ((x.held & arg.bit) === 0) return CONTINUE;
  x.held &= ~arg.bit;
  // A client that left before the end would make the app look faster than it is.
  if (x.response.status === 0 || (x.flags & FLAGS.DC) !== 0) arg.controller.left();
  else arg.controller.answered(x.startMs);
  // What the last answer of a measurement has shown is not to wait for the next request.
  showController(arg.tally, arg.controller);
  return CONTINUE;
}

/** Envoy's gauges; the gradient is in thousandths. */
export function showController(tally: FilterTally, controller: GradientController): void {
  tally.set(LIMIT, controller.limit);
  tally.set(GRADIENT, Math.floor(controller.gradient * 1000));
  tally.set(HEADROOM, Math.floor(controller.headroom));
  tally.set(MINIMUM, Math.floor(controller.minimumMs));
  tally.set(SAMPLE, Math.floor(controller.sampleMs));
  tally.set(LEARNING, Number(controller.isLearning));
}
