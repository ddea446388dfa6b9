// Builds the image of Outrigger as an OCI layout, without a container engine and without privileges: three layers for each
// architecture (what Debian gives, Node, the bundle), one index over both. The same inputs give the same digests.
//   node tools/image/build.ts [--out FOLDER] [--arch amd64,arm64] [--update]
// --update takes the newest packages of Debian and writes them into debian.json.
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { debianFiles, newestPackages, type DebianLock, type DebianPackage } from './debian-packages.ts';
import { bundleFiles, nodePackages } from './node-packages.ts';
import { writeLayout, type ArchitectureImage } from './oci-layout.ts';
import { tarOf, type TarEntry } from './tar.ts';

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, '..', '..');
const cache = join(root, '.cache', 'image');
const lockFile = join(here, 'debian.json');
const VERSION = '0.1.0';
const USER = '1337';

const { values: flags } = parseArgs({
  options: {
    out: { type: 'string', default: join(cache, 'outrigger') },
    arch: { type: 'string', default: 'amd64,arm64' },
    update: { type: 'boolean', default: false },
  },
});
const architectures = flags.arch.split(',');
if (flags.update) {
  const newest = Object.fromEntries(architectures.map((one) => [one, newestPackages(one, cache)]));
  writeFileSync(lockFile, `${JSON.stringify(newest, null, 2)}\n`);
}
// No date but the one that is given, as reproducible-builds.org has it.
const seconds = Number(process.env['SOURCE_DATE_EPOCH'] ?? 0);
execFileSync(process.execPath, [join(root, 'tools/build/bundle.ts')], { stdio: 'inherit' });
const lock = existsSync(lockFile) ? readLock(readFileSync(lockFile, 'utf8')) : {};
const digest = writeLayout(architectures.map(imageOf), {
  folder: flags.out,
  tag: VERSION,
  created: new Date(seconds * 1000).toISOString().replace('.000Z', 'Z'),
  config: {
    User: `${USER}:${USER}`,
    WorkingDir: '/app',
    Env: [
      'PATH=/usr/sbin:/usr/bin',
      'SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt',
      'NODE_COMPILE_CACHE=/tmp/cache',
    ],
    Entrypoint: ['/usr/bin/node', '/app/bin/outrigger.js'],
  },
  annotations: {
    'org.opencontainers.image.title': 'outrigger',
    'org.opencontainers.image.description': 'A service mesh in TypeScript: control service, sidecar, redirect.',
    'org.opencontainers.image.version': VERSION,
    'org.opencontainers.image.licenses': 'Apache-2.0',
  },
});
process.stdout.write(`${digest}\n`);

function imageOf(architecture: string): ArchitectureImage {
  if ((lock[architecture] ?? []).length === 0) throw new Error(`debian.json has nothing for ${architecture}: --update`);
  const { node, modules } = nodePackages(root, architecture, cache);
  const layers = [
    {
      comment: 'libraries, authorities and iptables of Debian',
      entries: [...debianFiles(lock, architecture, cache), ...accounts()],
    },
    { comment: 'Node', entries: node },
    { comment: `Outrigger ${VERSION}`, entries: [...modules, ...bundleFiles(root)] },
  ];
  return { architecture, layers: layers.map(({ comment, entries }) => ({ comment, tar: tarOf(entries, seconds) })) };
}

function accounts(): readonly TarEntry[] {
  return [
    text('etc/passwd', `root:x:0:0:root:/:/nowhere\noutrigger:x:${USER}:${USER}:outrigger:/:/nowhere\n`),
    text('etc/group', `root:x:0:\noutrigger:x:${USER}:\n`),
    text('etc/nsswitch.conf', 'hosts: files dns\n'),
    { kind: 'folder', path: 'tmp', mode: 0o1777 },
    { kind: 'folder', path: 'run', mode: 0o755 },
    ...['proc', 'sys', 'dev'].map((path): TarEntry => ({ kind: 'folder', path, mode: 0o755 })),
  ];
}

function text(path: string, content: string): TarEntry {
  return { kind: 'file', path, mode: 0o644, data: Buffer.from(content) };
}

function isPackage({ sha256, version }: DebianPackage): boolean {
  return /^[0-9a-f]{64}$/.test(sha256) && version !== '';
}

function readLock(json: string): DebianLock {
  const read: DebianLock = JSON.parse(json);
  for (const [architecture, packages] of Object.entries(read))
    if (!packages.every(isPackage)) throw new Error(`debian.json: ${architecture} is not complete`);
  return read;
}
