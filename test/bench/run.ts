// The benchmark: our sidecar, Envoy, nginx, haproxy and http-proxy in one run, on the same upstream with
// the same client, in interleaved rounds. The method is described in docs/benchmarks.md.
//   npm run bench -- [--case NAME]… [--proxies a,b] [--rounds N] [--seconds S] [--json FILE] [--check]
import { execFileSync } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { cpus, release, totalmem } from 'node:os';
import { parseArgs } from 'node:util';
import { realPart } from '../support/real-parts.ts';
import { BENCH_CASES, PROXY_NAMES, type BenchCase, type ProxyName } from './bench-case.ts';
import { BENCH_FOLDER, startCollector, startProxy, startUpstream, type BenchProcess } from './bench-process.ts';
import { formatVerdict, judge } from './bench-bounds.ts';
import { formatReport, summarize, type Round } from './bench-report.ts';
import { measure, writeLoadScript } from './load.ts';

const { values } = parseArgs({
  options: {
    case: { type: 'string', multiple: true },
    proxies: { type: 'string', default: PROXY_NAMES.join(',') },
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '3' },
    warmup: { type: 'string', default: '3' },
    json: { type: 'string' },
    check: { type: 'boolean', default: false },
  },
});
const rounds = Number(values.rounds);
const seconds = Number(values.seconds);
const warmupSeconds = Number(values.warmup);
const wanted = values.proxies.split(',');
const proxies = PROXY_NAMES.filter((name) => wanted.includes(name));
const cases = BENCH_CASES.filter(({ name }) => values.case === undefined || values.case.includes(name));
const strangers = [
  ...wanted.filter((name) => !PROXY_NAMES.some((known) => known === name)),
  ...(values.case ?? []).filter((name) => !BENCH_CASES.some((known) => known.name === name)),
];
if (strangers.length > 0 || !(rounds >= 1) || !(seconds >= 1) || !(warmupSeconds >= 1)) {
  process.stderr.write(`bench: what is ${strangers.join(', ') || 'that number'}?\n`);
  process.stderr.write(`cases: ${BENCH_CASES.map(({ name }) => name).join(' ')}; proxies: ${PROXY_NAMES.join(' ')}\n`);
  process.exit(64);
}

await mkdir(BENCH_FOLDER, { recursive: true });
const upstream = await startUpstream();
const results: { name: string; rounds: readonly Round[]; summaries: unknown }[] = [];
for (const benchCase of cases) {
  const measured = await runCase(benchCase);
  process.stdout.write(`${formatReport(benchCase, measured, proxies)}\n`);
  results.push({
    name: benchCase.name,
    rounds: measured,
    summaries: proxies.map((proxy) => summarize(measured, proxy)).filter((summary) => summary !== null),
  });
}
await upstream.child.stop();
if (values.json !== undefined) {
  const report = { machine: machine(), rounds, seconds, warmupSeconds, cases: results };
  await writeFile(values.json, `${JSON.stringify(report, null, 2)}\n`);
}

if (values.check) {
  const verdicts = results.flatMap(({ name, rounds: measured }) => judge(name, measured));
  process.stdout.write(`${verdicts.map(formatVerdict).join('\n')}\n`);
  if (verdicts.some(({ isKept }) => !isKept)) process.exitCode = 1;
}

/** Every proxy of the case is started and warmed up; then each round gives every one of them its turn. */
async function runCase(benchCase: BenchCase): Promise<readonly Round[]> {
  const script = await writeLoadScript(benchCase);
  const running = new Map<ProxyName, BenchProcess>();
  const collector = benchCase.isTraced ? await startCollector() : null;
  const peers = {
    upstreamPort: benchCase.isMutual ? upstream.secure.port : upstream.port,
    certificates: benchCase.isMutual ? upstream.secure.certificates : null,
    collectorPort: collector?.port ?? null,
  };
  const measured: Round[] = [];
  try {
    for (const name of proxies.filter((proxy) => benchCase.proxies.includes(proxy))) {
      running.set(name, await startProxy(name, benchCase, peers));
    }
    for (const proxy of running.values()) await measure(proxy, benchCase, script, warmupSeconds);
    for (let round = 0; round < rounds; round++) {
      const figures: Partial<Record<ProxyName, Awaited<ReturnType<typeof measure>>>> = {};
      for (const [name, proxy] of rotated([...running], round))
        figures[name] = await measure(proxy, benchCase, script, seconds);
      measured.push(figures);
      process.stderr.write(`bench: ${benchCase.name}: round ${round + 1} of ${rounds}\n`);
    }
  } finally {
    for (const { child, front } of running.values()) await Promise.all([child.stop(), front?.stop()]);
    await collector?.child.stop();
  }
  return measured;
}

/** Each round begins with another proxy, so that none always follows the same one. */
function rotated<T>(items: readonly T[], by: number): readonly T[] {
  const start = by % Math.max(items.length, 1);
  return [...items.slice(start), ...items.slice(0, start)];
}

function versionOf(part: 'envoy' | 'nginx' | 'haproxy', flag: string): string {
  const output = execFileSync('sh', ['-c', `"${realPart(part)}" ${flag} 2>&1`], { encoding: 'utf8' });
  return output.trim().split('\n')[0] ?? '';
}

function machine(): Readonly<Record<string, string | number>> {
  return {
    processor: cpus()[0]?.model ?? '',
    cores: cpus().length,
    memoryMebibytes: Math.round(totalmem() / 1024 / 1024),
    kernel: release(),
    node: process.version,
    envoy: versionOf('envoy', '--version | grep -v ^$'),
    nginx: versionOf('nginx', '-v'),
    haproxy: versionOf('haproxy', '-v'),
  };
}
