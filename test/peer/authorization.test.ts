// The same AuthorizationPolicies, by our translation, in a real Envoy and in our sidecar: they agree request for request.
import { beforeAll, describe, expect, test } from 'vitest';
import { ALLOWED_DIFFERENCES } from './allowed-differences.ts';
import { startPolicies } from './authorization-side.ts';
import { POLICY_CASES, TCP_POLICY_CASES } from './cases/authorization-cases.ts';
import { TOKEN_POLICY_CASES } from './cases/authorization-token-cases.ts';
import { differences, formatDifferences, misfit, unexplained } from './comparison.ts';
import { observeAll, type Observation } from './observation.ts';
import { SIDE_NAMES, type SideName } from './side.ts';

const NOTHING: Observation = new Map();
const SETS = [...POLICY_CASES, ...TCP_POLICY_CASES, ...TOKEN_POLICY_CASES];
const CASES = SETS.flatMap(({ requests }) => requests);

describe('AuthorizationPolicy', () => {
  const seen = new Map<SideName, ReadonlyMap<string, Observation>>();

  beforeAll(async () => {
    await Promise.all(
      SIDE_NAMES.map(async (name) => {
        const side = await startPolicies(name, SETS, 'authorization');
        seen.set(name, await observeAll(side, CASES).finally(() => side.stop()));
      }),
    );
  });

  test('there are at least 150 pairs of a policy and a request', () => {
    expect(new Set(CASES.map(({ name }) => name)).size).toBe(CASES.length);
    expect(CASES.length).toBeGreaterThanOrEqual(150);
  });

  test.each(CASES.map((peerCase) => [peerCase.name, peerCase] as const))('%s', (name, peerCase) => {
    const envoy = seen.get('envoy')?.get(name) ?? NOTHING;
    const outrigger = seen.get('outrigger')?.get(name) ?? NOTHING;
    expect({ envoy: misfit(peerCase, envoy) }).toEqual({ envoy: null });
    const left = unexplained(`authorization: ${name}`, differences(envoy, outrigger), ALLOWED_DIFFERENCES, new Set());
    expect(formatDifferences(left)).toBe('');
  });
});
