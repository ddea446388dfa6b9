// The work of `outrigger check`: the very parser and translation that the control service runs.
import { stringify } from 'yaml';
import { formatProblem } from '../base/problem.ts';
import { translateFiles } from '../control/offline.ts';
import type { CheckFlags } from './check.ts';
import { readRuleFiles } from './rule-files.ts';

const EXIT_FINDINGS = 1;
const EXIT_USAGE = 64;
const EXIT_DATA = 65;

export async function runCheck(paths: readonly string[], { output, domain }: CheckFlags): Promise<number> {
  if (!['table', 'json', 'yaml'].includes(output)) {
    process.stderr.write(`outrigger check: "${output}" is not an output; write table, json or yaml\n`);
    return EXIT_USAGE;
  }
  const files = await readRuleFiles(paths).catch((cause: unknown) => {
    process.stderr.write(`outrigger check: ${cause instanceof Error ? cause.message : String(cause)}\n`);
    return null;
  });
  if (files === null) return EXIT_USAGE;
  const { problems } = translateFiles(files, { domain });
  if (output === 'json') process.stdout.write(`${JSON.stringify(problems, null, 2)}\n`);
  else if (output === 'yaml') process.stdout.write(stringify(problems));
  else for (const problem of problems) process.stdout.write(`${problem.severity}: ${formatProblem(problem)}\n`);
  const errors = problems.filter((problem) => problem.severity === 'error').length;
  process.stderr.write(`${files.length} files, ${errors} errors, ${problems.length - errors} warnings\n`);
  if (errors > 0) return EXIT_DATA;
  return problems.length > 0 ? EXIT_FINDINGS : 0;
}
