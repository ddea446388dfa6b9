// The work of `outrigger bug-report`: what can be had is put in, and what cannot is named in `missing.txt`. Nothing goes in
// that has not been through the redaction.
import { readFile, writeFile } from 'node:fs/promises';
import type { BugReportFlags } from '../bug-report.ts';
import { readRuleFiles } from '../rule-files.ts';
import { archiveOf, namePart } from './archive.ts';
import { PageSource } from './control-pages.ts';
import { redacted, redactedRules } from './redaction.ts';
import { readSyncRows } from './sync-rows.ts';
import { safeText } from './text-table.ts';

const EXIT_FAILED = 1;
const EXIT_USAGE = 64;
const CONTROL_PAGES = ['/ready', '/metrics', '/debug/syncz', '/debug/problems', '/debug/rules', '/debug/registry'];
const PROXY_PAGES = [
  '/ready',
  '/server_info',
  '/config_dump',
  '/clusters',
  '/listeners',
  '/certs',
  '/stats',
  '/memory',
];
const PROXIES_MAX = 50;
const ROOT = 'outrigger-bug-report';

export async function runBugReport(flags: BugReportFlags): Promise<number> {
  const pages = PageSource.at(flags.controlHttp);
  if (pages === null) return say(`--control-http "${flags.controlHttp}" is not host:port`, EXIT_USAGE);
  const files = new Map<string, string>();
  const missing: string[] = [];
  const take = async (source: PageSource, folder: string, paths: readonly string[]): Promise<void> => {
    for (const path of paths) {
      const page = await source.text(path);
      if (page.kind === 'done') files.set(`${ROOT}/${folder}/${namePart(path.slice(1))}.txt`, redacted(page.value));
      else missing.push(`${folder}${path}: ${redacted(page.message)}`);
    }
  };
  files.set(`${ROOT}/versions.txt`, `outrigger 0.1.0\nnode ${process.version}\n${process.platform} ${process.arch}\n`);
  await take(pages, 'control', CONTROL_PAGES);
  const sync = await pages.json('/debug/syncz');
  const rows = sync.kind === 'done' ? readSyncRows(sync.value) : [];
  for (const [index, { nodeId, name }] of rows.slice(0, PROXIES_MAX).entries())
    await take(pages.proxy(nodeId), `proxies/${index}-${namePart(name)}`.slice(0, 50), PROXY_PAGES);
  if (rows.length > PROXIES_MAX) missing.push(`${rows.length - PROXIES_MAX} more sidecars`);
  const given = await readGiven(flags).catch((cause: unknown) =>
    cause instanceof Error ? cause : new Error(String(cause)),
  );
  if (given instanceof Error) return say(given.message, EXIT_USAGE);
  for (const [name, text] of given) files.set(`${ROOT}/${name}`, text);
  files.set(`${ROOT}/missing.txt`, missing.map((line) => `${safeText(line)}\n`).join(''));
  try {
    await writeFile(flags.output, archiveOf(files, Date.now()), { mode: 0o600 });
  } catch (cause) {
    return say(cause instanceof Error ? cause.message : String(cause), EXIT_FAILED);
  }
  return say(`${flags.output}: ${files.size} files, ${missing.length} pages could not be had`, 0);
}

/** Rules and logs that were named. Throws when one cannot be read. */
async function readGiven({ filename, log }: BugReportFlags): Promise<readonly (readonly [string, string])[]> {
  const rules = await readRuleFiles(filename);
  const logs = await Promise.all(log.map(async (file) => [file, await readFile(file, 'utf8')] as const));
  return [
    ...rules.map(
      ({ file, text }, index) => [`rules/${index}-${namePart(file.slice(-40))}.yaml`, redactedRules(text)] as const,
    ),
    ...logs.map(([file, text], index) => [`logs/${index}-${namePart(file.slice(-40))}.txt`, redacted(text)] as const),
  ];
}

function say(message: string, code: number): number {
  process.stderr.write(`outrigger bug-report: ${safeText(message)}\n`);
  return code;
}
