// The work of `outrigger proxy-config`: finds the sidecar, asks it for its dump, prints the part that was asked for.
import type { ProxyConfigFlags } from '../proxy-config.ts';
import { PageSource, type Page } from './control-pages.ts';
import { isOutput, printData } from './output.ts';
import { DUMP_PARTS, partOf, tableOf, type DumpPart } from './proxy-dump.ts';
import { chooseRow, readSyncRows } from './sync-rows.ts';
import { safeText, tableText } from './text-table.ts';

const EXIT_FAILED = 1;
const EXIT_USAGE = 64;

export async function runProxyConfig(node: string, given: string, flags: ProxyConfigFlags): Promise<number> {
  const { controlHttp, admin, output } = flags;
  // With --admin the only argument is the part.
  const name = admin !== '' && given === 'all' && node !== '' ? node : given;
  const parts = name === 'all' ? DUMP_PARTS : DUMP_PARTS.filter((part) => part === name);
  if (parts.length === 0) return wrong(`"${name}": write one of ${DUMP_PARTS.join(', ')}, all`, EXIT_USAGE);
  if (!isOutput(output)) return wrong(`"${output}" is not an output; write table, json or yaml`, EXIT_USAGE);
  const pages = PageSource.at(admin === '' ? controlHttp : admin);
  if (pages === null) return wrong(`"${admin === '' ? controlHttp : admin}" is not host:port`, EXIT_USAGE);
  if (admin === '' && node === '') return wrong('write which node, or --admin', EXIT_USAGE);
  const source = admin === '' ? await proxyOf(pages, node) : pages;
  if (typeof source === 'string') return wrong(source, EXIT_FAILED);
  const read = await readParts(source, parts);
  if (read.kind === 'failed') return wrong(read.message, EXIT_FAILED);
  if (output !== 'table')
    printData(
      parts.length === 1
        ? read.value[0]?.entries
        : Object.fromEntries(read.value.map(({ part, entries }) => [part, entries])),
      output,
    );
  else
    process.stdout.write(read.value.map(({ part, entries }) => textOfPart(part, entries, parts.length > 1)).join('\n'));
  return 0;
}

async function proxyOf(pages: PageSource, node: string): Promise<PageSource | string> {
  const page = await pages.json('/debug/syncz');
  if (page.kind === 'failed') return page.message;
  const row = chooseRow(readSyncRows(page.value), node);
  return typeof row === 'string' ? row : pages.proxy(row.nodeId);
}

interface ReadPart {
  readonly part: DumpPart;
  readonly entries: readonly unknown[];
}

async function readParts(source: PageSource, parts: readonly DumpPart[]): Promise<Page<readonly ReadPart[]>> {
  const pages = new Map<string, unknown>();
  for (const path of parts.some((part) => part !== 'endpoints')
    ? ['/config_dump', '/clusters?format=json']
    : ['/clusters?format=json']) {
    const page = await source.json(path);
    if (page.kind === 'failed') return page;
    pages.set(path, page.value);
  }
  const dump = pages.get('/config_dump');
  const clusters = pages.get('/clusters?format=json');
  return { kind: 'done', value: parts.map((part) => ({ part, entries: partOf(part, { dump, clusters }) })) };
}

function textOfPart(part: DumpPart, entries: readonly unknown[], isTitled: boolean): string {
  const { headings, rows } = tableOf(part, entries);
  return `${isTitled ? `${part}\n` : ''}${tableText(headings, rows)}`;
}

function wrong(message: string, code: number): number {
  process.stderr.write(`outrigger proxy-config: ${safeText(message)}\n`);
  return code;
}
