// `status.parents` of a route (Gateway API RouteStatus): one entry for each parent that is ours, which is each Service. Entries
// of other controllers stay where they are; one of ours goes with its parentRef. Each entry says of its parent whether it
// takes the route, and of the route whether what it names is there.
import { isDeepStrictEqual } from 'node:util';
import type { Problem } from '../../base/problem.ts';
import type { JsonRecord } from '../../kube/json-record.ts';
import { conditionsOf, type Condition, type RuleObject } from './rule-object.ts';
import { bounded, wantedConditions, writtenConditions, type Progress } from './rule-status.ts';

export const CONTROLLER = 'outrigger.dev/control';
/** RouteStatus has no room for more. */
const PARENTS_MAX = 32;

/** `problems`: of this route alone. Null: the object says so already. */
export function wantedParents(
  problems: readonly Problem[],
  rule: RuleObject,
  progress: Progress,
  time: string,
): readonly JsonRecord[] | null {
  const ours = [...rule.parentRefs.entries()].flatMap(([index, parentRef]) => {
    if (!isService(parentRef)) return [];
    const before = rule.parents.find((entry) => isOurs(entry) && isDeepStrictEqual(entry['parentRef'], parentRef));
    const now = conditionsOf(before?.['conditions']);
    const wanted = ofParent(index, problems, { ...rule, conditions: now }, progress);
    const same = now.filter(({ type }) => wanted.some((condition) => condition.type === type));
    const conditions = writtenConditions(wanted, now, { generation: rule.generation, time }) ?? same;
    return [{ parentRef, controllerName: CONTROLLER, conditions }];
  });
  const left = [...ours];
  // Where an entry stands is nobody's to change: another controller might put it back.
  const kept = rule.parents.flatMap((entry): readonly JsonRecord[] => {
    if (!isOurs(entry)) return [entry];
    const at = left.findIndex(({ parentRef }) => isDeepStrictEqual(parentRef, entry['parentRef']));
    return at < 0 ? [] : left.splice(at, 1);
  });
  const parents = [...kept, ...left].slice(0, PARENTS_MAX);
  return isDeepStrictEqual(parents, rule.parents) ? null : parents;
}

/** What the conditions of a route say of one of its parents. */
function ofParent(
  index: number,
  problems: readonly Problem[],
  rule: RuleObject,
  progress: Progress,
): readonly Condition[] {
  const errors = problems.filter(({ severity }) => severity === 'error');
  const reason = errors.every(({ path }) => path.endsWith('.filters')) ? 'IncompatibleFilters' : 'UnsupportedValue';
  const path = `spec.parentRefs[${index}]`;
  const unmatched = problems.filter((problem) => problem.reference === 'NoMatchingParent' && problem.path === path);
  return wantedConditions(problems, rule, progress).map((condition) => {
    if (condition.type === 'ResolvedRefs') return condition;
    if (condition.reason === 'Invalid') return { ...condition, reason };
    if (unmatched.length === 0) return condition;
    const { type } = condition;
    return { type, status: 'False', reason: 'NoMatchingParent', message: bounded(unmatched) };
  });
}

function isOurs({ controllerName }: JsonRecord): boolean {
  return controllerName === CONTROLLER;
}

/** As the reader of routes has it: only of the core group. */
function isService({ group, kind }: JsonRecord): boolean {
  return kind === 'Service' && (group === '' || group === 'core');
}
