// What the control service costs at scale: delta clients, services and endpoints; how soon a change of one endpoint and of
// one route is with its clients, the share of a core at so many changes a second, memory, and how long all clients take
// to be whole again after a restart. The service is pinned to nothing: clients share the machine with it.
//
//   node test/bench/scale/run.ts [--clients 2000] [--services 1000] [--endpoints 10000] [--namespaces 10]
//     [--rate 10] [--seconds 20] [--routes 10] [--uses 20] [--check]
//
// A client fetches the services that it uses, as our sidecars do in a mesh of this size; with --uses 0 it has everything, as an
// Envoy does.
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { freePort } from '../../support/free-port.ts';
import { usageOf } from '../../support/process-usage.ts';
import type { ClientOrder } from './scale-clients.ts';
import type { ControlOrder } from './scale-control.ts';
import { clusterOf, hostOf, SERVICE_PORT, type WorldSize } from './scale-world.ts';

const SYNC_SECONDS_MAX = 300;
const MIB = 1024 * 1024;

const { values: flags } = parseArgs({
  options: {
    clients: { type: 'string', default: '2000' },
    services: { type: 'string', default: '1000' },
    endpoints: { type: 'string', default: '10000' },
    namespaces: { type: 'string', default: '10' },
    rate: { type: 'string', default: '10' },
    seconds: { type: 'string', default: '20' },
    routes: { type: 'string', default: '10' },
    uses: { type: 'string', default: '20' },
    /** Fails where a bound of docs/benchmarks.md is not kept. */
    check: { type: 'boolean', default: false },
  },
});

const world: WorldSize = {
  services: Number(flags.services),
  endpoints: Number(flags.endpoints),
  namespaces: Number(flags.namespaces),
};
const count = Number(flags.clients);
const uses = Number(flags.uses);
const nowMs = (): number => Number(process.hrtime.bigint()) / 1e6;

interface Report {
  readonly latenciesMs: readonly number[];
  readonly missed: readonly number[];
}

const missed: string[] = [];
const port = await freePort();
let control = await startControl();
const clients = start('scale-clients.ts', [count, world.services, world.endpoints, world.namespaces, port, uses]);
try {
  say(
    `${count} clients, ${world.services} services, ${world.endpoints} endpoints, ${world.namespaces} namespaces, ${uses === 0 ? 'everything' : `${uses} services`} a client`,
  );
  const first = await untilSynced();
  say(`first sync: ${first.seconds.toFixed(1)} s, ${(first.bytes / MIB / count).toFixed(2)} MiB a client`);
  await sleep(2_000);
  await measureEndpoints();
  await measureRoutes();
  const rss = memoryOf(control);
  say(`memory: ${rss.now} MiB now, ${rss.most} MiB at most`);
  bound('memory at most, MiB', rss.most, 750);
  const gone = once(control, 'exit');
  control.kill('SIGKILL');
  await gone;
  control = await startControl();
  const again = await untilSynced();
  say(`resync after a restart: ${again.seconds.toFixed(1)} s, ${memoryOf(control).most} MiB at most`);
  bound('resync, s', again.seconds, 60);
} finally {
  clients.kill('SIGKILL');
  control.kill('SIGKILL');
}
for (const line of missed) say(`MISSED ${line}`);
process.exitCode = flags.check && missed.length > 0 ? 1 : 0;

async function measureEndpoints(): Promise<void> {
  const seconds = Number(flags.seconds);
  const rate = Number(flags.rate);
  const before = cpuOf(control);
  const startedMs = nowMs();
  for (let change = 0; change < rate * seconds; change++) {
    const service = (change * 7) % world.services;
    const atMs = nowMs();
    order(clients, { kind: 'expect', name: clusterOf(service, world), service, atMs });
    order(control, { kind: 'endpoint', service, turn: 1 + (change % 200) });
    await sleep(Math.max(0, startedMs + ((change + 1) * 1000) / rate - nowMs()));
  }
  await sleep(1_500);
  const cores = (cpuOf(control) - before) / ((nowMs() - startedMs) / 1000);
  const report = await reported();
  tell('endpoint change', report, 500);
  say(`  ${cores.toFixed(2)} of a core at ${rate} changes a second`);
  bound('core', cores, 0.5);
}

async function measureRoutes(): Promise<void> {
  const latenciesMs: number[] = [];
  const lost: number[] = [];
  for (let change = 0; change < Number(flags.routes); change++) {
    const service = (change * 13) % world.services;
    const name = uses > 0 ? hostOf(service, world) : String(SERVICE_PORT);
    order(clients, { kind: 'expect', name, service, atMs: nowMs() });
    order(control, { kind: 'route', service, turn: change });
    await sleep(4_000);
    const report = await reported();
    latenciesMs.push(...report.latenciesMs);
    lost.push(...report.missed);
  }
  tell('route change', { latenciesMs, missed: lost }, 1_000);
}

function tell(what: string, { latenciesMs, missed: lost }: Report, boundMs: number): void {
  const sorted = latenciesMs.toSorted((left, right) => left - right);
  const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN;
  const late = lost.reduce((sum, one) => sum + one, 0);
  say(
    `${what}: p50 ${at(0.5).toFixed(0)} ms, p99 ${at(0.99).toFixed(0)} ms, most ${at(1).toFixed(0)} ms; ${late} of ${late + sorted.length} never came`,
  );
  bound(`${what} p99, ms`, at(0.99), boundMs);
  bound(`${what} lost`, late, 0);
}

async function untilSynced(): Promise<{ readonly seconds: number; readonly bytes: number }> {
  const startedMs = nowMs();
  for (;;) {
    order(clients, { kind: 'state' });
    const state = await told<{ synced: number; bytes: number }>(clients, 'state');
    const seconds = (nowMs() - startedMs) / 1000;
    if (state.synced === count) return { seconds, bytes: state.bytes };
    if (seconds > SYNC_SECONDS_MAX) throw new Error(`${state.synced} of ${count} clients have everything`);
    await sleep(100);
  }
}

async function reported(): Promise<Report> {
  order(clients, { kind: 'report' });
  return await told<Report>(clients, 'report');
}

async function startControl(): Promise<ChildProcess> {
  const child = start('scale-control.ts', [world.services, world.endpoints, world.namespaces, port]);
  const { startMs } = await told<{ startMs: number }>(child, 'ready');
  say(`control service: ready after ${startMs.toFixed(0)} ms, ${memoryOf(child).now} MiB`);
  return child;
}

function start(file: string, args: readonly number[]): ChildProcess {
  // The young generation that the launcher gives to the control service (bin/outrigger.js).
  const execArgv = file === 'scale-control.ts' ? ['--max-semi-space-size=8'] : [];
  return fork(join(import.meta.dirname, file), args.map(String), {
    execArgv,
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
}

function told<T extends object>(child: ChildProcess, kind: string): Promise<T> {
  return new Promise((resolve, reject) => {
    const onMessage = (message: T & { readonly kind: string }): void => {
      if (message.kind !== kind) return;
      child.off('message', onMessage);
      resolve(message);
    };
    child.on('message', onMessage);
    child.setMaxListeners(0).once('exit', (code) => reject(new Error(`a process of the benchmark ended (${code})`)));
  });
}

function order(child: ChildProcess, message: ClientOrder | ControlOrder): void {
  child.send(message);
}

function cpuOf(child: ChildProcess): number {
  return usageOf(child.pid ?? 0).cpuSeconds;
}

function memoryOf(child: ChildProcess): { readonly now: number; readonly most: number } {
  const { residentBytes, residentPeakBytes } = usageOf(child.pid ?? 0);
  return { now: Math.round(residentBytes / MIB), most: Math.round(residentPeakBytes / MIB) };
}

function bound(what: string, value: number, most: number): void {
  if (!(value <= most)) missed.push(`${what}: ${value.toFixed(2)}, bound ${most}`);
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
