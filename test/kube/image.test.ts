// The image: what skopeo says of it, that the same inputs give the same bytes, and that what is in it runs by itself, in
// a root of its own and as nobody: the program, the packages that are not in the bundle, and the redirect.
import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdtempSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { listOf, recordOf, textOf, type JsonRecord } from '../../src/kube/json-record.ts';
import { startChild, untilReady, type Child } from '../support/child.ts';
import { freePorts } from '../support/free-port.ts';
import { PROJECT_ROOT, realPart } from '../support/real-parts.ts';

const NETWORK = JSON.stringify({ cniVersion: '1.0.0', name: 'pods', plugins: [{ type: 'bridge' }] });
const POD = 'K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web';
const BUILD_MS = 600_000;
let folder: string;
let root: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'outrigger-image-'));
  root = join(folder, 'root');
  await build('both', 'amd64,arm64');
  mkdirSync(root);
  for (const layer of listOf(manifestOf('both', 'amd64')['layers'])) {
    const { status } = spawnSync('tar', ['-xzpf', blob('both', textOf(recordOf(layer)['digest'])), '-C', root]);
    expect(status).toBe(0);
  }
}, BUILD_MS);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function build(name: string, architectures: string): Promise<void> {
  const script = join(PROJECT_ROOT, 'tools/image/build.ts');
  const child = startChild(process.execPath, [script, '--out', join(folder, name), '--arch', architectures]);
  if ((await child.exited) !== 0) throw new Error(child.output());
}

function blob(name: string, digest: string): string {
  return join(folder, name, 'blobs', ...digest.split(':'));
}

function read(path: string): JsonRecord {
  const value: unknown = JSON.parse(readFileSync(path, 'utf8'));
  return recordOf(value);
}

function manifests(name: string): readonly JsonRecord[] {
  const [index] = listOf(read(join(folder, name, 'index.json'))['manifests']);
  return listOf(read(blob(name, textOf(recordOf(index)['digest'])))['manifests']).map((one) => recordOf(one));
}

function digestOf(name: string, architecture: string): string {
  const found = manifests(name).find((one) => recordOf(one['platform'])['architecture'] === architecture);
  return textOf(found?.['digest']);
}

function manifestOf(name: string, architecture: string): JsonRecord {
  return read(blob(name, digestOf(name, architecture)));
}

async function isReady(url: string): Promise<boolean> {
  try {
    return (await fetch(url)).ok;
  } catch {
    return false;
  }
}

/** In the image's root, as the user of the image. */
function inside(...command: readonly string[]) {
  const { status, stdout, stderr } = spawnSync('chroot', ['--userspec=1337:1337', root, ...command], {
    encoding: 'utf8',
  });
  return { status, stdout, stderr };
}

test.each([
  ['amd64', 0x3e],
  ['arm64', 0xb7],
] as const)('skopeo reads the image for %s, which runs as 1337', (architecture, machine) => {
  const from = `oci:${join(folder, 'both')}:0.1.0`;
  const args = ['inspect', '--override-arch', architecture, '--config', from];
  const { stdout, stderr } = spawnSync(realPart('skopeo'), args, { encoding: 'utf8' });
  expect(stderr).toBe('');
  const config: unknown = JSON.parse(stdout);
  expect(config).toMatchObject({
    architecture,
    os: 'linux',
    config: { User: '1337:1337', Entrypoint: ['/usr/bin/node', '/app/bin/outrigger.js'] },
  });
  // Node is of that machine (e_machine of its ELF header): the second layer has it first.
  const [, node] = listOf(manifestOf('both', architecture)['layers']).map((one) => textOf(recordOf(one)['digest']));
  const head = spawnSync('sh', ['-c', `tar -xzOf '${blob('both', node ?? '')}' usr/bin/node 2>/dev/null | head -c 20`]);
  expect(head.stdout.readUInt16LE(18)).toBe(machine);
});

test(
  'the same inputs give the same bytes',
  async () => {
    await build('again', 'amd64');
    expect(digestOf('again', 'amd64')).toBe(digestOf('both', 'amd64'));
  },
  BUILD_MS,
);

test('the program runs in it, and there is no shell', () => {
  expect(inside('/usr/bin/node', '/app/bin/outrigger.js', '--version')).toMatchObject({ status: 0, stdout: '0.1.0\n' });
  for (const shell of ['sh', 'bash', 'dash', 'busybox', 'apt-get', 'dpkg', 'perl'])
    expect(existsSync(join(root, 'usr/bin', shell))).toBe(false);
  expect(
    readFileSync(join(root, 'etc/ssl/certs/ca-certificates.crt'), 'utf8').split('BEGIN CERT').length,
  ).toBeGreaterThan(100);
});

test('nothing in it belongs to its user or can be written by it, but /tmp', () => {
  for (const path of ['', 'app', 'app/dist', 'usr/bin/node', 'etc/passwd']) {
    const { uid, mode } = statSync(join(root, path));
    if (path !== '') expect([path, uid, mode & 0o022]).toEqual([path, 0, 0]);
  }
  expect(statSync(join(root, 'tmp')).mode & 0o7777).toBe(0o1777);
});

test('the control service serves from it, with all packages that it loads', async () => {
  const [xds = 0, http = 0] = await freePorts(2);
  mkdirSync(join(root, 'tmp/rules'));
  const flags = [
    '--rules',
    '/tmp/rules',
    '--xds',
    `127.0.0.1:${xds}`,
    '--http',
    `127.0.0.1:${http}`,
    '--settle-ms',
    '0',
  ];
  const child = startChild('chroot', [
    '--userspec=1337:1337',
    root,
    '/usr/bin/node',
    '/app/bin/outrigger.js',
    'control',
    ...flags,
  ]);
  await untilReady(child, async () => await isReady(`http://127.0.0.1:${http}/ready`));
  await child.stop();
});

test.each([
  '@opentelemetry/sdk-node',
  '@opentelemetry/otlp-grpc-exporter-base',
  '@opentelemetry/otlp-exporter-base',
  'koffi',
])('the package %s can be loaded', (name) => {
  const script = `require('node:module').createRequire('/app/package.json')('${name}')`;
  const { status, stderr } = inside('/usr/bin/node', '-e', script);
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
});

test('the redirect is installed and removed in a network of its own', () => {
  const verbs = ['install', 'verify', 'remove'];
  const script = verbs
    .map((verb) => `chroot ${root} /usr/bin/node /app/bin/outrigger.js redirect ${verb}`)
    .join(' && ');
  const { status, stderr } = spawnSync('unshare', ['-n', 'sh', '-ec', script], { encoding: 'utf8' });
  expect({ status, stderr }).toEqual({ status: 0, stderr: expect.stringContaining('ipv4: installed') });
});

test('the CNI plugin runs from a copy on a node that has neither Node nor Outrigger', async () => {
  const node = join(folder, 'node');
  const mounted = join(root, 'host', node);
  for (const path of [join(node, 'net.d'), mounted]) mkdirSync(path, { recursive: true });
  writeFileSync(join(node, 'net.d/10-pods.conflist'), NETWORK);
  writeFileSync(join(root, 'token'), 'none');
  expect(spawnSync('mount', ['--bind', node, mounted]).status).toBe(0);
  let installer: Child | null = null;
  try {
    const places = ['--bin-dir', join(node, 'bin'), '--net-dir', join(node, 'net.d'), '--home-dir', join(node, 'home')];
    const access = ['--kube', 'https://127.0.0.1:1', '--kube-token-file', '/token'];
    const command = ['cni', 'install', '--root', '/host', '--image', '/', ...places, ...access];
    installer = startChild('chroot', [root, '/usr/bin/node', '/app/bin/outrigger.js', ...command]);
    const started = installer;
    await untilReady(started, () => Promise.resolve(started.stderr().includes('"installed"')));
    const plugin = join(node, 'bin/outrigger-cni');
    const called = (command: string, input: object) =>
      spawnSync(plugin, [], {
        input: JSON.stringify(input),
        encoding: 'utf8',
        env: {
          PATH: '/usr/sbin:/usr/bin:/sbin:/bin',
          CNI_COMMAND: command,
          CNI_NETNS: '/proc/self/ns/net',
          CNI_ARGS: POD,
        },
      });
    const version = called('VERSION', { cniVersion: '1.0.0' });
    expect({ status: version.status, stderr: version.stderr }).toEqual({ status: 0, stderr: '' });
    expect(JSON.parse(version.stdout)).toMatchObject({ cniVersion: '1.0.0' });
    // It reads its kubeconfig, and tries to ask.
    const network = recordOf(JSON.parse(readFileSync(join(node, 'net.d/10-pods.conflist'), 'utf8')));
    const asked = called('ADD', {
      ...recordOf(listOf(network['plugins']).at(-1)),
      cniVersion: '1.0.0',
      prevResult: {},
    });
    expect(JSON.parse(asked.stdout)).toMatchObject({ code: 11, msg: expect.stringContaining('ECONNREFUSED') });
    installer.kill('SIGTERM');
    expect(await installer.exited).toBe(0);
    expect([readdirSync(join(node, 'bin')), readdirSync(join(node, 'home'))]).toEqual([[], []]);
    expect(JSON.parse(readFileSync(join(node, 'net.d/10-pods.conflist'), 'utf8'))).toEqual(JSON.parse(NETWORK));
  } finally {
    await installer?.stop();
    spawnSync('umount', [mounted]);
  }
}, 120_000);
