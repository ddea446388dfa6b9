// A real Envoy and our sidecar, started from the same bootstrap files and sent the same bytes, show
// the same to client and upstream. Cases are in cases/, differences that are meant in
// allowed-differences.ts, and `node test/peer/show.ts` shows one case at a time.
import { readdirSync } from 'node:fs';
import { beforeAll, describe, expect, test } from 'vitest';
import { ALLOWED_DIFFERENCES, type AllowedDifference } from './allowed-differences.ts';
import { CASE_TABLES } from './case-tables.ts';
import { differences, formatDifferences, misfit, unexplained } from './comparison.ts';
import { observeAll, type Observation } from './observation.ts';
import { BOOTSTRAPS, SIDE_NAMES, startSide, type SideName } from './side.ts';

const used = new Set<AllowedDifference>();
const NOTHING: Observation = new Map();
let casesCompared = 0;
const casesTotal = Object.values(CASE_TABLES).reduce((total, cases) => total + cases.length, 0);

describe.each(Object.entries(CASE_TABLES))('%s', (bootstrap, cases) => {
  const seen = new Map<SideName, ReadonlyMap<string, Observation>>();

  beforeAll(async () => {
    await Promise.all(
      SIDE_NAMES.map(async (name) => {
        const side = await startSide(name, bootstrap);
        seen.set(name, await observeAll(side, cases).finally(() => side.stop()));
      }),
    );
  });

  test.each(cases.map((peerCase) => [peerCase.name, peerCase] as const))('%s', (name, peerCase) => {
    casesCompared++;
    const envoy = seen.get('envoy')?.get(name) ?? NOTHING;
    const outrigger = seen.get('outrigger')?.get(name) ?? NOTHING;
    expect({ envoy: misfit(peerCase, envoy) }).toEqual({ envoy: null });
    const left = unexplained(`${bootstrap}: ${name}`, differences(envoy, outrigger), ALLOWED_DIFFERENCES, used);
    expect(formatDifferences(left)).toBe('');
  });
});

/** Bootstraps with tests of their own. */
const OWN_TESTS = ['charged-responses', 'ext-authz-grpc', 'limits', 'overload', 'rate-limit-service'];

describe('the comparison itself', () => {
  test('every bootstrap file has cases, and there are at least 15 files and 120 requests', () => {
    const files = readdirSync(BOOTSTRAPS).map((file) => file.replace(/\.yaml$/, ''));
    expect(files.toSorted()).toEqual([...Object.keys(CASE_TABLES), ...OWN_TESTS].toSorted());
    expect(files.length).toBeGreaterThanOrEqual(15);
    expect(casesTotal).toBeGreaterThanOrEqual(120);
  });

  test('case names are unique in their bootstrap', () => {
    for (const cases of Object.values(CASE_TABLES)) {
      expect(new Set(cases.map((peerCase) => peerCase.name)).size).toBe(cases.length);
    }
  });

  test('every allowed difference is still needed', () => {
    // Only a whole run can tell.
    if (casesCompared < casesTotal) return;
    expect(ALLOWED_DIFFERENCES.filter((entry) => !used.has(entry)).map((entry) => entry.reason)).toEqual([]);
  });
});
