// A gRPC authorization service is asked the same by Envoy and by our sidecar, and what it answers does the same.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ALLOWED_DIFFERENCES } from './allowed-differences.ts';
import { AuthorizationServer } from './authorization-server.ts';
import { AUTHORIZATION_ANSWERS, AUTHORIZATION_CASES } from './cases/ext-authz-grpc-cases.ts';
import { differences, formatDifferences, misfit, unexplained } from './comparison.ts';
import { observeAll, type Observation } from './observation.ts';
import { SIDE_NAMES, startSide, type Side, type SideName } from './side.ts';

const sides: Side[] = [];
const servers = new Map<SideName, AuthorizationServer>();
const seen = new Map<SideName, ReadonlyMap<string, Observation>>();
/** Of each side: what was counted for the clusters that the requests were for. */
const counted = new Map<SideName, readonly string[]>();
const NOTHING: Observation = new Map();

beforeAll(async () => {
  await Promise.all(
    SIDE_NAMES.map(async (name) => {
      const side = await startSide(name, 'ext-authz-grpc');
      sides.push(side);
      servers.set(name, await AuthorizationServer.start(side.ports.get('closed') ?? 0, AUTHORIZATION_ANSWERS));
      seen.set(name, await observeAll(side, AUTHORIZATION_CASES));
      counted.set(name, await countsForClusters(side));
    }),
  );
});

afterAll(async () => {
  for (const server of servers.values()) server.stop();
  await Promise.all(sides.map((side) => side.stop()));
});

/** Without those that are 0: Envoy makes them when they are first counted. */
async function countsForClusters(side: Side): Promise<readonly string[]> {
  const response = await fetch(`http://127.0.0.1:${side.ports.get('admin') ?? 0}/stats`);
  const lines = (await response.text()).split('\n');
  return lines.filter((line) => /^cluster\.[^.]+\.ext_authz\..+: [1-9]/.test(line)).toSorted();
}

describe('a gRPC authorization service', () => {
  test.each(AUTHORIZATION_CASES.map((peerCase) => [peerCase.name, peerCase] as const))('%s', (name, peerCase) => {
    const envoy = seen.get('envoy')?.get(name) ?? NOTHING;
    const outrigger = seen.get('outrigger')?.get(name) ?? NOTHING;
    expect({ envoy: misfit(peerCase, envoy) }).toEqual({ envoy: null });
    const left = unexplained(`ext-authz-grpc: ${name}`, differences(envoy, outrigger), ALLOWED_DIFFERENCES, new Set());
    expect(formatDifferences(left)).toBe('');
    expect(servers.get('outrigger')?.asked.get(name)).toEqual(servers.get('envoy')?.asked.get(name));
  });

  test('is counted for the clusters that requests were for, as Envoy counts it', () => {
    const envoy = counted.get('envoy') ?? [];
    expect(envoy.map((line) => line.replace(/: .*/, ''))).toEqual(
      expect.arrayContaining(['ok', 'denied', 'error', 'invalid'].map((name) => `cluster.a.ext_authz.${name}`)),
    );
    expect(counted.get('outrigger')).toEqual(envoy);
  });
});
