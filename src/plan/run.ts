// @hot
// Walks one phase of a Plan by index. The step that does not continue is noted on the exchange, so
// that logs, metrics and `explain` can name the resource that decided. sidecar/driver.ts is the only
// place that switches on the Verdict.
import type { Exchange } from './exchange.ts';
import { CONTINUE, PAUSE, type Step, type Verdict } from './plan.ts';

export function run(x: Exchange, steps: readonly Step[]): Verdict {
  for (let pc = x.pc; pc < steps.length; pc++) {
    const step = steps[pc] as Step;
    const verdict = step.run(x, step.arg);
    if (verdict !== CONTINUE) {
      x.pc = x.repeatsStep ? pc : pc + 1;
      x.repeatsStep = false;
      if (verdict !== PAUSE) x.stoppedBy = step;
      return verdict;
    }
  }
  x.pc = 0;
  return CONTINUE;
}

/** Walks a phase in which no step may stop the exchange: response, attempt and end. */
export function runThrough(x: Exchange, steps: readonly Step[]): void {
  if (steps.length === 0) return;
  x.pc = 0;
  run(x, steps);
  x.pc = 0;
}
