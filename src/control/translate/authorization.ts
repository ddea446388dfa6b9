// The AuthorizationPolicies of a workload as filters: for each action one RBAC, in the order CUSTOM, DENY, ALLOW, AUDIT,
// with the policies that are only tried (istio.io/dry-run) as its shadow rules. Nothing where no policy holds. All
// policies of one action hold together; their rules have names that stay (`ns[NS]-policy[NAME]-rule[N]`).
// Source: istio pilot/pkg/security/authz/builder.
import { create } from '@bufbuild/protobuf';
import { isDryRun, type AuthorizationAction } from '../../config/authorization-policy.ts';
import type { AuthorizationPolicy } from '../../config/resource.ts';
import { FilterSchema, type Filter } from '../../xds/gen/envoy/config/listener/v3/listener_components_pb.js';
import { RBACSchema, RBAC_Action, type Policy, type RBAC } from '../../xds/gen/envoy/config/rbac/v3/rbac_pb.js';
import { RBACSchema as HttpRbacSchema } from '../../xds/gen/envoy/extensions/filters/http/rbac/v3/rbac_pb.js';
import {
  HttpFilterSchema,
  type HttpFilter,
} from '../../xds/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js';
import { RBACSchema as NetworkRbacSchema } from '../../xds/gen/envoy/extensions/filters/network/rbac/v3/rbac_pb.js';
import type { MeshNode } from '../mesh-node.ts';
import type { Snapshot } from '../snapshot.ts';
import { policiesOf } from '../workload-policies.ts';
import { policyScopeOf } from '../workload-services.ts';
import { matchNever, policyOf } from './authorization-rules.ts';
import { pack } from './proto.ts';

/** In front of what shadow rules tell, by action (Istio's names). */
export const DRY_RUN_PREFIX = { ALLOW: 'istio_dry_run_allow_', DENY: 'istio_dry_run_deny_' } as const;
const EXT_AUTHZ_PREFIX = 'istio_ext_authz_';
/** Where ext_authz looks whether it is asked, and how the names of a provider's rules begin. */
export const EXT_AUTHZ_KEY = `${EXT_AUTHZ_PREFIX}shadow_effective_policy_id`;
export const extAuthzName = (provider: string): string => `istio-ext-authz-${provider}-`;

/** The filters, and where they tell what they decided. */
export const HTTP_RBAC = 'envoy.filters.http.rbac';
export const NETWORK_RBAC = 'envoy.filters.network.rbac';
const STAT_PREFIX = 'tcp.';
const ORDER = ['DENY', 'ALLOW', 'AUDIT'] as const;
const ACTIONS: Readonly<Record<AuthorizationAction, RBAC_Action>> = {
  ALLOW: RBAC_Action.ALLOW,
  DENY: RBAC_Action.DENY,
  CUSTOM: RBAC_Action.DENY,
  AUDIT: RBAC_Action.LOG,
};

export interface AuthorizationScope {
  readonly snapshot: Snapshot;
  readonly node: MeshNode;
  /** In explicit mode an app is known under its own port and called on its sidecar's. */
  readonly port: { readonly app: number; readonly inbound: number } | null;
}

/** The filter that asks a provider, where its rules hold; null when there is no such provider. */
export type ExtAuthzFilter<Made> = (provider: string) => Made | null;

/** Of a manager that receives for the app. */
export function authorizationFilters(scope: AuthorizationScope, extAuthz: ExtAuthzFilter<HttpFilter>): HttpFilter[] {
  const held = policiesFor(scope);
  if (held.length === 0) return [];
  return [
    ...customFilters(held, scope, { isTcp: false, extAuthz, make: httpFilter }),
    ...ORDER.flatMap((action) => enforced(action, held, scope, false).map(httpFilter)),
  ];
}

/** Of a chain that hands connections on as they come. */
export function authorizationNetworkFilters(scope: AuthorizationScope, extAuthz: ExtAuthzFilter<Filter>): Filter[] {
  const held = policiesFor(scope);
  if (held.length === 0) return [];
  return [
    ...customFilters(held, scope, { isTcp: true, extAuthz, make: networkFilter }),
    ...ORDER.flatMap((action) => enforced(action, held, scope, true).map(networkFilter)),
  ];
}

/** Some policy of the workload is only tried: its spans say what it would have done. */
export function hasDryRun(scope: Pick<AuthorizationScope, 'snapshot' | 'node'>): boolean {
  return policiesFor(scope).some(({ meta }) => isDryRun(meta) === true);
}

function policiesFor({
  snapshot,
  node,
}: Pick<AuthorizationScope, 'snapshot' | 'node'>): readonly AuthorizationPolicy[] {
  const { authorizationPolicies } = snapshot;
  if (authorizationPolicies.length === 0) return [];
  return policiesOf(authorizationPolicies, node, policyScopeOf(snapshot, node)).map(({ policy }) => policy);
}

interface Rbac {
  readonly rules: RBAC | null;
  readonly shadowRules: RBAC | null;
  readonly shadowPrefix: string;
}

/** One filter, or none. */
function enforced(
  action: 'DENY' | 'ALLOW' | 'AUDIT',
  held: readonly AuthorizationPolicy[],
  scope: AuthorizationScope,
  isTcp: boolean,
): readonly Rbac[] {
  const own = held.filter(({ spec }) => spec.action === action);
  const tried = own.filter(({ meta }) => isDryRun(meta) === true);
  const real = own.filter(({ meta }) => isDryRun(meta) !== true);
  if (own.length === 0) return [];
  const rules = (list: readonly AuthorizationPolicy[]): RBAC | null =>
    list.length === 0 ? null : rbacOf(list, scope, { isTcp, prefix: '', suffix: '' });
  const shadowPrefix = tried.length === 0 || action === 'AUDIT' ? '' : DRY_RUN_PREFIX[action];
  return [{ rules: rules(real), shadowRules: rules(tried), shadowPrefix }];
}

interface RulesOptions {
  readonly isTcp: boolean;
  /** Around the names of rules. */
  readonly prefix: string;
  readonly suffix: string;
}

/** Policies of one action. */
function rbacOf(policies: readonly AuthorizationPolicy[], scope: AuthorizationScope, options: RulesOptions): RBAC {
  const { mesh } = scope.snapshot;
  const trustDomains = [mesh.trustDomain, ...mesh.trustDomainAliases];
  const { port } = scope;
  const found: Record<string, Policy> = {};
  for (const { meta, spec } of policies) {
    const nameOf = (index: number): string =>
      `${options.prefix}ns[${meta.namespace}]-policy[${meta.name}]-rule[${index}]${options.suffix}`;
    if (spec.rules.length === 0) found[nameOf(0)] = matchNever();
    for (const [index, rule] of spec.rules.entries()) {
      const policy = policyOf(rule, {
        action: spec.action,
        isTcp: options.isTcp,
        namespace: meta.namespace,
        trustDomains,
        portOf: (number) => (port !== null && number === port.app ? port.inbound : number),
      });
      if (policy !== null) found[nameOf(index)] = policy;
    }
  }
  const action = ACTIONS[policies[0]?.spec.action ?? 'DENY'];
  return create(RBACSchema, { action, policies: found });
}

interface CustomOptions<Made> {
  readonly isTcp: boolean;
  readonly extAuthz: ExtAuthzFilter<Made>;
  readonly make: (rbac: Rbac) => Made;
}

/**
 * For each provider its rules as shadow rules, then the filter that asks it where one of them held. Without such a
 * provider what it should have been asked about is denied. Policies that are only tried are left out: to ask is to enforce.
 */
function customFilters<Made>(
  held: readonly AuthorizationPolicy[],
  scope: AuthorizationScope,
  { isTcp, extAuthz, make }: CustomOptions<Made>,
): readonly Made[] {
  const custom = held.filter(({ meta, spec }) => spec.action === 'CUSTOM' && isDryRun(meta) !== true);
  const providers = [...new Set(custom.map(({ spec }) => spec.provider))].toSorted();
  return providers.flatMap((provider) => {
    const own = custom.filter(({ spec }) => spec.provider === provider);
    const prefix = extAuthzName(provider);
    const asks = extAuthz(provider);
    if (asks === null) {
      const suffix = '-deny-due-to-bad-CUSTOM-action';
      return [make({ rules: rbacOf(own, scope, { isTcp, prefix, suffix }), shadowRules: null, shadowPrefix: '' })];
    }
    const shadowRules = rbacOf(own, scope, { isTcp, prefix, suffix: '' });
    return [make({ rules: null, shadowRules, shadowPrefix: EXT_AUTHZ_PREFIX }), asks];
  });
}

function httpFilter({ rules, shadowRules, shadowPrefix }: Rbac): HttpFilter {
  const config = create(HttpRbacSchema, { shadowRulesStatPrefix: shadowPrefix });
  if (rules !== null) config.rules = rules;
  if (shadowRules !== null) config.shadowRules = shadowRules;
  return create(HttpFilterSchema, {
    name: HTTP_RBAC,
    configType: { case: 'typedConfig', value: pack(HttpRbacSchema, config) },
  });
}

function networkFilter({ rules, shadowRules, shadowPrefix }: Rbac): Filter {
  const config = create(NetworkRbacSchema, { statPrefix: STAT_PREFIX, shadowRulesStatPrefix: shadowPrefix });
  if (rules !== null) config.rules = rules;
  if (shadowRules !== null) config.shadowRules = shadowRules;
  return create(FilterSchema, {
    name: NETWORK_RBAC,
    configType: { case: 'typedConfig', value: pack(NetworkRbacSchema, config) },
  });
}
