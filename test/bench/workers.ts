// `node test/bench/workers.ts [--seconds N] [--rounds N]`: one worker beside two, in turns: CPU per request of the whole
// process, and how two workers share connections and requests. Exit code 1 when a worker carries less than 40 % or
// more than 60 %, or when two workers cost more than 1.10 of one. Needs the real programs (npm run realparts), and a
// machine with little else to do: with less than a core for each worker, the scheduler decides who answers more.
import { execFile } from 'node:child_process';
import { parseArgs, promisify } from 'node:util';
import { SidecarFolder } from '../e2e/sidecar-process.ts';
import { freePorts } from '../support/free-port.ts';
import { usageOf } from '../support/process-usage.ts';
import { realPart } from '../support/real-parts.ts';
import { startUpstream } from './bench-process.ts';

const CONNECTIONS = 32;
const COST_MAX = 1.1;
const SHARE_MIN = 0.4;

const { values } = parseArgs({
  options: { seconds: { type: 'string', default: '3' }, rounds: { type: 'string', default: '5' } },
});
await main(Number(values.seconds), Number(values.rounds));

interface Turn {
  readonly microseconds: number;
  readonly perSecond: number;
  /** By worker; empty with one. */
  readonly requests: readonly number[];
}

async function main(seconds: number, rounds: number): Promise<void> {
  const upstream = await startUpstream();
  using folder = new SidecarFolder();
  const [one = 0, oneAdmin = 0, two = 0, twoAdmin = 0] = await freePorts(4);
  const places = [
    { port: one, admin: oneAdmin, upstream: upstream.port, workers: 1 },
    { port: two, admin: twoAdmin, upstream: upstream.port, workers: 2 },
  ];
  const ratios: number[] = [];
  const shares: number[] = [];
  try {
    const sidecars = await Promise.all(
      places.map(async (place) => {
        const child = await folder.start(place, ['--concurrency', `${place.workers}`]);
        return { ...place, pid: child.pid };
      }),
    );
    for (const { port } of sidecars) await load(port, seconds);
    for (let round = 0; round < rounds; round++) {
      const turns: Turn[] = [];
      for (const sidecar of sidecars) turns.push(await takeTurn(sidecar, seconds));
      const [alone, shared] = turns;
      if (alone === undefined || shared === undefined) break;
      const total = shared.requests.reduce((sum, count) => sum + count, 0);
      ratios.push(shared.microseconds / alone.microseconds);
      shares.push(Math.min(...shared.requests) / total);
      print(
        `round ${round + 1}: one ${format(alone)}; two ${format(shared)}, by worker ${shared.requests.join(' and ')}`,
      );
    }
  } finally {
    await upstream.child.stop();
  }
  const cost = median(ratios);
  const share = median(shares);
  print(`median: two cost ${cost.toFixed(2)} of one per request; the smaller share is ${(share * 100).toFixed(0)} %`);
  process.exitCode = cost <= COST_MAX && share >= SHARE_MIN ? 0 : 1;
}

interface Measured {
  readonly port: number;
  readonly admin: number;
  readonly pid: number;
}

async function takeTurn({ port, admin, pid }: Measured, seconds: number): Promise<Turn> {
  const before = { requests: await requestsOf(admin), cpuSeconds: usageOf(pid).cpuSeconds };
  const served = await load(port, seconds);
  const cpuSeconds = usageOf(pid).cpuSeconds - before.cpuSeconds;
  const after = await requestsOf(admin);
  return {
    microseconds: (cpuSeconds * 1e6) / served,
    perSecond: served / seconds,
    requests: after.map((count, worker) => count - (before.requests[worker] ?? 0)),
  };
}

/** Runs wrk; the requests that it counted. */
async function load(port: number, seconds: number): Promise<number> {
  const args = ['-t1', `-c${CONNECTIONS}`, `-d${seconds}`, `http://127.0.0.1:${port}/`];
  const { stdout } = await promisify(execFile)(realPart('wrk'), args);
  return Number(/(?<count>\d+) requests in/.exec(stdout)?.groups?.['count'] ?? 0);
}

async function requestsOf(admin: number): Promise<readonly number[]> {
  const page = await (await fetch(`http://127.0.0.1:${admin}/stats/prometheus`)).text();
  const lines = page.matchAll(/^outrigger_worker_requests_total\{worker="\d+"\} (?<count>\d+)$/gm);
  return Array.from(lines, ({ groups }) => Number(groups?.['count']));
}

function format({ microseconds, perSecond }: Turn): string {
  return `${microseconds.toFixed(1)} µs a request at ${perSecond.toFixed(0)} per second`;
}

function median(numbers: readonly number[]): number {
  return numbers.toSorted((left, right) => left - right)[Math.floor(numbers.length / 2)] ?? Infinity;
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
