// What the status of a rule should say: Accepted, whether it can be followed; ResolvedRefs, whether what it names is there;
// Programmed, how many of the connected proxies have it. What has been said of a generation is not said again: how many proxies are in sync changes with every one that
// comes and goes, and is written when proxies are late, and when all had it.
import type { Problem } from '../../base/problem.ts';
import type { ProxyCount } from './proxy-records.ts';
import type { Condition, RuleObject, WrittenCondition } from './rule-object.ts';

export interface Progress extends ProxyCount {
  /** How long the generation has been known. */
  readonly ageMs: number;
}

/** What a rule names that cannot be read is not looked for. */
const UNSEEN: Condition = {
  type: 'ResolvedRefs',
  status: 'Unknown',
  reason: 'Invalid',
  message: 'looked for once the rule can be read',
};
const MESSAGE_CHARACTERS_MAX = 8_192;
/** Proxies that are this late are worth a word. */
const LATE_MS = 5_000;

/** `problems`: of this rule alone. */
export function wantedConditions(
  problems: readonly Problem[],
  rule: RuleObject,
  progress: Progress,
): readonly Condition[] {
  const errors = problems.filter(({ severity }) => severity === 'error');
  if (errors.length > 0) {
    const message = bounded(errors);
    return [
      { type: 'Accepted', status: 'False', reason: 'Invalid', message },
      ...(rule.hasReferences ? [UNSEEN] : []),
      {
        type: 'Programmed',
        status: 'False',
        reason: 'Invalid',
        message: 'its last good version, if any, stays in force',
      },
    ];
  }
  const doubts = problems.filter(({ severity, reference }) => severity === 'warning' && reference === undefined);
  const accepted: Condition = {
    type: 'Accepted',
    status: 'True',
    reason: 'Accepted',
    message: doubts.length === 0 ? '' : `with doubts: ${bounded(doubts)}`,
  };
  return [accepted, ...resolvedRefs(problems, rule), programmed(rule, progress)];
}

/** The conditions with their times; null: the object says so already. */
export function writtenConditions(
  wanted: readonly Condition[],
  now: readonly WrittenCondition[],
  { generation, time }: { readonly generation: number; readonly time: string },
): readonly WrittenCondition[] | null {
  const made = wanted.map((condition) => {
    const before = now.find(({ type }) => type === condition.type);
    const isSame = before?.status === condition.status;
    return {
      ...condition,
      observedGeneration: generation,
      lastTransitionTime: isSame ? before.lastTransitionTime : time,
    };
  });
  const isSaid = made.every((condition) => now.some((one) => isEqual(one, condition)));
  return isSaid ? null : made;
}

function resolvedRefs(problems: readonly Problem[], { hasReferences }: RuleObject): readonly Condition[] {
  const missing = problems.filter(({ reference }) => reference !== undefined && reference !== 'NoMatchingParent');
  const [first] = missing;
  if (first?.reference !== undefined)
    return [{ type: 'ResolvedRefs', status: 'False', reason: first.reference, message: bounded(missing) }];
  return hasReferences ? [{ type: 'ResolvedRefs', status: 'True', reason: 'ResolvedRefs', message: '' }] : [];
}

function programmed(rule: RuleObject, { synced, connected, ageMs }: Progress): Condition {
  const said = rule.conditions.find(({ type }) => type === 'Programmed');
  const isSaid = said?.observedGeneration === rule.generation && said.reason !== 'Invalid';
  const isLate = ageMs >= LATE_MS;
  if (isSaid && (said.status === 'True' || (synced < connected && !(isLate && said.status === 'Unknown')))) return said;
  const message = `${synced} of ${connected} proxies have it`;
  if (synced >= connected) return { type: 'Programmed', status: 'True', reason: 'Programmed', message };
  if (isLate) return { type: 'Programmed', status: 'False', reason: 'Pending', message };
  return { type: 'Programmed', status: 'Unknown', reason: 'Pending', message: 'proxies are being told' };
}

function isEqual(left: WrittenCondition, right: WrittenCondition): boolean {
  const { type, status, reason, message, observedGeneration } = left;
  return (
    type === right.type &&
    status === right.status &&
    reason === right.reason &&
    message === right.message &&
    observedGeneration === right.observedGeneration
  );
}

/** All of them in a sentence each. */
export function bounded(problems: readonly Problem[]): string {
  const text = problems
    .map(
      ({ path, message, remedy }) => `${path === '' ? '' : `${path}: `}${message}${remedy === '' ? '' : `; ${remedy}`}`,
    )
    .join('. ');
  return text.length > MESSAGE_CHARACTERS_MAX ? `${text.slice(0, MESSAGE_CHARACTERS_MAX - 1)}…` : text;
}
