// @hot
// Envoy's role-based access control, compiled: policies in the order of their names, of which the first that holds
// decides. ALLOW lets in whom one of them names, DENY turns those away, LOG only marks them. Shadow rules are judged and
// told, never enforced. Whoever is turned away learns that, and nothing about the rule.
// Source: Envoy source/extensions/filters/{common,http}/rbac; statistics and metadata as measured on Envoy 1.40.
import { assertNever } from '../base/assert.ts';
import type { Clock } from '../base/clock.ts';
import { hasDotParameter } from '../http/path.ts';
import type { Exchange } from '../plan/exchange.ts';
import type { FilterTally } from '../plan/filter-tally.ts';
import { CONTINUE, REPLY, type Verdict } from '../plan/plan.ts';
import type { Judge } from './rbac-judge.ts';
import { cutParameters } from './rbac-path.ts';
import type { RbacNote } from './rbac-note.ts';

/** The statistics `http.PREFIX.rbac.*`, and of one policy `…policy.NAME.*`. */
export const RBAC_STATS = [
  { name: 'allowed', kind: 'counter' },
  { name: 'denied', kind: 'counter' },
] as const;
export const RBAC_SHADOW_STATS = [
  { name: 'shadow_allowed', kind: 'counter' },
  { name: 'shadow_denied', kind: 'counter' },
] as const;
const ALLOWED = 0;
const DENIED = 1;

export type RbacAction = 'allow' | 'deny' | 'log';

/** What is told when a policy decided, or none did. */
export interface RbacOutcome {
  /** Of the policy; `none` where no policy held. */
  readonly name: string;
  /** %RESPONSE_CODE_DETAILS% of a denial. */
  readonly details: string;
  /** The policy's own counters; null where they are not kept. */
  readonly tally: FilterTally | null;
  readonly allowedNote: RbacNote;
  readonly deniedNote: RbacNote;
}

export interface RbacPolicy extends RbacOutcome {
  readonly holds: Judge;
}

export interface RbacRules {
  readonly action: RbacAction;
  /** In the order of their names. */
  readonly policies: readonly RbacPolicy[];
  /** Of what no policy holds for. */
  readonly otherwise: RbacOutcome;
  readonly tally: FilterTally;
  /** LOG only: what the access log is told, when a policy held and when none did. */
  readonly hints: { readonly held: RbacNote; readonly missed: RbacNote } | null;
  readonly clock: Clock;
}

const BODY = 'RBAC: access denied';
const FORBIDDEN = 403;

/** Judges and answers. */
export function runRbac(x: Exchange, rules: RbacRules): Verdict {
  const outcome = judgeRequest(x, rules);
  const isAllowed = allows(rules.action, outcome !== rules.otherwise);
  tell(x, rules, outcome, isAllowed);
  x.isPermitted = isAllowed;
  if (isAllowed) return CONTINUE;
  x.response.status = FORBIDDEN;
  x.replyBody = BODY;
  x.details = outcome.details;
  x.note(rules.clock.now(), 'rbac', 'denied by policy ' + outcome.name);
  return REPLY;
}

/** Judges, and only tells. */
export function runShadowRbac(x: Exchange, rules: RbacRules): Verdict {
  const outcome = judgeRequest(x, rules);
  tell(x, rules, outcome, allows(rules.action, outcome !== rules.otherwise));
  return CONTINUE;
}

/** A path that some servers read as another one is judged as both, and both must be allowed. */
function judgeRequest(x: Exchange, rules: RbacRules): RbacOutcome {
  const outcome = judge(x, rules);
  if (!hasDotParameter(x.request.path)) return outcome;
  const isHeld = outcome !== rules.otherwise;
  if (!allows(rules.action, isHeld) || (isHeld && rules.action === 'log')) return outcome;
  cutParameters(true);
  const other = judge(x, rules);
  cutParameters(false);
  return other;
}

/** The first policy that holds, or `otherwise`. */
export function judge(x: Exchange, { policies, otherwise }: RbacRules): RbacOutcome {
  for (let i = 0; i < policies.length; i++) {
    const policy = policies[i] as RbacPolicy;
    if (policy.holds(x)) return policy;
  }
  return otherwise;
}

export function allows(action: RbacAction, isHeld: boolean): boolean {
  switch (action) {
    case 'allow':
      return isHeld;
    case 'deny':
      return !isHeld;
    case 'log':
      return true;
    default:
      return assertNever(action);
  }
}

export function count({ tally }: Pick<RbacRules, 'tally'>, outcome: RbacOutcome, isAllowed: boolean): void {
  const index = isAllowed ? ALLOWED : DENIED;
  tally.add(index, 1);
  if (outcome.tally !== null) outcome.tally.add(index, 1);
}

/** Counts, and writes what was decided into the metadata. */
export function tell(x: Exchange, rules: RbacRules, outcome: RbacOutcome, isAllowed: boolean): void {
  count(rules, outcome, isAllowed);
  note(x, rules, outcome, isAllowed);
}

/** Writes what was decided into the dynamic metadata, where later filters and the access log find it. */
export function note(x: Exchange, rules: RbacRules, outcome: RbacOutcome, isAllowed: boolean): void {
  if (isAllowed) outcome.allowedNote.write(x);
  else outcome.deniedNote.write(x);
  const { hints } = rules;
  if (hints === null) return;
  if (outcome === rules.otherwise) hints.missed.write(x);
  else hints.held.write(x);
}
