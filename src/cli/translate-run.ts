// The work of `outrigger translate`. Resources go to standard output, Problems to standard error. Exit
// codes: 0 printed, 64 wrong usage, 65 a rule was refused.
import { stringify } from 'yaml';
import { formatProblem } from '../base/problem.ts';
import { offlineNode, printedView, staticBootstrap, translateFiles } from '../control/offline.ts';
import { MESH_MODES } from '../control/mesh-node.ts';
import { readRuleFiles } from './rule-files.ts';
import type { TranslateFlags } from './translate.ts';

const EXIT_USAGE = 64;
const EXIT_DATA = 65;

export async function runTranslate(flags: TranslateFlags): Promise<number> {
  if (!['yaml', 'json'].includes(flags.output)) {
    process.stderr.write(`outrigger translate: "${flags.output}" is not an output; write yaml or json\n`);
    return EXIT_USAGE;
  }
  const mode = MESH_MODES.find((known) => known === flags.mode);
  if (mode === undefined) {
    process.stderr.write(`outrigger translate: "${flags.mode}" is not a mode; write ${MESH_MODES.join(' or ')}\n`);
    return EXIT_USAGE;
  }
  const files = await readRuleFiles(flags.filename).catch((cause: unknown) => {
    process.stderr.write(`outrigger translate: ${cause instanceof Error ? cause.message : String(cause)}\n`);
    return null;
  });
  if (files === null) return EXIT_USAGE;
  const node = offlineNode({
    service: flags.for,
    version: flags.version ?? '',
    apps: flags.app,
    mode,
    address: flags.address,
    isEnvoy: flags.envoy === true || flags.bootstrap === true,
    isMeshed: flags.meshed === true,
  });
  if (typeof node === 'string') {
    process.stderr.write(`outrigger translate: ${node}\n`);
    return EXIT_USAGE;
  }
  const { problems, viewOf } = translateFiles(files, { domain: flags.domain });
  for (const problem of problems) process.stderr.write(`${problem.severity}: ${formatProblem(problem)}\n`);
  const view = viewOf(node);
  const printed = flags.bootstrap === true ? staticBootstrap(view) : printedView(view);
  process.stdout.write(
    flags.output === 'json' ? `${JSON.stringify(printed, null, 2)}\n` : stringify(printed, { lineWidth: 0 }),
  );
  return problems.some((problem) => problem.severity === 'error') ? EXIT_DATA : 0;
}
