// What a sidecar's memory grows with: the same ten services used in a mesh of ten and in one of many, by a sidecar that fetches
// what it uses and by one that has everything. Real processes; resident memory after the requests, and after some quiet.
//
//   node test/bench/on-demand.ts [--services 5000] [--rounds 3] [--check]
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { freePorts, listen } from '../support/free-port.ts';
import { OUTRIGGER } from '../support/real-parts.ts';
import { statusOf, until } from '../support/until.ts';

const { values: flags } = parseArgs({
  options: {
    services: { type: 'string', default: '5000' },
    rounds: { type: 'string', default: '3' },
    /** Fails above the bound. */
    check: { type: 'boolean', default: false },
  },
});

const USED = 10;
const REQUESTS = 200;
/** How much more a sidecar may have in the large mesh. */
const BOUND_MIB = 25;
const KIB_PER_MIB = 1024;

const app = createServer((_, response) => response.end('ok'));
const appPort = await listen(app);
const many = Number(flags.services);

const rows: { readonly name: string; readonly services: number; readonly above: number; readonly mib: number[] }[] = [
  { name: 'on demand', services: USED, above: 0, mib: [] },
  { name: 'on demand', services: many, above: 0, mib: [] },
  { name: 'everything', services: USED, above: 1_000_000, mib: [] },
  { name: 'everything', services: many, above: 1_000_000, mib: [] },
];
for (let round = 0; round < Number(flags.rounds); round++) for (const row of rows) row.mib.push(await measure(row));
app.close();

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;
for (const { name, services, mib } of rows)
  console.log(
    `${name}, ${services} services: ${median(mib).toFixed(1)} MiB (${mib.map((one) => one.toFixed(1)).join(', ')})`,
  );
const [few, lots] = rows.map(({ mib }) => median(mib));
const grown = (lots ?? 0) - (few ?? 0);
console.log(`grown by ${grown.toFixed(1)} MiB, at most ${BOUND_MIB}`);
if (flags.check && grown > BOUND_MIB) process.exitCode = 1;

/** Resident MiB of a sidecar that uses ten services. */
async function measure({ services, above }: { readonly services: number; readonly above: number }): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'outrigger-demand-'));
  writeFileSync(
    join(folder, 'mesh.yaml'),
    Array.from({ length: services }, (_, index) => service(index)).join('---\n'),
  );
  const [xds = 0, http = 0, admin = 0, inbound = 0, outbound = 0] = await freePorts(5);
  const running: ChildProcess[] = [];
  try {
    const places = ['--xds', `127.0.0.1:${xds}`, '--http', `127.0.0.1:${http}`, '--on-demand-above', String(above)];
    running.push(start('control', '--rules', folder, ...places));
    await until('the control service', async () => (await statusOf(http, '/ready')) === 200, 60_000);
    const ports = ['--admin', String(admin), '--inbound', String(inbound), '--outbound', String(outbound)];
    const who = ['--control', `127.0.0.1:${xds}`, '--service', 'caller', '--address', '127.0.0.1', '--app', '9/http'];
    const sidecar = start('sidecar', ...who, ...ports, '--log-level', 'error');
    running.push(sidecar);
    await until('the sidecar', async () => (await statusOf(admin, '/ready')) === 200, 60_000);
    for (let i = 0; i < REQUESTS; i++) await ask(outbound, `s${i % USED}.example`);
    await sleep(3000);
    return residentMib(sidecar.pid ?? 0);
  } finally {
    for (const child of running.toReversed()) {
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
    rmSync(folder, { recursive: true });
  }
}

function service(index: number): string {
  return `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: s${index} }
spec:
  hosts: [s${index}.example]
  ports: [{ number: 80, name: http, protocol: HTTP, targetPort: ${appPort} }]
  resolution: STATIC
  endpoints: [{ address: 127.0.0.1 }]
`;
}

function start(...args: readonly string[]): ChildProcess {
  return spawn(process.execPath, [OUTRIGGER, ...args], { stdio: ['ignore', 'ignore', 'inherit'] });
}

function ask(port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const asking = request({ port, host: '127.0.0.1', headers: { host } }, (response) => {
      response.resume();
      response.on('end', () =>
        response.statusCode === 200 ? resolve() : reject(new Error(`${host}: ${response.statusCode}`)),
      );
    });
    asking.on('error', reject);
    asking.end();
  });
}

function residentMib(pid: number): number {
  const [, kib = '0'] = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Number(kib) / KIB_PER_MIB;
}
