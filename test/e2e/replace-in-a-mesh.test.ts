// Members of a mesh that are replaced under load: the successor is in the mesh before the one that leaves is out, so
// neither those who reach the app nor those who are reached by it fail.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { startChild, untilReady, type Child } from '../support/child.ts';
import { freePorts } from '../support/free-port.ts';
import { PacedLoad } from '../support/paced-load.ts';
import { statusOf } from '../support/until.ts';
import { startUpstream } from './sidecar-process.ts';

const LAUNCHER = fileURLToPath(new URL('../../bin/outrigger.js', import.meta.url));
const SERVICE = `apiVersion: v1
kind: Service
metadata: { name: app, namespace: default }
spec:
  selector: { app: app }
  ports: [{ name: http, port: 80, targetPort: 8080 }]
`;
const at = (port: number): string => `127.0.0.1:${port}`;

it('members of a mesh with one and two threads replace each other under load, and none fails a request', async () => {
  using upstream = await startUpstream();
  const folder = mkdtempSync(join(tmpdir(), 'outrigger-mesh-'));
  writeFileSync(join(folder, 'service.yaml'), SERVICE);
  const [xds = 0, http = 0, inbound = 0, outbound = 0, admin = 0] = await freePorts(5);
  const children: Child[] = [];
  const run = (...args: string[]): Child => {
    const child = startChild(process.execPath, [LAUNCHER, ...args]);
    children.push(child);
    return child;
  };
  const places = ['--inbound', `${inbound}`, '--outbound', `${outbound}`, '--admin', `${admin}`];
  const member = async (threads: number): Promise<Child> => {
    const mesh = ['--control', at(xds), '--service', 'app', '--app', `${upstream.port}`];
    const flags = ['--concurrency', `${threads}`, '--handover', join(folder, 'handover.sock')];
    const child = run('sidecar', ...mesh, ...places, ...flags);
    await untilReady(
      child,
      async () => child.stderr().includes('"ready"') && (await statusOf(admin, '/ready')) === 200,
    );
    return child;
  };
  try {
    const control = run('control', '--rules', folder, '--xds', at(xds), '--http', at(http), '--settle-ms', '0');
    await untilReady(control, async () => (await statusOf(http, '/ready')) === 200);
    let current = await member(1);
    const loads = [inbound, outbound].map(
      (port) =>
        new PacedLoad({ perSecond: 500, connections: 20, requestsPerConnection: 50, host: 'app', ports: () => [port] }),
    );
    for (const threads of [2, 2, 1]) {
      await sleep(300);
      const successor = await member(threads);
      expect(await current.exited).toBe(0);
      current = successor;
    }
    await sleep(300);
    for (const load of loads) {
      const { sent, succeeded, failures } = await load.stop();
      expect(succeeded).toBeGreaterThan(100);
      expect({ failures: [...failures], missing: sent - succeeded }).toEqual({ failures: [], missing: 0 });
    }
  } finally {
    await Promise.all(children.map((child) => child.stop()));
    rmSync(folder, { recursive: true, force: true });
  }
});
