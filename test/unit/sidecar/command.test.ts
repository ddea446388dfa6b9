// `outrigger sidecar` as people run it: exit codes, what it prints, the ready line, the drain.
import type { JsonObject } from '@bufbuild/protobuf';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, expect, test } from 'vitest';
import { startChild, type Child } from '../../support/child.ts';
import { aClusterJson, aListenerJson, aManager } from './manager-builders.ts';

const LAUNCHER = fileURLToPath(new URL('../../../bin/outrigger.js', import.meta.url));

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

function aFile(text: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'sidecar-'));
  cleanups.push(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'b.yaml');
  writeFileSync(file, text);
  return file;
}

function sidecar(...args: string[]): Child {
  const child = startChild(process.execPath, [LAUNCHER, 'sidecar', ...args]);
  cleanups.push(() => child.stop());
  return child;
}

type LogLine = Readonly<Record<string, string | number>>;

/** Resolves to the first log line with this message. */
async function line(child: Child, message: string): Promise<LogLine> {
  for (;;) {
    const found = child
      .stderr()
      .split('\n')
      .find((text) => text.includes(`"message":"${message}"`));
    if (found !== undefined) return JSON.parse(found);
    if (child.hasExited()) throw new Error(child.output());
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

const bootstrap = (listener: JsonObject, clusters: JsonObject[] = []): string =>
  JSON.stringify({
    admin: { address: { socket_address: { address: '127.0.0.1', port_value: 0 } } },
    static_resources: { listeners: [listener], clusters },
  });

test('--validate says OK for a file that would run, and exits 0', async () => {
  const file = aFile(bootstrap(aListenerJson([aManager()])));
  const child = sidecar('-c', file, '--validate');
  expect([await child.exited, child.stdout(), child.stderr()]).toEqual([0, `${file}: OK\n`, '']);
});

test('--validate prints every problem with its place and exits 65', async () => {
  const file = aFile(
    'static_resources:\n  clusters:\n  - nam: a\n    protocol_selection: USE_DOWNSTREAM_PROTOCOL\nadmn: {}\n',
  );
  const child = sidecar('-c', file, '--validate');
  expect([await child.exited, child.stdout()]).toEqual([65, '']);
  expect(child.stderr().split('\n')).toEqual([
    `${file}:3:5: static_resources.clusters[0].nam: envoy.config.cluster.v3.Cluster has no field "nam"; did you mean name?`,
    expect.stringContaining(
      `${file}:5:1: admn: envoy.config.bootstrap.v3.Bootstrap has no field "admn"; did you mean admin?`,
    ),
    `${file}:4:5: static_resources.clusters[0].protocol_selection: Cluster.protocol_selection is not supported; write typed_extension_protocol_options`,
    '',
  ]);
});

test.each([
  [['-c', '/nonexistent.yaml'], 65, 'cannot read /nonexistent.yaml'],
  [[], 64, 'write -c FILE to run a bootstrap'],
  [['--control', 'x'], 64, '--service NAME[.NAMESPACE] is missing'],
  [['--frobnicate'], 64, 'unknown option'],
])('%j exits with %i and says why', async (args, code, text) => {
  const child = sidecar(...args);
  expect([await child.exited, child.stderr()]).toEqual([code, expect.stringContaining(text)]);
});

test('it runs, says when it is ready and where, and SIGTERM ends it with 0', async () => {
  const child = sidecar('-c', aFile(bootstrap(aListenerJson([aManager()]), [aClusterJson('web')])));
  const ready = await line(child, 'ready');
  expect(ready).toMatchObject({
    level: 'info',
    milliseconds: expect.any(Number),
    admin: expect.stringMatching(/^127\.0\.0\.1:\d+$/),
  });
  const answer = await fetch(`http://${ready['admin']}/ready`);
  expect([answer.status, await answer.text()]).toEqual([200, 'LIVE\n']);
  const proxied = await fetch(`http://127.0.0.1:${ready['listeners']}/`);
  expect(proxied.status).toBe(503);
  child.kill('SIGTERM');
  expect(await child.exited).toBe(0);
});

test('a port that is taken ends it with 1', async () => {
  const first = sidecar('-c', aFile(bootstrap(aListenerJson([aManager()]))));
  const port_value = Number((await line(first, 'ready'))['listeners']);
  const address = { socket_address: { address: '127.0.0.1', port_value } };
  const second = sidecar('-c', aFile(bootstrap(aListenerJson([aManager()], { address }))));
  expect([await second.exited, second.stderr()]).toEqual([1, expect.stringContaining('EADDRINUSE')]);
});

test('POST /quitquitquit ends it with 0', async () => {
  const child = sidecar('-c', aFile(bootstrap(aListenerJson([aManager()]))));
  const { admin } = await line(child, 'ready');
  await fetch(`http://${admin}/quitquitquit`, { method: 'POST' });
  expect(await child.exited).toBe(0);
});

test('without a control service it waits, not ready, and SIGTERM still ends it with 0', async () => {
  const child = sidecar('--control', '127.0.0.1:9', '--service', 'a', '--admin', '0', '--log-level', 'debug');
  await line(child, 'control lost');
  expect(child.stderr()).not.toContain('"message":"ready"');
  child.kill('SIGTERM');
  expect(await child.exited).toBe(0);
});
