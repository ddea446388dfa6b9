// Every wire case, strictly judged, in every delivery. `npm run test:wire -- --list` prints them.
import { beforeAll, describe, expect, test } from 'vitest';
import { allCases } from './cases/all-cases.ts';
import { runCases, type CaseResult } from './cases/case-suite.ts';

const cases = allCases();
const results = new Map<string, CaseResult>();

beforeAll(async () => {
  for (const result of await runCases(cases)) results.set(result.case.name, result);
}, 240_000);

describe('wire cases', () => {
  test.each(cases.map(({ name }) => name))('%s', (name) => {
    const outcomes = results.get(name)?.outcomes ?? [];
    expect(outcomes.map(({ delivery }) => delivery)).toEqual(['one write', 'bytewise', 'cuts 1', 'cuts 2', 'glued']);
    expect(outcomes.filter(({ complaints }) => complaints.length > 0)).toEqual([]);
  });
});
