// The policy of a ClusterLoadAssignment: defaults, each field, and what is refused.
import type { JsonObject } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import type { Problem } from '../../../src/base/problem.ts';
import { compileAssignmentPolicy, DEFAULT_POLICY } from '../../../src/resilience/assignment-policy.ts';
import { anAssignment } from './cluster-builders.ts';

function read(policy: JsonObject | null) {
  const problems: Problem[] = [];
  const assignment = anAssignment({ cluster_name: 'c', ...(policy === null ? {} : { policy }) });
  const compiled = compileAssignmentPolicy(assignment, problems, 'policy');
  return { compiled, problems: problems.map(({ severity, path, message }) => `${severity} ${path}: ${message}`) };
}

const drop = (numerator: number, denominator = 'HUNDRED', category = 'any') => ({
  category,
  drop_percentage: { numerator, denominator },
});

describe('the policy of an assignment', () => {
  it.each<{ readonly says: string; readonly given: JsonObject | null; readonly has: object }>([
    { says: 'has defaults without one', given: null, has: {} },
    { says: 'has defaults in an empty one', given: {}, has: {} },
    { says: 'reads the factor', given: { overprovisioning_factor: 120 }, has: { overprovisioningFactor: 120 } },
    { says: 'reads how health is measured', given: { weighted_priority_health: true }, has: { weighsHealth: true } },
    { says: 'reads a share to drop', given: { drop_overloads: [drop(25)] }, has: { dropShare: 0.25 } },
    { says: 'reads it in millionths', given: { drop_overloads: [drop(250_000, 'MILLION')] }, has: { dropShare: 0.25 } },
    {
      says: 'drops category after category',
      given: { drop_overloads: [drop(50), drop(50)] },
      has: { dropShare: 0.75 },
    },
  ])('$says', ({ given, has }) => {
    expect(read(given)).toEqual({ compiled: { ...DEFAULT_POLICY, ...has }, problems: [] });
  });

  it.each<{ readonly given: JsonObject; readonly problem: string }>([
    { given: { overprovisioning_factor: 0 }, problem: 'error policy.overprovisioning_factor: must be more than 0' },
    { given: { endpoint_stale_after: '5s' }, problem: 'warning policy.endpoint_stale_after: has no effect yet' },
    {
      given: { drop_overloads: [drop(101)] },
      problem: 'error policy.drop_overloads[0].drop_percentage: is more than everything',
    },
    {
      given: { drop_overloads: [drop(1, 'HUNDRED', '')] },
      problem: 'error policy.drop_overloads[0].category: must be set',
    },
  ])('says: $problem', ({ given, problem }) => {
    expect(read(given).problems).toEqual([problem]);
  });
});
