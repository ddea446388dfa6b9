// `outrigger check` and `outrigger translate` as people run them: what they print and how they exit.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';

const launcher = join(import.meta.dirname, '..', '..', '..', 'bin', 'outrigger.js');
const folder = mkdtempSync(join(tmpdir(), 'outrigger-check-'));
const service = 'apiVersion: v1\nkind: Service\nmetadata: { name: a }\nspec: { ports: [{ port: 80 }] }\n';

afterAll(() => rmSync(folder, { recursive: true }));

function run(...args: readonly string[]) {
  const { status, stdout } = spawnSync(process.execPath, [launcher, ...args], { encoding: 'utf8', cwd: folder });
  return { status, stdout };
}

test.each([
  ['clean rules', service, 0, ''],
  [
    'a doubt',
    service.replace('spec:', 'spce: 1\nspec:'),
    1,
    'warning: rules.yaml:4:1: spce: unknown field spce has no effect; did you mean spec?\n',
  ],
  [
    'a mistake',
    service.replace('80', '0'),
    65,
    'error: rules.yaml:4:25: spec.ports[0].port: 0 is out of range; write a number from 1 to 65535\n',
  ],
])('check of %s', (_, text, status, stdout) => {
  writeFileSync(join(folder, 'rules.yaml'), text);
  expect(run('check', 'rules.yaml')).toEqual({ status, stdout });
});

test('check prints JSON for programs', () => {
  writeFileSync(join(folder, 'rules.yaml'), service.replace('80', '0'));
  const { stdout } = run('check', '--output', 'json', 'rules.yaml');
  expect(JSON.parse(stdout)).toMatchObject([{ severity: 'error', place: { file: 'rules.yaml', line: 4, column: 25 } }]);
});

test.each([
  [['check', 'absent.yaml']],
  [['check']],
  [['nonsense']],
  [['check', '--output', 'xml', 'rules.yaml']],
  [['translate', '-f', 'rules.yaml']],
])('%j is wrong usage', (args) => {
  expect(run(...args)).toEqual({ status: 64, stdout: '' });
});

test('translate prints the resources of one sidecar', () => {
  writeFileSync(join(folder, 'rules.yaml'), service);
  const { status, stdout } = run('translate', '-f', 'rules.yaml', '--for', 'a', '--app', '8080', '--output', 'json');
  expect(status).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({
    listeners: [{ name: 'virtualOutbound' }, { name: 'virtualInbound_8080' }],
    routes: [{ name: 'http_proxy' }],
  });
});
