// Routes that ask for claims: which issuers' tokens a sender has to read for them. The route is chosen where the request
// is sent, but whose tokens count is said where it is received; so the policies of the destinations of such a route are
// the ones that hold: those for their workloads, by label or by service, for their namespace, and for the mesh.
import { warning } from '../../base/problem.ts';
import type { Problem } from '../../base/problem.ts';
import type { RequestAuthentication, VirtualService } from '../../config/resource.ts';
import { isClaim } from '../../config/token-claim.ts';
import type { HttpMatch } from '../../config/virtual-service-match.ts';
import type { Scope } from '../scope.ts';
import { policiesOf } from '../workload-policies.ts';

/** Instances of one destination that are looked at. */
const INSTANCES_MAX = 16;

/** Empty when no route that the scope sees asks for claims. */
export function policiesOfClaims(scope: Scope): readonly RequestAuthentication[] {
  const found = new Set<RequestAuthentication>();
  for (const rule of new Set(scope.virtualServices.values())) {
    for (const policy of policiesFor(rule, scope)) found.add(policy);
  }
  return scope.snapshot.requestAuthentications.filter((policy) => found.has(policy));
}

/** A route that asks for claims which nobody makes known never matches. */
export function checkClaims(rule: VirtualService, scope: Scope): readonly Problem[] {
  const problems: Problem[] = [];
  for (const [index, http] of rule.spec.http.entries()) {
    if (!http.matches.some(asksForClaims) || policiesFor(rule, scope).length > 0) continue;
    const path = `spec.http[${index}].match`;
    const message = 'claims are asked for, but no RequestAuthentication holds for the destinations of this rule';
    const remedy = 'write one that does: by then no token has claims that are known';
    problems.push(warning(path, message, remedy, rule.source.locate(path)));
  }
  return problems;
}

function policiesFor(rule: VirtualService, scope: Scope): readonly RequestAuthentication[] {
  const { snapshot } = scope;
  if (snapshot.requestAuthentications.length === 0) return [];
  if (!rule.spec.http.some(({ matches }) => matches.some(asksForClaims))) return [];
  const hosts = new Set(rule.spec.http.flatMap(({ route }) => route.map(({ destination }) => destination.host)));
  const found: RequestAuthentication[] = [];
  for (const host of hosts) {
    const service = snapshot.services.get(scope.fullHost(host, rule.meta.namespace));
    if (service === undefined) continue;
    const instances = [...service.endpoints.values()].flat().slice(0, INSTANCES_MAX);
    const labels = [new Map<string, string>(), ...instances.map((instance) => instance.labels)];
    for (const one of labels) {
      const workload = { namespace: service.namespace, labels: one };
      const place = { rootNamespace: snapshot.mesh.rootNamespace, services: new Set([service.name]) };
      found.push(...policiesOf(snapshot.requestAuthentications, workload, place).map(({ policy }) => policy));
    }
  }
  return found;
}

function asksForClaims({ headers, withoutHeaders }: HttpMatch): boolean {
  return [...headers.keys(), ...withoutHeaders.keys()].some(isClaim);
}
