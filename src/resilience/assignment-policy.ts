// The policy of a ClusterLoadAssignment: how much of a priority may be out before the next one helps, and
// what share of the traffic is dropped. It comes with the endpoints and is replaced with them.
// Source: Envoy ClusterLoadAssignment.Policy.
import { error, warning, type Problem } from '../base/problem.ts';
import type { ClusterLoadAssignment } from '../xds/gen/envoy/config/endpoint/v3/endpoint_pb.js';
import { FractionalPercent_DenominatorType as Denominator } from '../xds/gen/envoy/type/v3/percent_pb.js';

export interface AssignmentPolicy {
  /** In percent; 140 by default: a priority is whole while 1 / 1.4 of its endpoints are healthy. */
  readonly overprovisioningFactor: number;
  /** True: health is measured by the endpoints' weights, not by their number. */
  readonly weighsHealth: boolean;
  /** The share of requests that are answered 503 at once, 0 to 1 (drop_overloads). */
  readonly dropShare: number;
}

export const DEFAULT_POLICY: AssignmentPolicy = Object.freeze({
  overprovisioningFactor: 140,
  weighsHealth: false,
  dropShare: 0,
});

/** Never null: what is wrong is a Problem, and its default stands. */
export function compileAssignmentPolicy(
  { policy }: ClusterLoadAssignment,
  problems: Problem[],
  path: string,
): AssignmentPolicy {
  if (policy === undefined) return DEFAULT_POLICY;
  const { overprovisioningFactor = DEFAULT_POLICY.overprovisioningFactor } = policy;
  if (overprovisioningFactor === 0) problems.push(error(`${path}.overprovisioning_factor`, 'must be more than 0'));
  if (policy.endpointStaleAfter !== undefined) {
    problems.push(warning(`${path}.endpoint_stale_after`, 'has no effect yet'));
  }
  let passing = 1;
  for (const [index, { category, dropPercentage }] of policy.dropOverloads.entries()) {
    const at = `${path}.drop_overloads[${index}]`;
    if (category === '') problems.push(error(`${at}.category`, 'must be set', 'write a name'));
    const share = (dropPercentage?.numerator ?? 0) / denominatorOf(dropPercentage?.denominator);
    if (share > 1) problems.push(error(`${at}.drop_percentage`, 'is more than everything', 'write at most 100 %'));
    passing *= 1 - Math.min(1, share);
  }
  return Object.freeze({
    overprovisioningFactor,
    weighsHealth: policy.weightedPriorityHealth,
    dropShare: 1 - passing,
  });
}

function denominatorOf(denominator: Denominator | undefined): number {
  switch (denominator) {
    case Denominator.TEN_THOUSAND:
      return 10_000;
    case Denominator.MILLION:
      return 1_000_000;
    default:
      return 100;
  }
}
