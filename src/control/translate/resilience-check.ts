// What is wrong with a ResiliencePolicy in view of the whole: targets, ports and rules that do not exist, and
// sections that have nothing to work on. They are warnings: what does lead somewhere is in force.
import { warning } from '../../base/problem.ts';
import type { Problem } from '../../base/problem.ts';
import { readHealthAnnotations } from '../../config/health-annotations.ts';
import type { Retries } from '../../config/http-retries.ts';
import type { TargetKind } from '../../config/resilience-policy.ts';
import type { BackendTrafficPolicy, ResiliencePolicy } from '../../config/resource.ts';
import type { MeshService } from '../mesh-service.ts';
import type { Snapshot } from '../snapshot.ts';
import { checkFallbacks } from './fallback.ts';
import { checkTarget } from './policy-target.ts';

export function checkResilience(snapshot: Snapshot): readonly Problem[] {
  const targets = snapshot.resilience.policies.flatMap((policy) =>
    policy.spec.targets.flatMap((target, index) => checkTarget(policy, target, index, snapshot)),
  );
  const hedges = snapshot.resilience.policies.flatMap((policy) => checkHedge(policy, snapshot));
  return [
    ...targets,
    ...hedges,
    ...checkFallbacks(snapshot),
    ...[...snapshot.services.values()].flatMap(checkAnnotations),
  ];
}

function checkAnnotations({ meta, source }: MeshService): readonly Problem[] {
  return readHealthAnnotations(meta.annotations).problems.map(({ annotation, message, remedy }) => {
    const path = `metadata.annotations["${annotation}"]`;
    return warning(path, message, remedy, source?.locate(path) ?? null);
  });
}

function hasTime(retries: Retries | null): boolean {
  return (retries?.perTryTimeoutMs ?? 0) > 0;
}

/** Hedging waits for the time of an attempt: the section's own, else the route's. */
function checkHedge(policy: ResiliencePolicy | BackendTrafficPolicy, snapshot: Snapshot): readonly Problem[] {
  const hedge = policy.spec.sections.find((section) => section.kind === 'hedge');
  if (hedge?.kind !== 'hedge' || hedge.afterMs !== null) return [];
  const isTarget = (kind: TargetKind, name: string, rule: string): boolean =>
    policy.spec.targets.some(
      (target) =>
        target.kind === kind && target.name === name && (target.sectionName === '' || target.sectionName === rule),
    );
  const isHere = ({ meta }: { readonly meta: { readonly namespace: string } }) =>
    meta.namespace === policy.meta.namespace;
  const services = snapshot.virtualServices.filter(isHere).flatMap(({ meta, spec }) => {
    return spec.http.filter(
      (rule) =>
        isTarget('VirtualService', meta.name, rule.name) && !hasTime(rule.retries ?? snapshot.mesh.defaultRetries),
    );
  });
  const routes = snapshot.httpRoutes
    .filter(isHere)
    .flatMap(({ meta, spec }) =>
      spec.rules.filter(
        (rule) =>
          isTarget('HTTPRoute', meta.name, rule.name) && (rule.retry === null || (rule.backendTimeoutMs ?? 0) === 0),
      ),
    );
  if (services.length + routes.length === 0) return [];
  const message = 'a rule of the target has no time for an attempt, so its attempts are never slow';
  return [warning('spec.hedge', message, 'add after: 200ms or the like', policy.source.locate('spec.hedge'))];
}
