// Problems that only show when a rule meets the rest: destinations, subsets, backends and providers that
// do not exist. They are warnings: the rule is in force, and what leads nowhere answers with an error.
import { unresolved, warning, type Problem } from '../../base/problem.ts';
import type { DestinationRule } from '../../config/resource.ts';
import { Scope } from '../scope.ts';
import type { Snapshot } from '../snapshot.ts';
import { checkAuthorization } from './authorization-check.ts';
import { checkBackends } from './backend.ts';
import { capturedPorts } from './captured-ports.ts';
import { authorizationProviders } from './external-authorization.ts';
import { checkCredentials } from './credential-check.ts';
import { checkFormats } from './header-format.ts';
import { checkCoverage } from './coverage.ts';
import { checkRateLimits } from './rate-limit-check.ts';
import { checkResilience } from './resilience-check.ts';
import { checkClaims } from './jwt-claims.ts';
import { checkJwks } from './jwt-keys.ts';
import { checkSelected } from './selector-check.ts';
import { checkDestination, checkHosts } from './target.ts';
import { checkTls } from './tls-check.ts';
import { checkTelemetry } from './tracing.ts';

export function checkSnapshot(snapshot: Snapshot): readonly Problem[] {
  const problems: Problem[] = [
    ...snapshot.problems.concat(snapshot.envoyFilters.mergeProblems),
    ...checkTelemetry(snapshot),
    ...checkResilience(snapshot),
    ...checkAuthorization(snapshot, authorizationProviders(snapshot)),
    ...checkJwks(snapshot),
    ...[...snapshot.requestAuthentications, ...snapshot.extensions].flatMap((rule) => checkSelected(rule, snapshot)),
    ...checkRateLimits(snapshot),
  ];
  const isExplicit = snapshot.workloads.some((node) => node.mode === 'explicit');
  const scopes = new Map<string, Scope>();
  const scopeOf = (namespace: string): Scope => {
    const scope = scopes.get(namespace) ?? new Scope(snapshot, { namespace, labels: new Map(), mode: 'redirect' });
    scopes.set(namespace, scope);
    return scope;
  };
  for (const rule of snapshot.virtualServices) {
    const { namespace } = rule.meta;
    const scope = scopeOf(namespace);
    const at = (path: string) => ({ source: rule.source, path });
    const locate = (path: string) => rule.source.locate(path);
    for (const [index, http] of rule.spec.http.entries()) {
      problems.push(...checkFormats(http.headers, `spec.http[${index}]`, locate));
      for (const [position, entry] of http.route.entries()) {
        const path = `spec.http[${index}].route[${position}]`;
        problems.push(...checkFormats(entry.headers, path, locate));
        problems.push(...checkDestination(entry.destination, namespace, scope, at(`${path}.destination`)));
      }
      for (const [position, mirror] of http.mirrors.entries()) {
        const path =
          http.mirrors.length === 1
            ? `spec.http[${index}].mirror`
            : `spec.http[${index}].mirrors[${position}].destination`;
        problems.push(...checkDestination(mirror.destination, namespace, scope, at(path)));
      }
    }
    for (const kind of ['tls', 'tcp'] as const) {
      for (const [index, { route }] of rule.spec[kind].entries())
        for (const [position, { destination }] of route.entries()) {
          const path = `spec.${kind}[${index}].route[${position}].destination`;
          problems.push(...checkDestination(destination, namespace, scope, at(path)));
        }
      if (rule.spec[kind].length > 0 && isExplicit)
        problems.push({
          severity: 'warning',
          path: `spec.${kind}`,
          message: `sidecars in explicit mode forward only HTTP, so ${kind} rules do not hold for them`,
          remedy: 'run them in redirect mode',
          place: locate(`spec.${kind}`),
        });
    }
    problems.push(...checkCoverage(rule), ...checkHosts(rule, scope), ...checkClaims(rule, scope));
  }
  for (const rule of snapshot.destinationRules) {
    problems.push(...(isExplicit ? checkPassthrough(rule) : []), ...checkTls(rule, scopeOf(rule.meta.namespace)));
    problems.push(...checkCredentials(rule, snapshot));
    const host = scopeOf(rule.meta.namespace).fullHost(rule.spec.host, rule.meta.namespace);
    if (snapshot.services.has(host) || host.includes('*')) continue;
    const message = `no service is named ${host}; the rule has no effect yet`;
    const remedy = 'correct the host, or add the Service';
    problems.push(unresolved(warning('spec.host', message, remedy, rule.source.locate('spec.host'))));
  }
  const isCaptured = snapshot.workloads.every((node) => node.mode === 'redirect');
  if (isCaptured) problems.push(...checkPorts(scopeOf(snapshot.mesh.rootNamespace)));
  for (const route of snapshot.httpRoutes) problems.push(...checkBackends(route, scopeOf(route.meta.namespace)));
  return problems;
}

/** Only captured connections have a destination to pass through to. */
function checkPassthrough(rule: DestinationRule): readonly Problem[] {
  if (rule.spec.policy?.loadBalancer?.simple !== 'PASSTHROUGH') return [];
  const path = 'spec.trafficPolicy.loadBalancer.simple';
  const message = 'sidecars in explicit mode take PASSTHROUGH for LEAST_REQUEST';
  return [warning(path, message, 'run them in redirect mode, or write LEAST_REQUEST', rule.source.locate(path))];
}

/** Two services that want the same of captured connections: the younger one's port is not reached. */
function checkPorts(scope: Scope): readonly Problem[] {
  const { conflicts } = capturedPorts(scope, { namespace: scope.namespace, labels: new Map() }, new Set());
  return conflicts.flatMap(({ service, port, holder }) => {
    if (service.source === null || service.host === holder) return [];
    const path = `spec.ports[${service.ports.indexOf(port)}]`;
    const message = `captured connections to port ${port.number} go to the older ${holder}, and do not reach ${service.host}`;
    const remedy = 'give one of them an address of its own, or another port';
    return [{ severity: 'warning' as const, path, message, remedy, place: service.source.locate(path) }];
  });
}
