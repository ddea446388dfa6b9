// Shows what the comparison sees, for whoever works on one case:
//   node test/peer/show.ts [--side envoy|outrigger] [--all] [BOOTSTRAP [PART OF A CASE NAME]]
// With one side: every field, or (without --all) one line a case. With both: the unexplained differences.
import { parseArgs } from 'node:util';
import { ALLOWED_DIFFERENCES } from './allowed-differences.ts';
import { CASE_TABLES } from './case-tables.ts';
import { differences, formatDifferences, misfit, unexplained } from './comparison.ts';
import { observeAll, type Observation } from './observation.ts';
import { SIDE_NAMES, startSide, type SideName } from './side.ts';

const { values, positionals } = parseArgs({
  options: { side: { type: 'string' }, all: { type: 'boolean', default: false } },
  allowPositionals: true,
});
const [bootstrapWanted, nameWanted = ''] = positionals;
const sideNames: readonly SideName[] = SIDE_NAMES.filter((name) => values.side === undefined || values.side === name);
const bootstraps = Object.keys(CASE_TABLES).filter((name) => bootstrapWanted === undefined || name === bootstrapWanted);

let wrong = 0;
for (const bootstrap of bootstraps) {
  const seenBySide = await Promise.all(
    sideNames.map((side) =>
      runAll(side, bootstrap).catch((cause: unknown) => {
        process.stdout.write(`XX ${bootstrap}: ${side} failed: ${String(cause)}\n`);
        return new Map<string, Observation>();
      }),
    ),
  );
  for (const peerCase of CASE_TABLES[bootstrap] ?? []) {
    if (!peerCase.name.includes(nameWanted)) continue;
    const seen = seenBySide.map((observations) => observations.get(peerCase.name) ?? new Map<string, string>());
    const text = report(bootstrap, peerCase.name, seen);
    // What a case expects is said of the first side; the second is compared with it.
    const misfits = seen
      .slice(0, 1)
      .map((observation) => misfit(peerCase, observation))
      .filter((line) => line !== null);
    if (text.isWrong || misfits.length > 0) wrong++;
    process.stdout.write(`${misfits.length > 0 || text.isWrong ? 'XX' : 'ok'} ${bootstrap}: ${peerCase.name}\n`);
    for (const line of [...misfits, ...text.lines]) process.stdout.write(`   ${line.replaceAll('\n', '\n   ')}\n`);
  }
}
process.stdout.write(`${wrong} wrong\n`);
process.exit(wrong === 0 ? 0 : 1);

function report(bootstrap: string, name: string, seen: readonly Observation[]): { isWrong: boolean; lines: string[] } {
  const [one, two] = seen;
  const lines = values.all && one !== undefined ? [...one].map(([what, value]) => `${what} = ${value}`) : [];
  if (one === undefined || two === undefined) return { isWrong: false, lines };
  const left = unexplained(`${bootstrap}: ${name}`, differences(one, two), ALLOWED_DIFFERENCES, new Set());
  return { isWrong: left.length > 0, lines: left.length > 0 ? [...lines, formatDifferences(left)] : lines };
}

async function runAll(sideName: SideName, bootstrap: string): Promise<ReadonlyMap<string, Observation>> {
  const side = await startSide(sideName, bootstrap);
  const cases = (CASE_TABLES[bootstrap] ?? []).filter((peerCase) => peerCase.name.includes(nameWanted));
  return observeAll(side, cases).finally(() => side.stop());
}
