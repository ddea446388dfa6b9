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
  /** What chooses the cluster; filters may ask which it is. */
  readonly choice: PlanPart;
  /** The HTTP filters of the manager, in their order, as one. */
  readonly filters: PlanPart;
  readonly route: PlanPart;
  readonly retry: PlanPart;
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
  // The split, before whoever has settings by cluster.
  'choice',
  // In the order that the manager gives them.
  'filters',
  // Header edits and rewrites: they see what all others left.
  'route',
  // Header edits may ask for retries.
  'retry',
] as const satisfies readonly (keyof PipelineParts)[];

/** Permits every request: what stands in the place of authorization where none is configured, by none of the filters. */
const PERMIT_ALL: PlanPart = Object.freeze({
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

export function assemble(init: PlanInit, parts: Omit<PipelineParts, 'choice' | 'permit'>): Plan {
  const { onChoose, ...route } = parts.route;
  const choice = onChoose === undefined ? EMPTY_PART : { onRequest: onChoose };
  const permit = parts.filters.permits === true ? EMPTY_PART : PERMIT_ALL;
  const all: PipelineParts = { ...parts, permit, choice, route };
  const moved = { onMoved: [...(permit.onRequest ?? []), ...(onChoose ?? [])] };
  return merge(
    parts.filters.movesRoute === true ? { ...init, ...moved } : init,
    ORDER.map((name) => all[name]),
  );
}

/** Parts of one place in the order as one: requests run through them as listed, responses the other way. */
export function joinParts(parts: readonly PlanPart[]): PlanPart {
  if (parts.length === 0) return EMPTY_PART;
  const outwards = parts.toReversed();
  return {
    permits: parts.some((part) => part.permits === true),
    movesRoute: parts.some((part) => part.movesRoute === true),
    onRequest: parts.flatMap((part) => part.onRequest ?? []),
    onAttempt: parts.flatMap((part) => part.onAttempt ?? []),
    onResponse: outwards.flatMap((part) => part.onResponse ?? []),
    onEnd: outwards.flatMap((part) => part.onEnd ?? []),
  };
}
