// Compiles the rules of RBAC (envoy.config.rbac.v3.RBAC), for requests and for connections: policies sorted by name,
// each a permission and a principal. Refused by path: conditions in CEL, and whatever of a policy is not understood;
// a policy that were left out would let somebody in, or keep somebody out.
import { error, warning, type Problem } from '../base/problem.ts';
import type { Clock } from '../base/clock.ts';
import type { FilterTally } from '../plan/filter-tally.ts';
import { RBAC_Action, type Policy, type RBAC } from '../xds/gen/envoy/config/rbac/v3/rbac_pb.js';
import { allOf, anyOf, type Judge } from './rbac-judge.ts';
import { compilePermission } from './rbac-permission.ts';
import { compileAll } from './rbac-place.ts';
import { compilePrincipal } from './rbac-principal.ts';
import { RbacNote } from './rbac-note.ts';
import type { RbacAction, RbacOutcome, RbacPolicy, RbacRules } from './rbac.ts';

export interface RulesScope {
  readonly problems: Problem[];
  readonly path: string;
  readonly clock: Clock;
  /** Where outcomes are told: `envoy.filters.http.rbac` or `envoy.filters.network.rbac`. */
  readonly namespace: string;
  /** `shadow` for shadow rules: names of metadata. */
  readonly engine: 'shadow' | 'enforced';
  /** In front of the names of metadata. */
  readonly prefix: string;
  readonly tally: FilterTally;
  /** The counters of one policy; null where they are not kept. */
  readonly tallyOf: ((policy: string) => FilterTally) | null;
}

const ACTIONS: Readonly<Record<RBAC_Action, RbacAction>> = {
  [RBAC_Action.ALLOW]: 'allow',
  [RBAC_Action.DENY]: 'deny',
  [RBAC_Action.LOG]: 'log',
};
/** What the access log may go by (RBAC.Action.LOG). */
const HINT_NAMESPACE = 'envoy.common';
const HINT = 'access_log_hint';

/** Null after reporting why the rules are refused. */
export function compileRules(config: RBAC, scope: RulesScope): RbacRules | null {
  const { problems, path } = scope;
  const action = ACTIONS[config.action];
  if (action === undefined) {
    problems.push(error(`${path}.action`, `${config.action} is no action`, 'write ALLOW, DENY or LOG'));
    return null;
  }
  if (config.auditLoggingOptions !== undefined) {
    problems.push(warning(`${path}.audit_logging_options`, 'has no effect, as in Envoy'));
  }
  const names = Object.keys(config.policies).toSorted(byBytes);
  const policies: RbacPolicy[] = [];
  for (const name of names) {
    const policy = config.policies[name];
    const at = `${path}.policies[${JSON.stringify(name)}]`;
    const holds = policy === undefined ? null : compilePolicy(policy, problems, at);
    if (holds !== null) policies.push(Object.freeze({ ...outcomeOf(name, scope), holds }));
  }
  if (policies.length < names.length) return null;
  return Object.freeze({
    action,
    policies: Object.freeze(policies),
    otherwise: Object.freeze(outcomeOf('', scope)),
    tally: scope.tally,
    hints: action === 'log' && scope.engine === 'enforced' ? { held: hint(true), missed: hint(false) } : null,
    clock: scope.clock,
    toJSON: () => ({ action, policies: names }),
  });
}

function hint(isHeld: boolean): RbacNote {
  return new RbacNote(HINT_NAMESPACE, { [HINT]: isHeld });
}

function outcomeOf(name: string, { namespace, prefix, engine, tallyOf }: RulesScope): RbacOutcome {
  const id = name === '' ? {} : { [`${prefix}${engine}_effective_policy_id`]: name };
  const note = (result: string): RbacNote =>
    new RbacNote(namespace, { ...id, [`${prefix}${engine}_engine_result`]: result });
  const told = name === '' ? 'none' : name;
  return {
    name: told,
    details: `rbac_access_denied_matched_policy[${told.replaceAll(/[ \t\v\f\r\n]/g, '_')}]`,
    tally: name === '' || tallyOf === null ? null : tallyOf(name),
    allowedNote: note('allowed'),
    deniedNote: note('denied'),
  };
}

function compilePolicy(config: Policy, problems: Problem[], path: string): Judge | null {
  if (config.condition !== undefined || config.checkedCondition !== undefined) {
    const at = `${path}.${config.condition === undefined ? 'checked_condition' : 'condition'}`;
    problems.push(error(at, 'conditions in CEL are not supported', 'write permissions and principals'));
  }
  const permissions = compileAll(
    config.permissions,
    { problems, path: `${path}.permissions`, depth: 0 },
    compilePermission,
  );
  const principals = compileAll(
    config.principals,
    { problems, path: `${path}.principals`, depth: 0 },
    compilePrincipal,
  );
  if (permissions === null || principals === null || config.condition !== undefined) return null;
  return config.checkedCondition === undefined ? allOf([anyOf(permissions), anyOf(principals)]) : null;
}

/** As a map of strings is ordered in Envoy. */
function byBytes(left: string, right: string): number {
  return Buffer.compare(Buffer.from(left), Buffer.from(right));
}
