// What is wrong with a RateLimitPolicy in view of the whole: targets that do not exist, routes that no sidecar is given, and
// what real Envoys cannot enforce. They are warnings: what does lead somewhere is in force.
import { warning, type Problem } from '../../base/problem.ts';
import type { LimitTarget } from '../../config/rate-limit-policy.ts';
import type { RateLimitPolicy } from '../../config/resource.ts';
import type { Snapshot } from '../snapshot.ts';
import { checkTarget } from './policy-target.ts';
import { envoyLimits } from './rate-limits.ts';
import { routeLimitsOfEnvoy } from './route-rate-limits.ts';

export function checkRateLimits(snapshot: Snapshot): readonly Problem[] {
  return snapshot.rateLimits.flatMap((policy) => [
    ...policy.spec.targets.flatMap((target, index) => {
      const missing = checkTarget(policy, target, index, snapshot);
      return missing.length > 0 ? missing : checkUse(policy, target, index, snapshot);
    }),
    ...checkEnvoys(policy, snapshot),
  ]);
}

/** A route that is there, and that no sidecar follows. */
function checkUse(
  policy: RateLimitPolicy,
  { kind, name }: LimitTarget,
  index: number,
  { virtualServices, httpRoutes }: Snapshot,
): readonly Problem[] {
  const path = `spec.targetRefs[${index}]`;
  const isMeant = ({ meta }: { readonly meta: { readonly namespace: string; readonly name: string } }): boolean =>
    meta.namespace === policy.meta.namespace && meta.name === name;
  const say = (why: string, remedy: string): readonly Problem[] => [
    warning(path, `the ${kind} ${name} ${why}, so the policy has no effect on it`, remedy, policy.source.locate(path)),
  ];
  if (kind === 'VirtualService') {
    const found = virtualServices.find(isMeant)?.spec;
    if (found === undefined) return [];
    if (found.http.length === 0) return say('has no http rules', 'add them, or name another target');
    const isForMesh = found.gateways.length === 0 || found.gateways.includes('mesh');
    if (!isForMesh) return say('is for gateways only', 'add the gateway mesh to it');
  }
  if (kind === 'HTTPRoute') {
    const found = httpRoutes.find(isMeant)?.spec;
    if (found === undefined) return [];
    if (!found.parents.some((parent) => parent.kind === 'Service' && parent.group === ''))
      return say('has no Service as its parent', 'add a parentRef to one');
  }
  return [];
}

function checkEnvoys(policy: RateLimitPolicy, { workloads }: Snapshot): readonly Problem[] {
  const { limits, targets } = policy.spec;
  const isOfRoutes = targets.length > 0 && targets.every(({ kind }) => kind !== 'Service');
  // The callers of a route may be in any namespace.
  const hasEnvoy = workloads.some(
    (node) => !node.abilities.ownFilters && (isOfRoutes || node.namespace === policy.meta.namespace),
  );
  if (!hasEnvoy) return [];
  const enforced = new Set(isOfRoutes ? routeLimitsOfEnvoy(limits) : envoyLimits(policy));
  return [...limits.entries()].flatMap(([index, limit]) => {
    if (enforced.has(limit)) return [];
    const path = `spec.limits[${index}]`;
    const what = isOfRoutes ? 'no limits for all callers together' : 'no limits by caller or for a whole service';
    const message = `the limit ${limit.name} does not hold for real Envoys: they know ${what}`;
    const remedy = 'add a limit for all requests, scope: Instance';
    return [warning(path, message, remedy, policy.source.locate(path))];
  });
}
