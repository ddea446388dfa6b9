// The work of `outrigger wait`: asks again and again, and says at the end what is missing.
import { setTimeout as sleep } from 'node:timers/promises';
import { formatProblem, refuses } from '../../base/problem.ts';
import { parseFile } from '../../config/parse.ts';
import type { Resource } from '../../config/resource.ts';
import { readRuleFiles } from '../rule-files.ts';
import type { WaitFlags } from '../wait.ts';
import { PageSource } from './control-pages.ts';
import { distributionOnPages, type Lookup } from './page-distribution.ts';
import { safeText } from './text-table.ts';

const EXIT_FAILED = 1;
const EXIT_USAGE = 64;
const EXIT_DATA = 65;
const SECONDS_MAX = 86_400;
const POLL_MS = 200;

export async function runWait(flags: WaitFlags): Promise<number> {
  const seconds = secondsOf(flags.timeout);
  if (flags.for !== 'distribution') return wrong(`--for "${flags.for}": write distribution`);
  if (!(seconds >= 0 && seconds <= SECONDS_MAX)) return wrong('--timeout takes seconds, or 30s, 5m, 1h; a day at most');
  const files = await readRuleFiles(flags.filename).catch((cause: unknown) =>
    cause instanceof Error ? cause.message : String(cause),
  );
  if (typeof files === 'string') return wrong(files);
  const parsed = files.map(({ file, text }) => parseFile(file, text));
  const problems = parsed.flatMap((file) => file.problems);
  if (refuses(problems)) {
    for (const problem of problems) if (problem.severity === 'error') say(formatProblem(problem));
    return EXIT_DATA;
  }
  const resources = parsed.flatMap((file) => file.resources);
  if (resources.length === 0) return wrong('there is no rule to wait for: write -f FILE, or a directory of rules');
  const lookup = await lookupOf(flags, resources);
  if (typeof lookup === 'string') return wrong(lookup);
  const code = await untilThere(lookup, resources.length, seconds * 1000);
  await lookup.close();
  return code;
}

/** As kubectl takes it, and without a unit; NaN: not at all. */
function secondsOf(text: string): number {
  const read = /^(\d+(?:\.\d+)?)(s|m|h|)$/.exec(text);
  const unit = { '': 1, s: 1, m: 60, h: 3600 }[read?.[2] ?? ''] ?? 1;
  return read === null ? Number.NaN : Number(read[1]) * unit;
}

async function lookupOf(flags: WaitFlags, resources: readonly Resource[]): Promise<Lookup | string> {
  if (flags.kube !== undefined) {
    const { distributionOnCluster } = await import('./cluster-distribution.ts');
    return await distributionOnCluster(flags, resources);
  }
  const pages = PageSource.at(flags.controlHttp);
  return pages === null
    ? `--control-http "${flags.controlHttp}" is not host:port`
    : distributionOnPages(pages, resources);
}

async function untilThere(lookup: Lookup, count: number, timeoutMs: number): Promise<number> {
  const startMs = performance.now();
  for (;;) {
    const missing = await lookup.missing();
    const tookMs = performance.now() - startMs;
    if (missing.length === 0) {
      say(`${count} rules are where they belong, after ${(tookMs / 1000).toFixed(1)} s`);
      return 0;
    }
    if (tookMs >= timeoutMs) {
      for (const line of missing) say(line);
      return EXIT_FAILED;
    }
    await sleep(Math.min(POLL_MS, timeoutMs - tookMs));
  }
}

function wrong(message: string): number {
  say(message);
  return EXIT_USAGE;
}

function say(message: string): void {
  process.stderr.write(`outrigger wait: ${safeText(message)}\n`);
}
