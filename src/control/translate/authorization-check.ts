// Problems of AuthorizationPolicies that only show beside the workloads that they are for: what they deny without meaning
// to, what they let pass that has no identity, and what nobody can meet. They are warnings: the policy is in force.
import { unresolved, type Problem } from '../../base/problem.ts';
import { isDryRun, type AuthorizationAction, type AuthorizationRule } from '../../config/authorization-policy.ts';
import { HTTP_ONLY, type AttributeKind, type AuthorizationTest } from '../../config/authorization-test.ts';
import type { AuthorizationPolicy } from '../../config/resource.ts';
import type { MeshNode } from '../mesh-node.ts';
import type { Snapshot } from '../snapshot.ts';
import { policiesOf } from '../workload-policies.ts';
import { policyScopeOf } from '../workload-services.ts';
import { asksRequests, complements } from './authorization-rules.ts';
import { checkExternalAuthorization, connectionProviders } from './external-authorization.ts';
import { checkSelected } from './selector-check.ts';

/** What a plaintext connection does not have. */
const IDENTITY: ReadonlySet<AttributeKind> = new Set(['principal', 'namespace', 'serviceAccount', 'trustDomain']);

export function checkAuthorization(snapshot: Snapshot, providers: ReadonlySet<string>): readonly Problem[] {
  const found = snapshot.authorizationPolicies.flatMap((policy) => {
    const nodes = snapshot.workloads.filter(
      (node) => policiesOf([policy], node, policyScopeOf(snapshot, node)).length > 0,
    );
    return [
      ...checkMeta(policy),
      ...checkSelected(policy, snapshot),
      ...checkProvider(policy, providers),
      ...policy.spec.rules.flatMap((rule, index) => [
        ...checkRule(policy, rule, `spec.rules[${index}]`),
        ...checkConnections(policy, rule, `spec.rules[${index}]`, { snapshot, nodes }),
        ...checkPlaintext(policy, rule, `spec.rules[${index}]`, { snapshot, nodes }),
      ]),
    ];
  });
  return [...found, ...checkExternalAuthorization(snapshot)];
}

function warn({ source }: AuthorizationPolicy, path: string, message: string, remedy: string): Problem {
  return { severity: 'warning', path, message, remedy, place: source.locate(path) };
}

function checkMeta(policy: AuthorizationPolicy): readonly Problem[] {
  const dryRun = isDryRun(policy.meta);
  const path = 'metadata.annotations';
  if (dryRun === null)
    return [warn(policy, path, 'istio.io/dry-run is neither true nor false; the policy is enforced', 'write "true"')];
  const isLost = dryRun && policy.spec.action === 'CUSTOM';
  const message = 'a CUSTOM policy cannot be tried: it has no effect';
  return isLost ? [warn(policy, path, message, 'remove istio.io/dry-run to ask its provider')] : [];
}

function checkProvider({ spec, ...policy }: AuthorizationPolicy, providers: ReadonlySet<string>): readonly Problem[] {
  if (spec.action !== 'CUSTOM' || providers.has(spec.provider)) return [];
  const message = `no extension provider is named ${spec.provider}; what it should decide is denied`;
  const remedy = 'add it to extensionProviders of the MeshConfig';
  return [unresolved(warn({ spec, ...policy }, 'spec.provider.name', message, remedy))];
}

function testsOf(rule: AuthorizationRule): readonly AuthorizationTest[] {
  return [...rule.sources.flat(), ...rule.operations.flat(), ...rule.conditions];
}

/** What nobody can meet, and lines of headers that cannot be told apart. */
function checkRule(policy: AuthorizationPolicy, rule: AuthorizationRule, path: string): readonly Problem[] {
  const { action } = policy.spec;
  const all = [...rule.sources, ...rule.operations, rule.conditions];
  return all.flat().flatMap(({ kind, values, notValues }) => {
    const found: Problem[] = [];
    if (values.length > 0 && values.every((value) => notValues.includes(value) || notValues.includes('*'))) {
      const message = `every value of ${kind} is also excepted; nobody can meet the rule`;
      found.push(warn(policy, path, message, 'remove the exception, or the rule'));
    }
    const judged = action === 'ALLOW' ? values : notValues;
    if (kind === 'header' && judged.length > 0 && complements(judged).length === 0) {
      const message = 'the values are too long to see whether every line of the header matches';
      found.push(warn(policy, path, message, 'write fewer or shorter values'));
    }
    return found;
  });
}

interface Workloads {
  readonly snapshot: Snapshot;
  readonly nodes: readonly MeshNode[];
}

/** Connections that carry no requests which the sidecar can read. */
function checkConnections(
  policy: AuthorizationPolicy,
  rule: AuthorizationRule,
  path: string,
  { snapshot, nodes }: Workloads,
): readonly Problem[] {
  const { action, provider } = policy.spec;
  const isCustom = action === 'CUSTOM' && isDryRun(policy.meta) !== true;
  const isDenied = isCustom && !connectionProviders(snapshot).has(provider);
  if (!isDenied && !((isCustom || action === 'ALLOW' || action === 'DENY') && asksRequests(rule))) return [];
  const ports = testsOf(rule).flatMap(({ kind, values }) => (kind === 'port' ? values : []));
  const fields = [...new Set(testsOf(rule).flatMap(({ kind }) => (HTTP_ONLY.has(kind) ? [kind] : [])))].join(', ');
  const spared = testsOf(rule).flatMap(({ kind, notValues }) => (kind === 'port' ? notValues : []));
  const isHit = ({ protocol, port }: MeshNode['apps'][number]): boolean =>
    protocol === 'tcp' && !spared.includes(String(port)) && (ports.length === 0 || ports.includes(String(port)));
  const hit = nodes.flatMap((node) => node.apps.filter(isHit).map(({ port }) => `${node.workload}:${port}`));
  const [first] = hit;
  if (first === undefined) return [];
  const message = isDenied
    ? `${provider} is not asked about connections to ${first}: those that the rule names are denied`
    : `connections to ${first} cannot be asked for ${fields}${outcomeOf(action)}`;
  const remedy = 'write ports: ["…"] with the ports that speak HTTP';
  return [warn(policy, path, message, isDenied ? `${remedy}, or give ${provider} as envoyExtAuthzGrpc` : remedy)];
}

function outcomeOf(action: AuthorizationAction): string {
  if (action === 'DENY') return ', and are denied whatever they carry';
  return action === 'CUSTOM' ? ': its provider is asked about each of them' : ': the rule lets none of them in';
}

/** Whoever comes in plaintext has no identity: a DENY by identity does not see it, and an exception lets it in. */
function checkPlaintext(
  policy: AuthorizationPolicy,
  rule: AuthorizationRule,
  path: string,
  { snapshot, nodes }: Workloads,
): readonly Problem[] {
  const { action } = policy.spec;
  const isOpen = testsOf(rule).some(({ kind, values, notValues }) => {
    if (!IDENTITY.has(kind)) return false;
    return action === 'DENY' ? values.length > 0 : action === 'ALLOW' && values.length === 0 && notValues.length > 0;
  });
  if (!isOpen) return [];
  const open = nodes.flatMap((node) =>
    node.apps
      .filter(({ port }) => snapshot.peerAuthentications.modeOf(node, port) !== 'STRICT')
      .map(({ port }) => `${node.workload}:${port}`),
  );
  const [first] = open;
  if (first === undefined) return [];
  const message = `${first} takes plaintext, which has no identity: the rule does not keep it out`;
  return [warn(policy, path, message, 'add a PeerAuthentication with mode STRICT')];
}
