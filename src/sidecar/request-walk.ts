// @hot
// Walks the request phase of a plan. A step may find out something by which the route is to be chosen again (a token's
// claims: Envoy's clear_route_cache); then the rest of the new route's plan is walked, from behind that step on: what
// stands before it has been done, but for the choice of a cluster, which is the new route's. What wants the route
// chosen again when it has been already goes on where it is, so that this ends.
import type { Exchange } from '../plan/exchange.ts';
import { CONTINUE, PAUSE, type Plan, type Step, type Verdict } from '../plan/plan.ts';
import { FLAGS } from '../plan/response-flags.ts';
import { run } from '../plan/run.ts';
import type { HttpManager } from './http-manager.ts';
import { chooseRoute } from './route-choice.ts';
import { CONNECT } from './upgrade.ts';

/** Plans that one request may have walked a part of. */
const MOVES_MAX = 4;

export function walkRequest(x: Exchange, manager: HttpManager): Verdict {
  for (let moves = 0; ; moves++) {
    const plan = x.plan;
    if (plan === null) return CONTINUE;
    const verdict = run(x, plan.onRequest);
    if (verdict !== PAUSE || !x.movesRoute) return verdict;
    x.movesRoute = false;
    if (moves < MOVES_MAX && x.upgrade !== CONNECT) moveRoute(x, plan, manager);
  }
}

function moveRoute(x: Exchange, before: Plan, manager: HttpManager): void {
  const asked = before.onRequest[x.pc - 1] as Step;
  if (x.isUnrouted) takeBack(x, manager);
  chooseRoute(x, manager);
  const { plan } = x;
  if (plan === null || plan === before) return;
  forgetChoice(x, manager);
  const moved = plan.onMoved;
  if (moved !== undefined) for (let i = 0; i < moved.length; i++) (moved[i] as Step).run(x, (moved[i] as Step).arg);
  x.pc = behind(plan.onRequest, asked);
}

/** It may have a route after all. */
function takeBack(x: Exchange, manager: HttpManager): void {
  if ((x.flags & FLAGS.NR) !== 0) manager.tally.withoutRoute--;
  x.flags &= ~FLAGS.NR;
  x.details = '';
  x.response.status = 0;
}

/** What the route before had chosen. */
function forgetChoice(x: Exchange, manager: HttpManager): void {
  x.cluster = null;
  x.splitIndex = -1;
  x.isNewVisitor = false;
  x.isHighPriority = false;
  x.heedsGrpcTimeout = false;
  x.hasHash = false;
  x.subsetMatch = null;
  x.timeoutMs = 0;
  x.streamIdleTimeoutMs = manager.streamIdleTimeoutMs;
  x.maxStreamDurationMs = manager.maxStreamDurationMs;
}

/** Behind the last step of the filter that asked; a route that has it switched off is walked from its first step. */
function behind(steps: readonly Step[], asked: Step): number {
  for (let i = steps.length - 1; i >= 0; i--) {
    const step = steps[i] as Step;
    if (step.name === asked.name && step.origin === asked.origin) return i + 1;
  }
  return 0;
}
