// The work of `outrigger check`: the very parser and translation that the control service runs.
import { stringify } from 'yaml';
import { createLog } from '../base/log.ts';
import { formatProblem } from '../base/problem.ts';
import { parseFile, type ParsedFile } from '../config/parse.ts';
import { resourceKey } from '../config/resource.ts';
import { translateParsed } from '../control/offline.ts';
import type { CheckFlags } from './check.ts';
import { clusterOf, type Cluster } from './kube-flags.ts';
import { readRuleFiles } from './rule-files.ts';

const EXIT_FINDINGS = 1;
const EXIT_FAILED = 1;
const EXIT_USAGE = 64;
const EXIT_DATA = 65;

export async function runCheck(paths: readonly string[], flags: CheckFlags): Promise<number> {
  const { output, domain } = flags;
  if (!['table', 'json', 'yaml'].includes(output))
    return wrong(`"${output}" is not an output; write table, json or yaml`, EXIT_USAGE);
  if (paths.length === 0 && flags.kube === undefined) return wrong('write which files, or --kube', EXIT_USAGE);
  const files = await readRuleFiles(paths).catch((cause: unknown) =>
    cause instanceof Error ? cause.message : String(cause),
  );
  if (typeof files === 'string') return wrong(files, EXIT_USAGE);
  const parsed = files.map(({ file, text }) => [file, parseFile(file, text)] as const);
  const log = createLog('check', 'warning');
  const cluster = await clusterOf(flags, 'outrigger-cli', log);
  if (typeof cluster === 'string') return wrong(cluster, EXIT_USAGE);
  const live = cluster === null ? [] : await liveRules(cluster, parsed);
  if (typeof live === 'string') return wrong(live, EXIT_FAILED);
  const { problems } = translateParsed([...parsed, ...live], { domain });
  if (output === 'json') process.stdout.write(`${JSON.stringify(problems, null, 2)}\n`);
  else if (output === 'yaml') process.stdout.write(stringify(problems));
  else for (const problem of problems) process.stdout.write(`${problem.severity}: ${formatProblem(problem)}\n`);
  const errors = problems.filter((problem) => problem.severity === 'error').length;
  process.stderr.write(
    `${files.length} files${cluster === null ? '' : `, ${live.length} objects`}, ${errors} errors, ${problems.length - errors} warnings\n`,
  );
  if (errors > 0) return EXIT_DATA;
  return problems.length > 0 ? EXIT_FINDINGS : 0;
}

async function liveRules(
  cluster: Cluster,
  parsed: readonly (readonly [string, ParsedFile])[],
): Promise<readonly (readonly [string, ParsedFile])[] | string> {
  const { readClusterRules } = await import('./pages/cluster-rules.ts');
  // What files have stands in for what the cluster has, as applying them would.
  const replaced = new Set(
    parsed.flatMap(([, { resources, refused }]) => [
      ...resources.map(({ kind, meta }) => resourceKey(kind, meta)),
      ...refused.filter((key) => key !== null),
    ]),
  );
  const read = await readClusterRules(cluster, replaced);
  await cluster.client.close();
  if (read.kind === 'failed') return read.message;
  for (const line of read.skipped) process.stderr.write(`outrigger check: not looked at: ${line}\n`);
  return read.rules;
}

function wrong(message: string, code: number): number {
  process.stderr.write(`outrigger check: ${message}\n`);
  return code;
}
