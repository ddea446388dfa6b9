// Runs the wire cases from the command line, in every delivery. `npm run test:wire` prints what fails and
// the counts; `npm run test:wire -- --list` prints the whole table: each case with its side, what we do, the
// source, the choice we made, and pass or FAIL for each delivery. Words after the options filter by name.
import { runCases, type CaseResult } from './cases/case-suite.ts';
import { allCases } from './cases/all-cases.ts';

const words = process.argv.slice(2).filter((word) => !word.startsWith('--'));
const isList = process.argv.includes('--list');
const cases = allCases().filter(({ name }) => words.length === 0 || words.some((word) => name.includes(word)));
const startedMs = performance.now();
const results = await runCases(cases);
const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);

function choiceOf({ case: { expect } }: CaseResult): string {
  const action = expect.action === 'forward' ? `forward${expect.status === undefined ? '' : ` ${expect.status}`}` : '';
  const refused =
    expect.action === 'reject' ? `refuse ${expect.status ?? 502}${expect.abort === true ? ' or cut' : ''}` : '';
  return action + refused;
}

if (isList) {
  for (const result of results) {
    const { name, side, expect } = result.case;
    const marks = result.outcomes.map(
      ({ delivery, complaints }) => `${delivery}: ${complaints.length === 0 ? 'pass' : 'FAIL'}`,
    );
    console.log(
      `${name}\n    ${side}, ${choiceOf(result)}; ${expect.level}, ${expect.source}\n    ${expect.note}\n    ${marks.join(', ')}`,
    );
  }
}
let failed = 0;
for (const { case: one, outcomes } of results) {
  const bad = outcomes.filter(({ complaints }) => complaints.length > 0);
  if (bad.length === 0) continue;
  failed++;
  for (const { delivery, complaints } of bad) console.log(`FAIL ${one.name} (${delivery}): ${complaints.join('; ')}`);
}
const deliveries = results[0]?.outcomes.length ?? 0;
console.log(
  `${results.length} cases in ${deliveries} deliveries: ${results.length - failed} pass, ${failed} fail (${seconds} s)`,
);
process.exitCode = failed === 0 ? 0 : 1;
