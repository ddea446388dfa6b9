// Compiles Envoy's RBAC, as a filter of a connection manager and as settings of a route, into the steps of rbac.ts:
// shadow rules first, then those that are enforced. Counters are the filter's, whatever a route says; a route without
// rules switches the filter off for itself.
import type { Any } from '@bufbuild/protobuf/wkt';
import { error } from '../base/problem.ts';
import type { FilterScope, FilterStatPart, HttpFilter } from '../plan/http-filter.ts';
import type { CompileEnv, PlanPart } from '../plan/plan.ts';
import { step } from '../plan/step.ts';
import { RBACPerRouteSchema, RBACSchema, type RBAC } from '../xds/gen/envoy/extensions/filters/http/rbac/v3/rbac_pb.js';
import { unpack } from '../xds/unpack.ts';
import { compileRules, type RulesScope } from './rbac-rules.ts';
import { RBAC_SHADOW_STATS, RBAC_STATS, runRbac, runShadowRbac } from './rbac.ts';

const NAME = 'rbac';
const NAMESPACE = 'envoy.filters.http.rbac';
const PREFIX_LABEL = 'envoy_rbac_http_prefix';
const POLICY_LABEL = 'envoy_rbac_policy_name';

/** As a CompileHttpFilter. */
export function compileRbac(config: Any, scope: FilterScope): HttpFilter | null {
  const message = unpack(config, RBACSchema);
  if (message === null) {
    scope.env.problems.push(error(scope.path, 'is no RBAC', 'write rules'));
    return null;
  }
  const { rulesStatPrefix, shadowRulesStatPrefix } = message;
  const prefixes = { rules: rulesStatPrefix, shadow: shadowRulesStatPrefix };
  const part = partOf(message, { ...scope, prefixes }, scope.env, scope.path);
  if (part === null) return null;
  return {
    part,
    withSettings: (any, env, path) => {
      const settings = unpack(any, RBACPerRouteSchema);
      if (settings === null) return null;
      return settings.rbac === undefined ? {} : partOf(settings.rbac, { ...scope, prefixes }, env, `${path}.rbac`);
    },
  };
}

interface RbacScope extends FilterScope {
  /** Of the filter's counters. */
  readonly prefixes: { readonly rules: string; readonly shadow: string };
}

function partOf(config: RBAC, scope: RbacScope, env: CompileEnv, path: string): PlanPart | null {
  const { rules, shadowRules, rulesStatPrefix, shadowRulesStatPrefix, trackPerRuleStats } = config;
  const common = { problems: env.problems, clock: scope.clock, namespace: NAMESPACE };
  const { prefixes } = scope;
  const policiesOf = (prefix: string, stats: typeof RBAC_STATS | typeof RBAC_SHADOW_STATS): RulesScope['tallyOf'] =>
    trackPerRuleStats
      ? (value) => scope.tally(`${NAME}${dotted(prefix)}.policy`, stats, { label: POLICY_LABEL, value })
      : null;
  const enforced =
    rules === undefined
      ? null
      : compileRules(rules, {
          ...common,
          path: `${path}.rules`,
          engine: 'enforced',
          prefix: rulesStatPrefix,
          tally: scope.tally(NAME, RBAC_STATS, prefixPart(prefixes.rules)),
          tallyOf: policiesOf(prefixes.rules, RBAC_STATS),
        });
  const shadow =
    shadowRules === undefined
      ? null
      : compileRules(shadowRules, {
          ...common,
          path: `${path}.shadow_rules`,
          engine: 'shadow',
          prefix: shadowRulesStatPrefix,
          tally: scope.tally(NAME, RBAC_SHADOW_STATS, prefixPart(prefixes.shadow)),
          tallyOf: policiesOf(prefixes.shadow, RBAC_SHADOW_STATS),
        });
  if ((rules !== undefined && enforced === null) || (shadowRules !== undefined && shadow === null)) return null;
  return {
    permits: enforced !== null,
    onRequest: [
      ...(shadow === null ? [] : [step('rbac-shadow', scope.name, runShadowRbac, shadow)]),
      ...(enforced === null ? [] : [step('rbac', scope.name, runRbac, enforced)]),
    ],
  };
}

/** Envoy sets a dot behind a prefix that has none. */
function withoutDot(prefix: string): string {
  return prefix.endsWith('.') ? prefix.slice(0, -1) : prefix;
}

function dotted(prefix: string): string {
  return prefix === '' ? '' : `.${withoutDot(prefix)}`;
}

function prefixPart(prefix: string): FilterStatPart | undefined {
  return prefix === '' ? undefined : { label: PREFIX_LABEL, value: withoutDot(prefix) };
}
