// Workers whose configuration comes by xDS: all of them follow the same rules, from the first answer on. They are
// asked over so many connections at a time that every worker has some.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { startChild, untilReady, type Child } from '../support/child.ts';
import { freePorts } from '../support/free-port.ts';
import { RawClient } from '../support/raw-client.ts';
import { statusOf } from '../support/until.ts';
import { startUpstream } from './sidecar-process.ts';

const at = (port: number): string => `127.0.0.1:${port}`;

const LAUNCHER = fileURLToPath(new URL('../../bin/outrigger.js', import.meta.url));
const CONNECTIONS = 12;

function rule(status: number): string {
  return `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: app, namespace: default }
spec:
  hosts: [app]
  http:
  - directResponse: { status: ${status} }
`;
}

const SERVICE = `apiVersion: v1
kind: Service
metadata: { name: app, namespace: default }
spec:
  selector: { app: app }
  ports: [{ name: http, port: 80, targetPort: 8080 }]
`;

/** The statuses that so many connections at a time get for the service. */
async function statuses(port: number): Promise<ReadonlySet<number>> {
  const clients = await Promise.all(Array.from({ length: CONNECTIONS }, () => RawClient.connect(port)));
  const request = { pieces: ['GET / HTTP/1.1\r\nHost: app\r\n\r\n'], methods: ['GET'] };
  const answers = await Promise.all(clients.map((client) => client.exchange(request)));
  for (const client of clients) client.close();
  return new Set(answers.map(([answer]) => answer?.status ?? 0));
}

it('every worker follows the rules, from the first and from then on', async () => {
  using upstream = await startUpstream();
  const rules = mkdtempSync(join(tmpdir(), 'outrigger-rules-'));
  writeFileSync(join(rules, 'service.yaml'), SERVICE);
  writeFileSync(join(rules, 'rule.yaml'), rule(201));
  const [xds = 0, http = 0, inbound = 0, outbound = 0, admin = 0] = await freePorts(5);
  const children: Child[] = [];
  try {
    const control = startChild(process.execPath, [
      LAUNCHER,
      'control',
      '--rules',
      rules,
      '--xds',
      at(xds),
      '--http',
      at(http),
      '--settle-ms',
      '0',
    ]);
    children.push(control);
    await untilReady(control, async () => (await statusOf(http, '/ready')) === 200);
    const sidecar = startChild(process.execPath, [
      LAUNCHER,
      'sidecar',
      '--control',
      at(xds),
      '--service',
      'app',
      '--app',
      `${upstream.port}`,
      '--inbound',
      `${inbound}`,
      '--outbound',
      `${outbound}`,
      '--admin',
      `${admin}`,
      '--concurrency',
      '2',
    ]);
    children.push(sidecar);
    await untilReady(sidecar, async () => (await statusOf(admin, '/ready')) === 200);
    expect(await statuses(outbound)).toEqual(new Set([201]));
    for (const status of [202, 203]) {
      writeFileSync(join(rules, 'rule.yaml'), rule(status));
      await expect.poll(() => statuses(outbound), { timeout: 10_000 }).toEqual(new Set([status]));
    }
    expect(await statusOf(inbound, '/')).toBe(200);
    const dump = await (await fetch(`http://127.0.0.1:${admin}/config_dump`)).text();
    expect(dump).toContain('virtualOutbound');
    sidecar.kill('SIGTERM');
    expect(await sidecar.exited).toBe(0);
  } finally {
    await Promise.all(children.map((child) => child.stop()));
    rmSync(rules, { recursive: true, force: true });
  }
});
