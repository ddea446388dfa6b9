// Outlier detection in Envoy and in our sidecar from the same bootstrap: of ten endpoints one answers 500 and one 503, and
// flags in `/clusters` and statistics must agree.
import { createServer, type Server } from 'node:http';
import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { startChild, untilReady } from '../support/child.ts';
import { freePorts, listen } from '../support/free-port.ts';
import { cluster, listener } from '../support/tls-proxy.ts';
import { statusOf } from '../support/until.ts';
import { commandOf, SIDE_NAMES, type SideName } from './side.ts';

const REQUESTS = 60;
const cleanups: (() => unknown)[] = [];
afterAll(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

async function anUpstream(status: number): Promise<number> {
  const server: Server = createServer((_request, response) => response.writeHead(status).end());
  cleanups.push(
    () => server.closeAllConnections(),
    () => server.close(),
  );
  return listen(server);
}

async function observe(name: SideName, ports: readonly number[]): Promise<readonly string[]> {
  const [port = 0, admin = 0] = await freePorts(2);
  const lbEndpoints = ports.map((port_value) => ({
    endpoint: { address: { socket_address: { address: '127.0.0.1', port_value } } },
  }));
  const bootstrap = {
    admin: { address: { socket_address: { address: '127.0.0.1', port_value: admin } } },
    static_resources: {
      listeners: [listener('main', port, { route: { cluster: 'web' } })],
      clusters: [
        cluster('web', 1, {
          load_assignment: { cluster_name: 'web', endpoints: [{ lb_endpoints: lbEndpoints }] },
          outlier_detection: {
            consecutive_5xx: 3,
            consecutive_gateway_failure: 2,
            enforcing_consecutive_gateway_failure: 100,
            always_eject_one_host: true,
            max_ejection_percent: 20,
            interval: '60s',
          },
        }),
      ],
    },
  };
  const file = join(await mkdtemp(join(tmpdir(), 'peer-outlier-')), 'bootstrap.json');
  await writeFile(file, JSON.stringify(bootstrap));
  const child = startChild(...commandOf(name, file));
  cleanups.push(() => child.stop());
  await untilReady(child, async () => (await statusOf(admin, '/ready')) === 200);
  for (let i = 0; i < REQUESTS; i++) await statusOf(port, '/');
  const page = await (await fetch(`http://127.0.0.1:${admin}/clusters`)).text();
  const flags = ports.map((one) => new RegExp(`:${one}::health_flags::(.*)`).exec(page)?.[1] ?? '');
  const stats = await (await fetch(`http://127.0.0.1:${admin}/stats?filter=outlier_detection.ejections`)).text();
  return [...flags, ...stats.trim().split('\n').toSorted()];
}

test('ten endpoints, of which two fail, are judged alike', { timeout: 30_000 }, async () => {
  const statuses = [500, 503, 200, 200, 200, 200, 200, 200, 200, 200];
  const ports = await Promise.all(statuses.map(anUpstream));
  const [first = [], second] = await Promise.all(SIDE_NAMES.map((name) => observe(name, ports)));
  expect(first.slice(0, 3)).toEqual(['/failed_outlier_check', '/failed_outlier_check', 'healthy']);
  expect(second).toEqual(first);
});
