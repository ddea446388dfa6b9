// The order of policies, stated once. A Plan is merged from these parts, outermost first: request
// phases run down the list, response and end phases run up it. Nothing else may depend on order.
import { CONTINUE, merge, type Plan, type PlanInit, type PlanPart } from '../plan/plan.ts';
import { step } from '../plan/step.ts';

/** One part per policy of a manager; EMPTY_PART where a policy is not configured. */
export interface PipelineParts {
  readonly trace: PlanPart;
  readonly metrics: PlanPart;
  readonly accessLog: PlanPart;
  readonly permit: PlanPart;
  readonly route: PlanPart;
}

export const EMPTY_PART: PlanPart = Object.freeze({});

const ORDER = [
  // Ids first: whatever is denied, logged or counted below carries them. Its span ends last.
  'trace',
  // Written after every policy has had its say, and before the span ends.
  'accessLog',
  // Counts once per exchange, whatever happened inside.
  'metrics',
  // Who may not pass must not learn anything from the route's own behaviour.
  'permit',
  // Header edits, rewrites, the split: they see what all others left.
  'route',
] as const satisfies readonly (keyof PipelineParts)[];

/** Permits every request: what stands in the place of authorization where none is configured. */
export const PERMIT_ALL: PlanPart = Object.freeze({
  onRequest: Object.freeze([
    step(
      'permit',
      '',
      (x) => {
        x.isPermitted = true;
        return CONTINUE;
      },
      null,
    ),
  ]),
});

export function assemble(init: PlanInit, parts: PipelineParts): Plan {
  return merge(
    init,
    ORDER.map((name) => parts[name]),
  );
}
