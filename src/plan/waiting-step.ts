// @hot
// Steps that wait: the first asks and pauses the exchange, the second has the answer and goes on, answers or cuts.
// When the exchange ends meanwhile, what was asked is cancelled. Nothing is made for an exchange that asks
// nothing, and looking for what it waits for costs one comparison while nobody waits.
//
//   prepare ─► a verdict at once                         settle ─► CONTINUE, REPLY, RESET
//      └─► PAUSE: call … done(result) ─► resume ───────────┘          onEnd ─► cancel
import type { Exchange } from './exchange.ts';
import { CONTINUE, PAUSE, RESET, type Origin, type PlanPart, type Verdict } from './plan.ts';
import type { RemoteCall } from './remote-call.ts';
import { step } from './step.ts';
import { Wait } from './wait.ts';

export interface WaitingPolicy<Arg, Result> {
  /** PAUSE: the call is to be made. Else what happens without any. */
  readonly prepare: (x: Exchange, arg: Arg) => Verdict;
  /** Begins the call; `done` is to be called once, later than this returns, and never after `cancel`. */
  readonly call: (x: Exchange, arg: Arg, done: (result: Result) => void) => RemoteCall;
  /** With the answer; PAUSE only to have the route chosen again (Exchange.movesRoute). */
  readonly settle: (x: Exchange, arg: Arg, result: Result) => Verdict;
}

interface Waiting<Arg, Result> {
  readonly policy: WaitingPolicy<Arg, Result>;
  readonly arg: Arg;
  readonly waits: Map<Exchange, Wait<Result>>;
  /** Plans are printed with the policy's own settings alone. */
  readonly toJSON: () => Arg;
}

// config time
/** The steps of `policy` with `arg`. `name` and `origin` are what logs and `/plan` call them. */
export function waitingSteps<Arg, Result>(
  name: string,
  origin: Origin,
  policy: WaitingPolicy<Arg, Result>,
  arg: Arg,
): Required<Pick<PlanPart, 'onRequest' | 'onEnd'>> {
  const waiting: Waiting<Arg, Result> = { policy, arg, waits: new Map(), toJSON: () => arg };
  return {
    onRequest: [
      step(name, origin, askAndPause<Arg, Result>, waiting),
      step(`${name} answer`, origin, settle<Arg, Result>, waiting),
    ],
    onEnd: [step(name, origin, cancel<Arg, Result>, waiting)],
  };
}

function askAndPause<Arg, Result>(x: Exchange, waiting: Waiting<Arg, Result>): Verdict {
  const verdict = waiting.policy.prepare(x, waiting.arg);
  if (verdict === PAUSE) begin(x, waiting);
  return verdict;
}

// per connection: only for who waits.
function begin<Arg, Result>(x: Exchange, { policy, arg, waits }: Waiting<Arg, Result>): void {
  const wait = new Wait<Result>(x);
  waits.set(x, wait);
  x.pauseMs = 0;
  wait.start((done) => policy.call(x, arg, done));
}

function settle<Arg, Result>(x: Exchange, { policy, arg, waits }: Waiting<Arg, Result>): Verdict {
  if (waits.size === 0) return CONTINUE;
  const wait = waits.get(x);
  if (wait === undefined) return CONTINUE;
  // Whoever resumed it did not know the answer, and nobody passes without one.
  if (wait.answer === null) return RESET;
  waits.delete(x);
  return policy.settle(x, arg, wait.answer.result);
}

function cancel<Arg, Result>(x: Exchange, { waits }: Waiting<Arg, Result>): Verdict {
  if (waits.size === 0) return CONTINUE;
  const wait = waits.get(x);
  if (wait !== undefined) {
    waits.delete(x);
    wait.cancel();
  }
  return CONTINUE;
}
