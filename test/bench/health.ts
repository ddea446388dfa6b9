// What active health checks cost: a sidecar that checks many endpoints and serves nobody, and its CPU time as the
// kernel has it. The endpoints are addresses of loopback, served by a process of its own that does nothing else.
//
//   node test/bench/health.ts [--endpoints 1000] [--interval 3] [--seconds 15] [--tcp] [--fresh]
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { startChild } from '../support/child.ts';
import { freePort } from '../support/free-port.ts';
import { usageOf } from '../support/process-usage.ts';
import { until } from '../support/until.ts';

const ROOT = join(import.meta.dirname, '..', '..');
/** Above what Node closes idle connections after. */
const KEEP_ALIVE_MS = 60_000;

const { values: flags } = parseArgs({
  options: {
    endpoints: { type: 'string', default: '1000' },
    interval: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '15' },
    tcp: { type: 'boolean', default: false },
    /** A connection for each check. */
    fresh: { type: 'boolean', default: false },
    /** Set for the process of the endpoints. */
    serve: { type: 'string', default: '' },
  },
});

if (flags.serve !== '') serve(Number(flags.serve));
else await measure();

function serve(port: number): void {
  const server = createServer({ keepAliveTimeout: KEEP_ALIVE_MS }, (_request, response) => response.end());
  server.listen(port, '0.0.0.0', 4096);
}

async function measure(): Promise<void> {
  const port = await freePort();
  const admin = await freePort();
  const folder = mkdtempSync(join(tmpdir(), 'bench-health-'));
  const file = join(folder, 'bootstrap.json');
  writeFileSync(file, JSON.stringify(bootstrap(port, admin)));
  const server = startChild(process.execPath, [import.meta.filename, '--serve', String(port)]);
  const sidecar = startChild(process.execPath, [join(ROOT, 'bin', 'outrigger.js'), 'sidecar', '-c', file]);
  try {
    await until('every endpoint passes', async () => (await stat(admin, 'membership_healthy')) === count(), 30_000);
    // One round more: whatever runs only at first has run.
    await sleep(Number(flags.interval) * 1000);
    const [before, attempts] = [usageOf(sidecar.pid).cpuSeconds, await stat(admin, 'health_check.attempt')];
    const startedMs = performance.now();
    await sleep(Number(flags.seconds) * 1000);
    const seconds = (performance.now() - startedMs) / 1000;
    const checks = (await stat(admin, 'health_check.attempt')) - attempts;
    const { cpuSeconds, residentBytes } = usageOf(sidecar.pid);
    const used = cpuSeconds - before;
    const failures = await stat(admin, 'health_check.failure');
    process.stdout.write(
      `${count()} endpoints at ${flags.interval} s: ${(checks / seconds).toFixed(0)} checks/s, ` +
        `${((100 * used) / seconds).toFixed(1)} % of a core, ${((1e6 * used) / checks).toFixed(0)} µs a check, ` +
        `${(residentBytes / 1024 / 1024).toFixed(0)} MiB, ${failures} failures\n`,
    );
  } finally {
    await Promise.all([sidecar.stop(), server.stop()]);
    rmSync(folder, { recursive: true });
  }
}

function count(): number {
  return Number(flags.endpoints);
}

async function stat(admin: number, name: string): Promise<number> {
  try {
    const text = await (await fetch(`http://127.0.0.1:${admin}/stats?filter=cluster.app.${name}`)).text();
    return Number(/: (\d+)/.exec(text)?.[1] ?? -1);
  } catch {
    // It is not up yet.
    return -1;
  }
}

function bootstrap(port: number, admin: number): object {
  const endpoints = Array.from({ length: count() }, (_, index) => {
    const address = `127.0.${index >> 8}.${(index & 255) + 1 > 254 ? 1 : (index & 255) + 1}`;
    return { endpoint: { address: { socket_address: { address, port_value: port } } } };
  });
  return {
    admin: { address: { socket_address: { address: '127.0.0.1', port_value: admin } } },
    static_resources: {
      clusters: [
        {
          name: 'app',
          type: 'STATIC',
          load_assignment: { cluster_name: 'app', endpoints: [{ lb_endpoints: endpoints }] },
          health_checks: [
            {
              timeout: '1s',
              interval: `${flags.interval}s`,
              no_traffic_interval: `${flags.interval}s`,
              interval_jitter_percent: 20,
              unhealthy_threshold: 3,
              healthy_threshold: 1,
              reuse_connection: !flags.fresh,
              ...(flags.tcp ? { tcp_health_check: {} } : { http_health_check: { path: '/healthz' } }),
            },
          ],
        },
      ],
    },
  };
}
