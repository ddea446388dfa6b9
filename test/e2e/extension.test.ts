// examples/extension as its README runs it, with one thread and with two; and what becomes of a module that is not the
// one that the rules mean.
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it } from 'vitest';
import { LAUNCHER, WORKLOADS } from '../../src/cli/demo/bookshop.ts';
import { Child } from '../../src/cli/demo/child.ts';
import { freePorts } from '../../src/cli/demo/free-port.ts';
import { until } from '../support/until.ts';

const EXAMPLE = fileURLToPath(new URL('../../examples/extension/', import.meta.url));
/** Seven processes on a machine that has other work. */
const START_MS = 40_000;
const children: Child[] = [];

afterEach(async () => {
  await Promise.all(children.splice(0).map((child) => child.stop()));
});

function start(name: string, args: readonly string[], environment: Record<string, string> = {}): Child {
  const child = new Child({ name, args, environment });
  children.push(child);
  return child;
}

interface Started {
  readonly sidecar: Child;
  readonly inbound: number;
}

async function startMesh(extensions: string, concurrency: number): Promise<Started> {
  const [xds = 0, http = 0, app = 0, inbound = 0, outbound, admin] = await freePorts(6);
  const rules = ['--rules', join(EXAMPLE, 'rules'), '--xds', `127.0.0.1:${xds}`, '--http', `127.0.0.1:${http}`];
  start('control', [LAUNCHER, 'control', ...rules]);
  const script = WORKLOADS.find(({ service }) => service === 'catalog')?.script ?? '';
  start('catalog', [script], { PORT: `${app}`, VERSION: 'v1' });
  const who = ['--control', `127.0.0.1:${xds}`, '--service', 'catalog', '--app', `${app}`, '--address', '127.0.0.1'];
  const ports = ['--inbound', `${inbound}`, '--outbound', `${outbound}`, '--admin', `${admin}`];
  const more = ['--extensions', extensions, '--concurrency', `${concurrency}`];
  return { sidecar: start('sidecar', [LAUNCHER, 'sidecar', ...who, ...ports, ...more]), inbound };
}

async function ask(port: number, headers: Record<string, string>): Promise<Response | null> {
  return await fetch(`http://127.0.0.1:${port}/books/1`, { headers }).catch(() => null);
}

describe('examples/extension', () => {
  it.each([1, 2])(
    'judges requests by its module, with %d threads',
    async (concurrency) => {
      const { sidecar, inbound } = await startMesh(join(EXAMPLE, 'extensions'), concurrency);
      const isServed = async (): Promise<boolean> => (await ask(inbound, { 'x-tenant': 'Sole' }))?.status === 200;
      await until('the app answers', isServed, START_MS).catch((cause: unknown) =>
        expect.fail(`${String(cause)}\n${sidecar.obituary()}`),
      );
      const statusOf = async (headers: Record<string, string>): Promise<unknown> =>
        (await ask(inbound, headers))?.status;
      expect(await statusOf({})).toBe(400);
      expect(await statusOf({ 'x-tenant': 'Acme' })).toBe(403);
      expect(await statusOf({ 'x-tenant': 'Sole', 'x-debug': '1' })).toBe(403);
    },
    60_000,
  );

  it('refuses a module that is another one than the rules mean, and tells its digest', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'outrigger-extension-'));
    await cp(join(EXAMPLE, 'extensions'), folder, { recursive: true });
    await writeFile(join(folder, 'tenant.ts'), 'export const evil = true;\n');
    const { sidecar, inbound } = await startMesh(folder, 1);
    await until('it says so', () => /digest: .* has sha256:[0-9a-f]{64}/.test(sidecar.obituary()), START_MS);
    expect(await ask(inbound, { 'x-tenant': 'Sole' })).toBeNull();
    await rm(folder, { recursive: true });
  }, 60_000);
});
