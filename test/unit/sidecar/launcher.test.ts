// The launcher: becomes the pinned Node with the right flags, keeps signals, ids and exit codes, and
// says in one sentence when there is no Node that would do.
import { spawn, spawnSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, expect, test } from 'vitest';

const LAUNCHER = fileURLToPath(new URL('../../../bin/outrigger.js', import.meta.url));
const PINNED = `node-${process.platform}-${process.arch}`;

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) {
    chmodSync(folder, 0o755);
    rmSync(folder, { recursive: true });
  }
});

interface Layout {
  /** Puts this very Node into node_modules as the pinned one. */
  readonly hasPinned: boolean;
  /** Where the package stands below the folder: the checkout itself, or installed below node_modules. */
  readonly place?: string;
}

/** A package with the real launcher and an entry that prints what it became. */
function aPackage({ hasPinned, place = '.' }: Layout): string {
  const folder = mkdtempSync(join(tmpdir(), 'launcher-'));
  folders.push(folder);
  const root = join(folder, place);
  mkdirSync(join(root, 'bin'), { recursive: true });
  mkdirSync(join(root, 'dist'));
  writeFileSync(join(root, 'package.json'), '{ "type": "module" }');
  copyFileSync(LAUNCHER, join(root, 'bin', 'outrigger.js'));
  writeFileSync(
    join(root, 'dist', 'outrigger.js'),
    `process.on('SIGTERM', () => process.exit(42));
     console.log(JSON.stringify({ pid: process.pid, execPath: process.execPath, flags: process.execArgv, args: process.argv.slice(2) }));
     if (process.argv.includes('wait')) setTimeout(() => {}, 20000);
     process.exitCode = process.argv.includes('fail') ? 7 : 0;`,
  );
  if (hasPinned) {
    const file = join(folder, 'node_modules', PINNED, 'bin', 'node');
    mkdirSync(dirname(file), { recursive: true });
    symlinkSync(process.execPath, file);
  }
  return join(root, 'bin', 'outrigger.js');
}

function launch(launcher: string, args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [launcher, ...args], {
    encoding: 'utf8',
    env: { PATH: '', ...env },
  });
  return { status, stderr, became: stdout === '' ? null : JSON.parse(stdout) };
}

test.each<[string, Layout]>([
  ['in a checkout', { hasPinned: true }],
  ['installed below node_modules', { hasPinned: true, place: 'node_modules/outrigger' }],
  ['without a pinned Node, on one that is new enough', { hasPinned: false }],
])('passes arguments and the exit code %s', (_name, layout) => {
  const { status, became } = launch(aPackage(layout), ['check', 'a b', 'fail']);
  expect([status, became?.args, became?.execPath]).toEqual([7, ['check', 'a b', 'fail'], process.execPath]);
});

test('gives the data plane a small young generation, and others not', () => {
  const launcher = aPackage({ hasPinned: true });
  expect(launch(launcher, ['sidecar']).became?.flags).toContain('--max-semi-space-size=2');
  expect(launch(launcher, ['check']).became?.flags).toEqual(['--disable-warning=ExperimentalWarning']);
});

test.each(['/nonexistent/home', ''])('works with the home folder %j', (HOME) => {
  expect(launch(aPackage({ hasPinned: true }), ['check'], { HOME })).toMatchObject({ status: 0, stderr: '' });
});

test('keeps the process id and lets signals through', async () => {
  const child = spawn(process.execPath, [aPackage({ hasPinned: true }), 'sidecar', 'wait']);
  const first = await new Promise<string>((resolve) =>
    child.stdout.once('data', (data: Buffer) => resolve(String(data))),
  );
  expect(JSON.parse(first).pid).toBe(child.pid);
  const code = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  expect(await code).toBe(42);
});

test('where the process cannot be replaced, a child gets the signals and its exit code is ours', async () => {
  const launcher = aPackage({ hasPinned: true });
  const withoutExecve = ['--import', 'data:text/javascript,process.execve=undefined'];
  const child = spawn(process.execPath, [...withoutExecve, launcher, 'sidecar', 'wait']);
  const first = await new Promise<string>((resolve) =>
    child.stdout.once('data', (data: Buffer) => resolve(String(data))),
  );
  expect(JSON.parse(first).pid).not.toBe(child.pid);
  const code = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  expect(await code).toBe(42);
});

test('an old Node with no pinned one beside it is told in one sentence', () => {
  const launcher = aPackage({ hasPinned: false });
  const old = [
    '--import',
    "data:text/javascript,Object.defineProperty(process,'versions',{value:{...process.versions,node:'18.0.0'}})",
  ];
  const { status, stderr } = spawnSync(process.execPath, [...old, launcher, 'check'], { encoding: 'utf8' });
  expect([status, stderr]).toEqual([
    1,
    `outrigger needs Node 24 or newer, and this is ${process.version}: run npm ci to get the pinned one, or install a newer Node\n`,
  ]);
});

test('an edit of a source is never hidden by an older bundle', () => {
  const launcher = aPackage({ hasPinned: true });
  const root = dirname(dirname(launcher));
  const source = join(root, 'src', 'cli', 'outrigger.ts');
  mkdirSync(dirname(source), { recursive: true });
  writeFileSync(source, `console.log('"source"');`);
  writeFileSync(join(root, 'dist', '.stamp'), '');
  utimesSync(join(root, 'dist', '.stamp'), 1000, 1000);
  utimesSync(source, 2000, 2000);
  expect(launch(launcher, ['check']).became).toBe('source');
  utimesSync(source, 500, 500);
  expect(launch(launcher, ['check']).became).not.toBe('source');
});
