// Extensions that hang, in real processes: the step is interrupted or its worker ended, the log names the extension, other
// connections go on, and what happens to later requests is what its failure policy says. And an extension from an npm
// package, as it is installed.
import { createHash } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { startChild, untilReady, type Child } from '../support/child.ts';
import { freePorts, listen } from '../support/free-port.ts';
import { RawClient } from '../support/raw-client.ts';
import { OUTRIGGER } from '../support/real-parts.ts';
import { statusOf, until } from '../support/until.ts';
import { forwardingBootstrap } from './sidecar-process.ts';

const HANGS_MS = 12_000;
const folder = mkdtempSync(join(tmpdir(), 'outrigger-stuck-'));
const children: Child[] = [];
let app: Server;
let upstream = 0;

beforeAll(async () => {
  app = createServer((_request, response) => response.end('app'));
  upstream = await listen(app);
});

afterEach(async () => {
  await Promise.all(children.splice(0).map((child) => child.stop()));
});

afterAll(() => {
  app.closeAllConnections();
  app.close();
  rmSync(folder, { recursive: true });
});

const moduleOf = (name: string, steps: string): string => `
export const apiVersion = 'outrigger.dev/extension/v1';
export const name = '${name}';
export function compile(config, env) {
  const how = env.header('x-how');
  ${steps}
}
`;
/** Hangs in the phase that a request asks for. */
const HANGS = moduleOf(
  'hangs',
  `return {
    onRequest(x) {
      if (x.request.get(how) === 'request') for (;;);
      if (x.request.get(how) === 'pattern') /^(a+)+$/.test('a'.repeat(60) + 'b');
      if (x.request.get(how) === 'system') process.getBuiltinModule('node:child_process').execSync('sleep 60');
    },
    onResponse(x) { if (x.request.get(how) === 'response') for (;;); },
    onEnd(x) { if (x.request.get(how) === 'end') for (;;); },
  };`,
);

interface Sidecar {
  readonly child: Child;
  readonly port: number;
  readonly get: (how?: string) => Promise<number>;
}

interface SidecarSettings {
  readonly place: string;
  readonly name: string;
  readonly text: string;
  readonly failurePolicy?: string;
  readonly flags?: readonly string[];
}

async function serve({
  place,
  name,
  text,
  failurePolicy = 'FailClosed',
  flags = [],
}: SidecarSettings): Promise<Sidecar> {
  const [port = 0, admin = 0] = await freePorts(2);
  const digest = `sha256:${createHash('sha256').update(text).digest('hex')}`;
  const value = { module: name, digest, failurePolicy };
  const filter = {
    name: 'outrigger.extension/mine',
    typed_config: { '@type': 'type.googleapis.com/google.protobuf.Struct', value },
  };
  const bootstrap = JSON.stringify(forwardingBootstrap({ port, admin, upstream })).replace(
    '"http_filters":[',
    `"http_filters":[${JSON.stringify(filter)},`,
  );
  const file = join(folder, `${port}.json`);
  writeFileSync(file, bootstrap);
  const args = [OUTRIGGER, 'sidecar', '-c', file, '--extensions', place, '--drain-seconds', '0', ...flags];
  const child = startChild(process.execPath, args, { cwd: folder });
  children.push(child);
  await untilReady(child, async () => (await statusOf(admin, '/ready')) === 200);
  const get = async (how = ''): Promise<number> => {
    const answer = await fetch(`http://127.0.0.1:${port}/`, { headers: { 'x-how': how } }).catch(() => null);
    await answer?.text();
    return answer?.status ?? 0;
  };
  return { child, port, get };
}

function hangs(flags: readonly string[] = [], failurePolicy = 'FailClosed'): Promise<Sidecar> {
  writeFileSync(join(folder, 'hangs.js'), HANGS);
  return serve({ place: folder, name: 'hangs', text: HANGS, flags, failurePolicy });
}

describe('an extension whose step does not end', () => {
  it.each([
    ['request', 'FailClosed', 503],
    ['request', 'FailOpen', 200],
    ['pattern', 'FailClosed', 503],
    ['response', 'FailClosed', 503],
    ['end', 'FailOpen', 200],
  ])(
    'in %s is interrupted, named, and cut off: %s',
    async (how, failurePolicy, status) => {
      const { child, port, get } = await hangs([], failurePolicy);
      const kept = await RawClient.connect(port);
      const once = { pieces: ['GET / HTTP/1.1\r\nHost: a\r\n\r\n'], methods: ['GET'] };
      expect((await kept.exchange(once)).map((one) => one.status)).toEqual([200]);
      const lost = get(how);
      await until('it is interrupted', () => child.output().includes('and is interrupted'), HANGS_MS);
      expect(child.output()).toMatch(/"extension":"outrigger\.extension\/mine","module":"hangs@sha256:/);
      // Its answer may be on its way before its end hangs.
      expect([0, how === 'end' ? 200 : 0]).toContain(await lost);
      expect((await kept.exchange(once)).map((one) => one.status)).toEqual([status]);
      expect(await get(how)).toBe(status);
      expect(child.hasExited()).toBe(false);
      kept.close();
    },
    30_000,
  );

  it('and cannot be interrupted ends the process, after it was named', async () => {
    const { child, get } = await hangs();
    const lost = get('system');
    expect(await child.exited).toBe(-1);
    expect(await lost).toBe(0);
    expect(child.output()).toMatch(/cannot be interrupted: the process ends","extension":"outrigger\.extension\/mine"/);
  }, 30_000);

  it('costs one worker of two once, and is called by none any more', async () => {
    const { child, get } = await hangs(['--concurrency', '2']);
    const lost = get('request');
    await until('its worker is ended', () => child.output().includes('its worker is ended'), HANGS_MS);
    expect(await lost).toBe(0);
    await until('the other answers', async () => (await get('request')) === 503);
    await until('another is there', () => child.output().match(/an extension was loaded/g)?.length === 4, HANGS_MS);
    for (let i = 0; i < 10; i++) expect(await get('request')).toBe(503);
    expect(child.output().match(/its worker is ended/g)).toHaveLength(1);
  }, 40_000);
});

it.each([
  [
    'while it is loaded',
    `${moduleOf('slow', 'return {};')}\nfor (;;);`,
    /cannot be loaded: it did not end within 5000 ms/,
  ],
  ['while it is compiled', moduleOf('slow', 'for (;;);'), /the extension threw: it did not end within 5000 ms/],
])(
  'an extension that does not end %s is refused',
  async (_name, text, expected) => {
    writeFileSync(join(folder, 'slow.js'), text);
    const child = serve({ place: folder, name: 'slow', text });
    await expect(child).rejects.toThrow();
    expect(children.at(-1)?.output()).toMatch(expected);
    expect(await children.at(-1)?.exited).toBe(65);
  },
  40_000,
);

const install = (path: string, manifest: object, file: string, text: string): void => {
  const place = join(folder, 'node_modules', path);
  mkdirSync(dirname(join(place, file)), { recursive: true });
  writeFileSync(join(place, 'package.json'), JSON.stringify({ name: path, version: '1.0.0', ...manifest }));
  writeFileSync(join(place, file), text);
};
const answers = (name: string): string =>
  moduleOf(name, `return { onRequest(x) { if (x.request.get(how) === 'no') x.reply(418, 'no'); } };`);

describe('an extension from an npm package', () => {
  it.each([
    ['with a main file', 'tenant-policy', { type: 'module', main: './lib/entry.js' }, 'lib/entry.js'],
    [
      'of an organization, with exports',
      '@team/tenant',
      { type: 'module', exports: './dist/index.mjs' },
      'dist/index.mjs',
    ],
    ['with exports for import alone', 'import-only', { type: 'module', exports: { import: './index.js' } }, 'index.js'],
  ])('%s is found from where the sidecar was started', async (_title, name, manifest, file) => {
    install(name, manifest, file, answers(name));
    const { get } = await serve({ place: name, name, text: answers(name) });
    expect([await get(), await get('no')]).toEqual([200, 418]);
  });

  it('that is not the one whose digest was written, or not installed, is refused', async () => {
    install('other', { type: 'module', main: './index.js' }, 'index.js', answers('other'));
    await expect(serve({ place: 'other', name: 'other', text: 'what was reviewed' })).rejects.toThrow();
    expect(children.at(-1)?.output()).toMatch(/digest: .*index\.js has sha256:/);
    await expect(serve({ place: 'missing', name: 'missing', text: '' })).rejects.toThrow();
    expect(children.at(-1)?.output()).toMatch(/there is no extension "missing" here/);
  });
});
