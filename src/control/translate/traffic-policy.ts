// Which traffic policy holds for a subset and a port of a host: the port's settings replace the subset's
// section by section, and the subset's replace the host's (Istio: MergeSubsetTrafficPolicy).
import type { TrafficPolicy } from '../../config/destination-rule.ts';
import type { DestinationRule } from '../../config/resource.ts';

export function policyFor(rule: DestinationRule | null, subset: string, port: number): TrafficPolicy | null {
  if (rule === null) return null;
  const own = rule.spec.subsets.find((candidate) => candidate.name === subset)?.policy ?? null;
  return atPort(merged(rule.spec.policy, own), port);
}

function merged(wide: TrafficPolicy | null, narrow: TrafficPolicy | null): TrafficPolicy | null {
  if (wide === null || narrow === null) return narrow ?? wide;
  return {
    loadBalancer: narrow.loadBalancer ?? wide.loadBalancer,
    connectionPool: narrow.connectionPool ?? wide.connectionPool,
    outlier: narrow.outlier ?? wide.outlier,
    tls: narrow.tls ?? wide.tls,
    ports: narrow.ports.size > 0 ? narrow.ports : wide.ports,
  };
}

/** A port's own settings do not inherit: what they leave out is the default (DestinationRule, portLevelSettings). */
function atPort(policy: TrafficPolicy | null, port: number): TrafficPolicy | null {
  return policy?.ports.get(port) ?? policy;
}
