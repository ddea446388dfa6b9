// What the image takes from Debian: exact packages of both architectures (debian.json: name, version, SHA-256), fetched by
// apt-get with settings of its own, checked, and unpacked as files. No script of a package runs, and no package manager,
// shell or documentation gets in, but for the licences.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, globSync, lstatSync, mkdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TarEntry } from './tar.ts';

export interface DebianPackage {
  readonly name: string;
  readonly version: string;
  readonly file: string;
  readonly sha256: string;
}

export type DebianLock = Readonly<Record<string, readonly DebianPackage[]>>;

/** glibc and what Node links against; authorities; what `outrigger redirect` runs in a pod, with its libraries. */
const NAMES = [
  'libc6 libgcc-s1 libstdc++6 libatomic1 ca-certificates netbase',
  'iptables libip4tc2 libip6tc2 libmnl0 libnetfilter-conntrack3 libnfnetlink0 libnftnl11 libxtables12',
  'iproute2 libbpf1 libelf1 libcap2 zlib1g libbsd0 libmd0',
].flatMap((line) => line.split(' '));
/** The release of Debian; its mirrors are those that this machine uses. */
const RELEASE = 'bookworm';
const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';
const KEPT = [
  /^usr\/lib\/[^/]+-linux-gnu\/[^/]+\.so[^/]*$/,
  /^usr\/lib(64)?\/ld-linux[^/]*$/,
  /^usr\/lib\/[^/]+-linux-gnu\/xtables\//,
  /^usr\/sbin\/(ip6?tables|xtables)(?!.*-apply)[^/]*$/,
  /^usr\/bin\/ip$/,
  /^usr\/share\/doc\/[^/]+\/copyright$/,
  /^etc\/(protocols|services)$/,
];
/** Folders of old, which are links into usr. */
const MERGED = ['bin', 'sbin', 'lib', 'lib64'];
const AUTHORITIES = 'usr/share/ca-certificates/mozilla/*.crt';

/** Files of one architecture, sorted; `cache` keeps what was fetched. */
export function debianFiles(lock: DebianLock, architecture: string, cache: string): readonly TarEntry[] {
  const root = join(cache, `root-${architecture}`);
  rmSync(root, { recursive: true, force: true });
  for (const one of lock[architecture] ?? []) {
    const deb = fetched(one, architecture, cache);
    execFileSync('dpkg-deb', ['-x', deb, root]);
  }
  const entries = globSync('**', { cwd: root })
    .toSorted()
    .flatMap((path) => entryOf(root, path));
  const certificates = globSync(AUTHORITIES, { cwd: root }).toSorted();
  const bundle = certificates.map((path) => `${readFileSync(join(root, path), 'utf8').trim()}\n`).join('');
  if (certificates.length === 0) throw new Error('ca-certificates has none');
  return [
    ...entries,
    ...MERGED.map((path): TarEntry => ({ kind: 'link', path, target: `usr/${path}` })),
    { kind: 'folder', path: 'usr/lib64', mode: 0o755 },
    { kind: 'file', path: 'etc/ssl/certs/ca-certificates.crt', mode: 0o644, data: Buffer.from(bundle) },
    // Debian's own choice among the two; `--backend legacy` takes the other.
    ...['iptables', 'ip6tables'].flatMap((name) =>
      ['', '-save', '-restore'].map((verb): TarEntry => ({
        kind: 'link',
        path: `usr/sbin/${name}${verb}`,
        target: 'xtables-nft-multi',
      })),
    ),
  ];
}

function entryOf(root: string, path: string): readonly TarEntry[] {
  const [top = ''] = path.split('/');
  const place = MERGED.includes(top) ? `usr/${path}` : path;
  if (!KEPT.some((pattern) => pattern.test(place))) return [];
  const found = lstatSync(join(root, path));
  if (found.isSymbolicLink()) return [{ kind: 'link', path: place, target: readlinkSync(join(root, path)) }];
  if (!found.isFile()) return [];
  return [{ kind: 'file', path: place, mode: found.mode & 0o755, data: readFileSync(join(root, path)) }];
}

function fetched({ name, version, file, sha256 }: DebianPackage, architecture: string, cache: string): string {
  const folder = join(cache, 'debs');
  const path = join(folder, file.slice(file.lastIndexOf('/') + 1));
  if (!existsSync(path) || digestOf(path) !== sha256) {
    apt(architecture, cache, ['apt-get', 'download', `${name}=${version}`]);
    const named = globSync(`${name}_*_{${architecture},all}.deb`, { cwd: folder }).map((one) => join(folder, one));
    const right = named.find((one) => digestOf(one) === sha256);
    if (right === undefined) throw new Error(`${name} ${version} is not what debian.json says, or is gone: --update`);
    return right;
  }
  return path;
}

/** The newest of all packages: what `--update` writes into debian.json. */
export function newestPackages(architecture: string, cache: string): readonly DebianPackage[] {
  return NAMES.map((name) => {
    const text = apt(architecture, cache, ['apt-cache', 'show', name]).split('\n\n')[0] ?? '';
    const field = (title: string): string => new RegExp(`^${title}: (.*)$`, 'm').exec(text)?.[1] ?? '';
    return { name, version: field('Version'), file: field('Filename'), sha256: field('SHA256') };
  });
}

/** Of the machine's own apt nothing but its mirrors is read, and nothing is changed; what is downloaded lies in `debs`. */
function apt(architecture: string, cache: string, [program = '', ...args]: readonly string[]): string {
  const cwd = join(cache, 'debs');
  mkdirSync(cwd, { recursive: true });
  const own = join(cache, `apt-${architecture}`);
  const options = [
    `Dir::State=${own}/state`,
    `Dir::State::status=${own}/status`,
    `Dir::Cache=${own}/cache`,
    `Dir::Etc::sourcelist=${own}/sources.list`,
    'Dir::Etc::sourceparts=/dev/null',
    'Dir::Etc::main=/dev/null',
    `APT::Architecture=${architecture}`,
    `APT::Architectures::=${architecture}`,
    'Acquire::Languages=none',
    'Acquire::Retries=3',
    'APT::Sandbox::User=',
  ].flatMap((option) => ['-o', option]);
  const run = (what: string, ...given: readonly string[]): string =>
    execFileSync(what, [...options, ...given], {
      cwd,
      encoding: 'utf8',
      maxBuffer: 1 << 28,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
  if (!existsSync(`${own}/ready`)) {
    for (const folder of ['state/lists/partial', 'cache/archives/partial'])
      mkdirSync(join(own, folder), { recursive: true });
    writeFileSync(`${own}/status`, '');
    const lines = mirrors().map((source) => `deb [signed-by=${KEYRING}] ${source} main\n`);
    writeFileSync(`${own}/sources.list`, lines.join(''));
    run('apt-get', 'update');
    writeFileSync(`${own}/ready`, '');
  }
  return run(program, ...args);
}

/** Such as `http://mirror/debian/ bookworm`. */
function mirrors(): readonly string[] {
  const format = ['--format', '$(ORIGIN) $(REPO_URI) $(RELEASE)', 'Identifier: Packages'];
  const lines = execFileSync('apt-get', ['indextargets', ...format], { encoding: 'utf8' }).split('\n');
  const own = lines.filter((line) => line.startsWith('Debian ') && line.includes(` ${RELEASE}`));
  if (own.length === 0) throw new Error(`this machine knows no mirror of Debian ${RELEASE}: run apt-get update on one`);
  return [...new Set(own)].map((line) => line.slice('Debian '.length)).toSorted();
}

function digestOf(path: string): string {
  return createHash('sha256').update(readFileSync(path)).digest('hex');
}
