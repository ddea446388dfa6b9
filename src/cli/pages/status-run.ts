// The work of `outrigger status`.
import type { StatusFlags } from '../status.ts';
import { PageSource } from './control-pages.ts';
import { isOutput, printData } from './output.ts';
import { chooseRow, isInSync, readSyncRows, type SyncRow, type SyncType } from './sync-rows.ts';
import { safeText, tableText } from './text-table.ts';

const EXIT_FAILED = 1;
const EXIT_USAGE = 64;
const TYPES = ['CDS', 'LDS', 'EDS', 'RDS', 'VHDS', 'SDS'];

export async function runStatus(wanted: string, { controlHttp, output }: StatusFlags): Promise<number> {
  const pages = PageSource.at(controlHttp);
  if (pages === null) return wrong(`--control-http "${controlHttp}" is not host:port`, EXIT_USAGE);
  if (!isOutput(output)) return wrong(`"${output}" is not an output; write table, json or yaml`, EXIT_USAGE);
  const page = await pages.json('/debug/syncz');
  if (page.kind === 'failed') return wrong(page.message, EXIT_FAILED);
  const all = readSyncRows(page.value);
  const chosen = wanted === '' ? all : chooseRow(all, wanted);
  if (typeof chosen === 'string') return wrong(chosen, EXIT_FAILED);
  const rows = 'nodeId' in chosen ? [chosen] : chosen;
  if (output !== 'table') printData(rows, output);
  else process.stdout.write(wanted === '' ? overview(rows) : rows.map(details).join(''));
  const late = rows.filter((row) => !isInSync(row)).length;
  process.stderr.write(`${rows.length} connected, ${late} not in sync\n`);
  return late > 0 ? EXIT_FAILED : 0;
}

function overview(rows: readonly SyncRow[]): string {
  const table = tableText(
    ['NODE', ...TYPES],
    rows.map(({ name, types }) => [name, ...TYPES.map((type) => stateOf(types, type))]),
  );
  const words = rows.flatMap(({ name, types }) =>
    types
      .filter(({ lastError }) => lastError !== '')
      .map((type) => `${name} refused ${type.name} ${type.sentVersion}: ${type.lastError}`),
  );
  return table + words.map((line) => `${safeText(line)}\n`).join('');
}

function details({ nodeId, name, protocol, types }: SyncRow): string {
  const table = tableText(
    ['TYPE', 'STATE', 'SENT', 'ACKED', 'REFUSED BECAUSE'],
    types.map((type) => [type.name, type.state, type.sentVersion, type.ackedVersion, type.lastError]),
  );
  return `${safeText(`${name} (${nodeId}, ${protocol})`)}\n${table}`;
}

function stateOf(types: readonly SyncType[], name: string): string {
  return types.find((type) => type.name === name)?.state ?? '-';
}

function wrong(message: string, code: number): number {
  process.stderr.write(`outrigger status: ${safeText(message)}\n`);
  return code;
}
