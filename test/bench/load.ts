// Puts load on a port with wrk for a while, and reads what the kernel says the proxy used meanwhile.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { realPart } from '../support/real-parts.ts';
import type { BenchCase } from './bench-case.ts';
import { BENCH_FOLDER, LOAD_CORE, startPinned, type BenchProcess } from './bench-process.ts';
import { usageOf } from '../support/process-usage.ts';

export interface Measurement {
  readonly requests: number;
  /** Connect, read, write and timeout errors, and answers of 400 or more. */
  readonly errors: number;
  readonly seconds: number;
  readonly cpuSeconds: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** The most seen while the load ran. */
  readonly residentBytes: number;
  readonly residentPeakBytes: number;
}

const SAMPLE_MS = 250;

/** wrk's script: the requests of a case, and its figures as one line of JSON. */
export async function writeLoadScript(benchCase: BenchCase): Promise<string> {
  const { path, method, bodyBytes, closes, headers } = benchCase;
  const lines = [
    `wrk.method = "${method}"`,
    ...(bodyBytes > 0 ? [`wrk.body = string.rep("x", ${bodyBytes})`] : []),
    ...Object.entries(headers).map(([name, value]) => `wrk.headers["${name}"] = "${value}"`),
    ...(closes ? ['wrk.headers["Connection"] = "close"'] : []),
    ...(typeof path === 'string' ? [] : requestsAtRandom(path.services)),
    'function done(summary, latency, requests)',
    '  local e = summary.errors',
    '  io.write(string.format(\'\\nJSON{"requests":%d,"errors":%d,"microseconds":%d,"p50":%f,"p99":%f}\\n\',',
    '    summary.requests, e.connect + e.read + e.write + e.status + e.timeout, summary.duration,',
    '    latency:percentile(50), latency:percentile(99)))',
    'end',
  ];
  const file = join(BENCH_FOLDER, `${benchCase.name}.lua`);
  await writeFile(file, `${lines.join('\n')}\n`);
  return file;
}

/** Requests are formatted once, so that picking one costs the client little. */
function requestsAtRandom(services: number): readonly string[] {
  return [
    'local all = {}',
    'function init(args)',
    `  for i = 1, ${services} do all[i] = wrk.format(nil, "/service-" .. (i - 1) .. "/items") end`,
    'end',
    `function request() return all[math.random(${services})] end`,
  ];
}

export async function measure(
  proxy: BenchProcess,
  benchCase: BenchCase,
  script: string,
  seconds: number,
): Promise<Measurement> {
  const target = `http://127.0.0.1:${proxy.port}${typeof benchCase.path === 'string' ? benchCase.path : '/'}`;
  const before = usageOf(proxy.child.pid);
  let residentBytes = before.residentBytes;
  const sampler = setInterval(() => {
    residentBytes = Math.max(residentBytes, usageOf(proxy.child.pid).residentBytes);
  }, SAMPLE_MS);
  const flags = ['-t', '1', '-c', String(benchCase.connections), '-d', `${seconds}s`, '--timeout', '10s', '-s', script];
  const load = startPinned(LOAD_CORE, realPart('wrk'), [...flags, target]);
  await load.exited;
  clearInterval(sampler);
  const after = usageOf(proxy.child.pid);
  const figures = parseFigures(load.output());
  if (figures('requests') === 0) {
    throw new Error(`${benchCase.name}: no request was answered\n${load.output()}\n${proxy.child.output()}`);
  }
  return {
    requests: figures('requests'),
    errors: figures('errors'),
    seconds: figures('microseconds') / 1e6,
    cpuSeconds: after.cpuSeconds - before.cpuSeconds,
    p50Ms: figures('p50') / 1000,
    p99Ms: figures('p99') / 1000,
    residentBytes: Math.max(residentBytes, after.residentBytes),
    residentPeakBytes: after.residentPeakBytes,
  };
}

function parseFigures(output: string): (name: string) => number {
  const line = output.split('\n').find((candidate) => candidate.startsWith('JSON{'));
  const figures: unknown = line === undefined ? null : JSON.parse(line.slice('JSON'.length));
  return (name) => {
    const value: unknown = typeof figures === 'object' && figures !== null ? Reflect.get(figures, name) : undefined;
    if (typeof value !== 'number') throw new Error(`wrk gave no ${name}:\n${output}`);
    return value;
  };
}
