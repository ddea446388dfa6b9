// The example of external authorization with real processes: the checker decides about books, the rest is open, CORS
// answers browsers, and without the checker books are closed.
import { spawnSync } from 'node:child_process';
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { LAUNCHER, WORKLOADS } from '../../src/cli/demo/bookshop.ts';
import { Child } from '../../src/cli/demo/child.ts';
import { freePorts } from '../../src/cli/demo/free-port.ts';
import { until } from '../support/until.ts';

const EXAMPLE = fileURLToPath(new URL('../../examples/external-authorization/', import.meta.url));
const children: Child[] = [];
let folder = '';
let outbound = 0;

function start(name: string, args: readonly string[], environment: Record<string, string> = {}): Child {
  const child = new Child({ name, args, environment });
  children.push(child);
  return child;
}

beforeAll(async () => {
  const [xds, http, app, inbound, out = 0, admin, checker] = await freePorts(7);
  outbound = out;
  folder = await mkdtemp(join(tmpdir(), 'outrigger-example-'));
  await cp(join(EXAMPLE, 'rules'), folder, { recursive: true });
  for (const file of await readdir(folder)) {
    const text = await readFile(join(folder, file), 'utf8');
    await writeFile(join(folder, file), text.replaceAll('9600', `${checker}`));
  }
  start('checker', [join(EXAMPLE, 'checker.ts')], { PORT: `${checker}` });
  const script = WORKLOADS.find(({ service }) => service === 'catalog')?.script ?? '';
  start('catalog', [script], { PORT: `${app}`, VERSION: 'v1' });
  start('control', [
    LAUNCHER,
    'control',
    '--rules',
    folder,
    '--xds',
    `127.0.0.1:${xds}`,
    '--http',
    `127.0.0.1:${http}`,
  ]);
  const who = ['--control', `127.0.0.1:${xds}`, '--service', 'catalog', '--address', '127.0.0.1'];
  const where = ['--app', `${app}`, '--inbound', `${inbound}`, '--outbound', `${outbound}`, '--admin', `${admin}`];
  start('sidecar', [LAUNCHER, 'sidecar', ...who, ...where]);
  await until('the sidecar', async () => (await ask('/health')).status === 200, 20_000);
}, 30_000);

afterAll(async () => {
  await Promise.all(children.map((child) => child.stop()));
  await rm(folder, { recursive: true });
});

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: string;
}

async function ask(path: string, headers: Record<string, string> = {}, method = 'GET'): Promise<Answer> {
  const { request } = await import('undici');
  try {
    const response = await request(`http://127.0.0.1:${outbound}${path}`, {
      method: method === 'OPTIONS' ? 'OPTIONS' : 'GET',
      headers: { host: 'catalog', ...headers },
    });
    const fields = new Headers();
    for (const [name, value] of Object.entries(response.headers)) fields.set(name, String(value));
    return { status: response.statusCode, headers: fields, body: await response.body.text() };
  } catch {
    return { status: 0, headers: new Headers(), body: '' };
  }
}

test('the rules are right to the last field', () => {
  const { status, stderr } = spawnSync(process.execPath, [LAUNCHER, 'check', join(EXAMPLE, 'rules')], {
    encoding: 'utf8',
  });
  expect({ status, stderr }).toEqual({ status: 0, stderr: '5 files, 0 errors, 0 warnings\n' });
});

test('the checker decides about books, the rest is open, and CORS answers browsers', async () => {
  const refused = await ask('/books/1');
  expect([refused.status, refused.headers.get('x-reason'), refused.body]).toEqual([
    403,
    'nobody',
    'you may not see /books/1\n',
  ]);
  expect((await ask('/books/1', { 'x-visitor': 'bob' })).headers.get('x-reason')).toBe('stranger');
  expect((await ask('/books/1', { 'x-visitor': 'ann' })).status).toBe(200);
  expect((await ask('/health')).status).toBe(200);
  const asks = { origin: 'https://shop.example', 'access-control-request-method': 'GET' };
  const preflight = await ask('/books/1', asks, 'OPTIONS');
  expect([preflight.status, preflight.headers.get('access-control-allow-origin')]).toEqual([
    200,
    'https://shop.example',
  ]);
  const denied = await ask('/books/1', { origin: 'https://shop.example' });
  expect([denied.status, denied.headers.get('access-control-allow-origin')]).toEqual([403, 'https://shop.example']);
});

test('without the checker books are closed and the rest is open', async () => {
  await children[0]?.stop();
  const closed = await ask('/books/1', { 'x-visitor': 'ann' });
  expect([closed.status, closed.body]).toEqual([403, '']);
  expect((await ask('/health')).status).toBe(200);
});
