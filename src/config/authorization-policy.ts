// AuthorizationPolicy (security.istio.io): who may do what, as actions with rules. A rule holds when one of its sources,
// one of its operations and all of its conditions do. Unknown and misspelled fields are errors everywhere, and a policy
// that cannot be read leaves something in its place that lets nobody in who should stay out (`refusedPolicy`).
// Source: istio/security/v1beta1/authorization_policy.proto; validation as in Istio's pkg/config/validation.
import { readCondition, readTest, type AttributeKind, type AuthorizationTest } from './authorization-test.ts';
import { refuseEmptyFields } from './empty-field.ts';
import type { Fields } from './fields.ts';
import type { Meta } from './meta.ts';
import { EVERY_WORKLOAD, readWorkloadSelector, type WorkloadSelector } from './workload-selector.ts';

const ACTIONS = ['ALLOW', 'DENY', 'AUDIT', 'CUSTOM'] as const;
export type AuthorizationAction = (typeof ACTIONS)[number];

/** Tests that must all hold; none: anything does. */
export type AuthorizationTests = readonly AuthorizationTest[];

export interface AuthorizationRule {
  /** One of them must hold; empty: any source. */
  readonly sources: readonly AuthorizationTests[];
  /** One of them must hold; empty: any operation. */
  readonly operations: readonly AuthorizationTests[];
  /** All of them must hold. */
  readonly conditions: AuthorizationTests;
}

export interface AuthorizationPolicySpec {
  readonly selector: WorkloadSelector;
  readonly action: AuthorizationAction;
  /** CUSTOM: the extension provider that decides. */
  readonly provider: string;
  /** None: the policy never holds. */
  readonly rules: readonly AuthorizationRule[];
  /** It stands in for one that could not be read: DENY of everything, or an ALLOW that grants nothing. */
  readonly isStandIn: boolean;
}

const SOURCE: readonly (readonly [field: string, kind: AttributeKind])[] = [
  ['principals', 'principal'],
  ['requestPrincipals', 'requestPrincipal'],
  ['namespaces', 'namespace'],
  ['serviceAccounts', 'serviceAccount'],
  ['trustDomains', 'trustDomain'],
  ['ipBlocks', 'sourceIp'],
  ['remoteIpBlocks', 'remoteIp'],
];
const OPERATION: readonly (readonly [field: string, kind: AttributeKind])[] = [
  ['hosts', 'host'],
  ['ports', 'port'],
  ['methods', 'method'],
  ['paths', 'path'],
];
/** What a provider is not asked about by (Istio: "currently not supported with CUSTOM action"). */
const NOT_FOR_CUSTOM: ReadonlySet<AttributeKind> = new Set([
  'principal',
  'requestPrincipal',
  'namespace',
  'serviceAccount',
  'trustDomain',
  'audience',
  'presenter',
  'claim',
]);
export const RULES_MAX = 1000;
/** Entries of `from`, `to` or `when` of one rule. */
export const PARTS_MAX = 500;
const FIELDS: readonly string[] = ['selector', 'targetRef', 'targetRefs', 'action', 'provider', 'rules'];

export function readAuthorizationPolicySpec(fields: Fields): AuthorizationPolicySpec {
  fields.refuseUnknown();
  refuseEmptyFields(fields, FIELDS);
  const selector = readWorkloadSelector(fields);
  const action = fields.choice('action', ACTIONS) ?? actionUnsaid(fields);
  const provider = fields.object('provider', (inner) => {
    inner.refuseUnknown();
    return inner.requiredText('name');
  });
  const rules = fields.list('rules', readRule, RULES_MAX);
  if (action === 'CUSTOM' && (provider === null || provider === ''))
    fields.error('provider', 'CUSTOM needs the name of a provider', 'add provider: { name: … }');
  if (action !== 'CUSTOM' && provider !== null)
    fields.error('provider', `a provider does nothing with ${action}`, 'remove it, or write action: CUSTOM');
  if ((action === 'DENY' || action === 'CUSTOM') && rules.length === 0) {
    const remedy = 'write rules: [{}] for every request';
    fields.error('rules', `${action} without rules does nothing`, remedy);
  }
  if (action === 'CUSTOM') refuseIdentities(rules, fields);
  return { selector, action, provider: provider ?? '', rules, isStandIn: false };
}

/** ALLOW, unless a field may be the action, misspelled: what stands in for such a policy must deny. */
function actionUnsaid(fields: Fields): AuthorizationAction {
  return fields.names().every((name) => name !== 'action' && FIELDS.includes(name)) ? 'ALLOW' : 'DENY';
}

function refuseIdentities(rules: readonly AuthorizationRule[], fields: Fields): void {
  for (const [index, rule] of rules.entries()) {
    for (const { kind } of [...rule.sources.flat(), ...rule.conditions]) {
      if (!NOT_FOR_CUSTOM.has(kind)) continue;
      const remedy = 'write another policy with DENY or ALLOW for it';
      fields.error('rules', `rules[${index}]: ${kind} is not supported with CUSTOM`, remedy);
    }
  }
}

function readRule(fields: Fields): AuthorizationRule {
  fields.refuseUnknown();
  refuseEmptyFields(fields, ['from', 'to', 'when']);
  for (const name of ['from', 'to', 'when']) {
    if (fields.has(name) && fields.maps(name).length === 0)
      fields.error(name, 'must not be an empty list', `remove it for any ${name === 'from' ? 'source' : 'operation'}`);
  }
  const sources = fields.list('from', (from) => readPart(from, 'source', SOURCE), PARTS_MAX);
  const operations = fields.list('to', (to) => readPart(to, 'operation', OPERATION), PARTS_MAX);
  return {
    sources: sources.filter((tests) => tests !== null),
    operations: operations.filter((tests) => tests !== null),
    conditions: fields.list('when', readCondition, PARTS_MAX).filter((test) => test !== null),
  };
}

/** The tests of `from[].source` or `to[].operation`; null after reporting that there are none. */
function readPart(
  fields: Fields,
  name: 'source' | 'operation',
  known: readonly (readonly [field: string, kind: AttributeKind])[],
): AuthorizationTests | null {
  fields.refuseUnknown();
  refuseEmptyFields(fields, [name]);
  const tests = fields.object(name, (inner) => {
    inner.refuseUnknown();
    refuseEmptyFields(
      inner,
      known.flatMap(([field]) => [field, `not${field.charAt(0).toUpperCase()}${field.slice(1)}`]),
    );
    const found = known.map(([field, kind]) => readTest(inner, field, kind)).filter((test) => test !== null);
    const isAccounted = inner.has('serviceAccounts') || inner.has('notServiceAccounts');
    if (isAccounted && ['principals', 'notPrincipals', 'namespaces', 'notNamespaces'].some((other) => inner.has(other)))
      inner.error('serviceAccounts', 'cannot stand beside principals or namespaces', 'write NAMESPACE/ACCOUNT');
    return found;
  });
  if (tests === null || tests.length === 0) {
    fields.error(name, `${name} must have at least one field`, `write what the ${name} must be, or remove the entry`);
    return null;
  }
  return tests;
}

/**
 * What stands in for a policy that was refused, where no good version of it is in force: an ALLOW grants nothing, any
 * other denies all that it is for. `read` is what could be read of it, if anything.
 */
export function refusedPolicy(read: AuthorizationPolicySpec | null): AuthorizationPolicySpec {
  const isAllow = read?.action === 'ALLOW';
  return {
    selector: read?.selector ?? EVERY_WORKLOAD,
    action: isAllow ? 'ALLOW' : read?.action === 'AUDIT' ? 'AUDIT' : 'DENY',
    provider: '',
    rules: isAllow || read?.action === 'AUDIT' ? [] : [{ sources: [], operations: [], conditions: [] }],
    isStandIn: true,
  };
}

const TRUE_WORDS: ReadonlySet<string> = new Set(['1', 't', 'T', 'TRUE', 'true', 'True']);
const FALSE_WORDS: ReadonlySet<string> = new Set(['0', 'f', 'F', 'FALSE', 'false', 'False']);
export const DRY_RUN = 'istio.io/dry-run';

/** True when the policy is only to be tried; null when its annotation cannot be read: it is enforced then. */
export function isDryRun({ annotations }: Pick<Meta, 'annotations'>): boolean | null {
  const text = annotations.get(DRY_RUN);
  if (text === undefined || FALSE_WORDS.has(text)) return false;
  return TRUE_WORDS.has(text) ? true : null;
}
