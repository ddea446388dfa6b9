// Envoy's RBAC as a network filter: judges a connection by its addresses, server name and certificate. All of that is known
// before the first byte, so the connection is judged then, once, for either enforcement type: nothing is dialled for
// one that is turned away, and a server that speaks first tells it nothing (docs/adr/013). Headers are refused here, as
// Envoy refuses them; a path is never there.
import type { Any } from '@bufbuild/protobuf/wkt';
import { error, type Problem } from '../base/problem.ts';
import type { Clock } from '../base/clock.ts';
import type { ConnectionGuard } from '../plan/connection-guard.ts';
import type { FilterStatPart } from '../plan/http-filter.ts';
import type { FilterStat, FilterTally } from '../plan/filter-tally.ts';
import type { Permission, Principal, RBAC as Rules } from '../xds/gen/envoy/config/rbac/v3/rbac_pb.js';
import { RBACSchema } from '../xds/gen/envoy/extensions/filters/network/rbac/v3/rbac_pb.js';
import { unpack } from '../xds/unpack.ts';
import { compileRules } from './rbac-rules.ts';
import { RBAC_SHADOW_STATS, RBAC_STATS, allows, count, judge, note, tell, type RbacRules } from './rbac.ts';

export interface NetworkRbacScope {
  readonly problems: Problem[];
  readonly path: string;
  readonly clock: Clock;
  readonly tally: (name: string, stats: readonly FilterStat[], part: FilterStatPart) => FilterTally;
}

const NAME = 'rbac';
const NAMESPACE = 'envoy.filters.network.rbac';
const LABEL = 'envoy_rbac_prefix';

/** True when `any` holds a network RBAC, which compileNetworkRbac then reads. */
export function isNetworkRbac(any: Any): boolean {
  return unpack(any, RBACSchema) !== null;
}

/** Null after reporting why the filter is refused. */
export function compileNetworkRbac(config: Any, scope: NetworkRbacScope): ConnectionGuard | null {
  const message = unpack(config, RBACSchema);
  if (message === null || message.statPrefix === '') {
    scope.problems.push(error(`${scope.path}.stat_prefix`, 'must be set', 'write a prefix of statistics'));
    return null;
  }
  const { statPrefix, shadowRulesStatPrefix, rules, shadowRules } = message;
  const part = { label: LABEL, value: withoutDot(statPrefix), root: '' } as const;
  const shadowName = shadowRulesStatPrefix === '' ? NAME : `${NAME}.${withoutDot(shadowRulesStatPrefix)}`;
  const common = { problems: scope.problems, clock: scope.clock, namespace: NAMESPACE, tallyOf: null };
  const compile = (found: Rules | undefined, isShadow: boolean): RbacRules | null => {
    const path = `${scope.path}.${isShadow ? 'shadow_rules' : 'rules'}`;
    if (found === undefined || refusesHeaders(found, scope.problems, path)) return null;
    return compileRules(found, {
      ...common,
      path,
      engine: isShadow ? 'shadow' : 'enforced',
      prefix: isShadow ? shadowRulesStatPrefix : '',
      tally: isShadow ? scope.tally(shadowName, RBAC_SHADOW_STATS, part) : scope.tally(NAME, RBAC_STATS, part),
    });
  };
  const enforced = compile(rules, false);
  const shadow = compile(shadowRules, true);
  if ((rules !== undefined && enforced === null) || (shadowRules !== undefined && shadow === null)) return null;
  return guardOf(enforced, shadow);
}

function guardOf(enforced: RbacRules | null, shadow: RbacRules | null): ConnectionGuard {
  return {
    admits: (x) => {
      if (shadow !== null) {
        const outcome = judge(x, shadow);
        tell(x, shadow, outcome, allows(shadow.action, outcome !== shadow.otherwise));
      }
      if (enforced === null) return true;
      const outcome = judge(x, enforced);
      const isAllowed = allows(enforced.action, outcome !== enforced.otherwise);
      count(enforced, outcome, isAllowed);
      if (!isAllowed) x.details = outcome.details;
      return isAllowed;
    },
    ask: null,
    wouldAdmit: (x) => {
      if (shadow !== null) {
        const outcome = judge(x, shadow);
        note(x, shadow, outcome, allows(shadow.action, outcome !== shadow.otherwise));
      }
      return enforced === null || allows(enforced.action, judge(x, enforced) !== enforced.otherwise);
    },
  };
}

/** Reports each header that is asked for: a connection has none. */
function refusesHeaders(rules: Rules, problems: Problem[], path: string): boolean {
  const before = problems.length;
  for (const [name, policy] of Object.entries(rules.policies)) {
    const at = `${path}.policies[${JSON.stringify(name)}]`;
    for (const [i, permission] of policy.permissions.entries()) {
      if (asksHeader(permission, 0)) problems.push(noHeaders(`${at}.permissions[${i}]`));
    }
    for (const [i, principal] of policy.principals.entries()) {
      if (namesHeader(principal, 0)) problems.push(noHeaders(`${at}.principals[${i}]`));
    }
  }
  return problems.length > before;
}

function noHeaders(path: string): Problem {
  return error(path, 'asks for a header, and connections have none', 'remove it, or write it in the HTTP filter');
}

const DEPTH_MAX = 64;

function asksHeader({ rule }: Permission, depth: number): boolean {
  if (depth > DEPTH_MAX) return true;
  if (rule.case === 'header') return true;
  if (rule.case === 'notRule') return asksHeader(rule.value, depth + 1);
  if (rule.case !== 'andRules' && rule.case !== 'orRules') return false;
  return rule.value.rules.some((inner) => asksHeader(inner, depth + 1));
}

function namesHeader({ identifier }: Principal, depth: number): boolean {
  if (depth > DEPTH_MAX) return true;
  if (identifier.case === 'header') return true;
  if (identifier.case === 'notId') return namesHeader(identifier.value, depth + 1);
  if (identifier.case !== 'andIds' && identifier.case !== 'orIds') return false;
  return identifier.value.ids.some((inner) => namesHeader(inner, depth + 1));
}

function withoutDot(prefix: string): string {
  return prefix.endsWith('.') ? prefix.slice(0, -1) : prefix;
}
