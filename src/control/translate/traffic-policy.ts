// Which traffic policy holds for a subset and a port of a host: the mesh's default, the host's and its port's, the
// subset's and its port's, each replacing the one before section by section; only a port's own settings do not inherit
// (Istio: MergeSubsetTrafficPolicy, mergeTrafficPolicy).
import type { EffectivePolicy, TrafficPolicy } from '../../config/destination-rule.ts';
import type { MeshConfigSpec } from '../../config/mesh-config.ts';
import type { Scope } from '../scope.ts';
import { withSectionHash } from './resilience-balancer.ts';

export function policyFor(scope: Scope, host: string, subset: string, port: number): EffectivePolicy | null {
  const { defaultPolicy } = scope.snapshot.mesh;
  const rule = scope.ruleFor(host);
  const wide = rule === null ? null : merged(null, rule.spec.policy, port);
  const own = rule?.spec.subsets.find((candidate) => candidate.name === subset)?.policy ?? null;
  return withSectionHash(withDefaults(merged(wide, own, port), defaultPolicy), scope, host, port);
}

function merged(wide: EffectivePolicy | null, narrow: TrafficPolicy | null, port: number): EffectivePolicy | null {
  if (narrow === null) return wide;
  const both = {
    loadBalancer: narrow.loadBalancer ?? wide?.loadBalancer ?? null,
    connectionPool: narrow.connectionPool ?? wide?.connectionPool ?? null,
    outlier: narrow.outlier ?? wide?.outlier ?? null,
    tls: narrow.tls ?? wide?.tls ?? null,
    retryBudget: narrow.retryBudget ?? wide?.retryBudget ?? null,
    proxyProtocol: narrow.proxyProtocol ?? wide?.proxyProtocol ?? null,
  };
  const ofPort = narrow.ports.get(port);
  // A port's own settings do not inherit: what they leave out is the default (DestinationRule, portLevelSettings).
  return ofPort === undefined ? both : { ...both, ...ofPort };
}

/** MeshConfig.defaultTrafficPolicy, block by block. */
function withDefaults(
  policy: EffectivePolicy | null,
  { connectionPool, outlier }: MeshConfigSpec['defaultPolicy'],
): EffectivePolicy | null {
  if (connectionPool === null && outlier === null) return policy;
  return {
    loadBalancer: policy?.loadBalancer ?? null,
    connectionPool: policy?.connectionPool ?? connectionPool,
    outlier: policy?.outlier ?? outlier,
    tls: policy?.tls ?? null,
    retryBudget: policy?.retryBudget ?? null,
    proxyProtocol: policy?.proxyProtocol ?? null,
  };
}
