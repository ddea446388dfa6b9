// @hot
// A step that runs only for some entries of a weighted split: where the entries have settings of their own, the
// plan holds the steps of each, and the split decides which of them run.
import type { Exchange } from './exchange.ts';
import { CONTINUE, type PlanPart, type Step, type Verdict } from './plan.ts';
import { step } from './step.ts';

interface SplitStep {
  /** By index of the split. */
  readonly runsFor: readonly boolean[];
  readonly step: Step;
}

function runForSplit(x: Exchange, arg: SplitStep): Verdict {
  const { splitIndex } = x;
  if (splitIndex < 0 || arg.runsFor[splitIndex] !== true) return CONTINUE;
  return arg.step.run(x, arg.step.arg);
}

/** The steps of `part`, run for the entries of `runsFor` alone: config time. */
export function onlyForSplit(part: PlanPart, runsFor: readonly boolean[]): PlanPart {
  const wrap = (steps: readonly Step[] = []): readonly Step[] =>
    steps.map((inner) => step(inner.name, inner.origin, runForSplit, { runsFor, step: inner }));
  return {
    onRequest: wrap(part.onRequest),
    onAttempt: wrap(part.onAttempt),
    onResponse: wrap(part.onResponse),
    onEnd: wrap(part.onEnd),
  };
}
