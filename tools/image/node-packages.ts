// What the image takes from npm for an architecture, by package-lock.json: the pinned Node, and the packages that the bundle
// leaves outside (tools/build/bundle.ts: external), with what they need. npm checks them; no script of a package runs.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFileSync, existsSync, globSync, lstatSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { TarEntry } from './tar.ts';

export interface NodePackages {
  readonly node: readonly TarEntry[];
  readonly modules: readonly TarEntry[];
}

/** npm's words for what OCI calls amd64 and arm64. */
const CPUS: Readonly<Record<string, string>> = { amd64: 'x64', arm64: 'arm64' };
const EXTERNAL = /^(@opentelemetry\/|@grpc\/grpc-js$|koffi$)/;
/** Of a package, nothing of this is loaded. Folders say nothing: `src`, `doc` and `test` are code in one package or another. */
const UNUSED = /\.(d\.[cm]?ts|map|md|markdown|ts|flow)$/i;

export function nodePackages(root: string, architecture: string, cache: string): NodePackages {
  const cpu = CPUS[architecture];
  if (cpu === undefined) throw new Error(`no Node is known for ${architecture}`);
  const folder = installed(root, cpu, join(cache, `npm-${architecture}`));
  const node = join(folder, 'node_modules', `node-linux-${cpu}`);
  return {
    node: [
      { kind: 'file', path: 'usr/bin/node', mode: 0o755, data: readFileSync(join(node, 'bin/node')) },
      { kind: 'file', path: 'usr/share/doc/node/LICENSE', mode: 0o644, data: readFileSync(join(node, 'LICENSE')) },
    ],
    modules: closure(folder).flatMap((name) => filesOf(folder, `node_modules/${name}`)),
  };
}

function installed(root: string, cpu: string, folder: string): string {
  const files = ['package.json', 'package-lock.json'];
  const hash = createHash('sha256');
  for (const file of files) hash.update(readFileSync(join(root, file)));
  const stamp = hash.digest('hex');
  const mark = join(folder, '.stamp');
  if (existsSync(mark) && readFileSync(mark, 'utf8') === stamp) return folder;
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  for (const file of files) copyFileSync(join(root, file), join(folder, file));
  const flags = ['--omit=dev', '--ignore-scripts', '--no-audit', '--no-fund', '--os=linux', `--cpu=${cpu}`];
  execFileSync('npm', ['ci', ...flags, '--libc=glibc'], { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] });
  writeFileSync(mark, stamp);
  return folder;
}

/** Names of packages, also of those inside of others (`a/node_modules/b`). */
function closure(folder: string): readonly string[] {
  const found = new Set<string>();
  const roots = Object.keys(dependenciesOf(join(folder, 'package.json'))).filter((name) => EXTERNAL.test(name));
  const open = roots.map((name) => ({ name, from: '' }));
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const place = placeOf(folder, next.name, next.from);
    if (place === null || found.has(place)) continue;
    found.add(place);
    const needs = Object.keys(dependenciesOf(join(folder, 'node_modules', place, 'package.json')));
    open.push(...needs.map((name) => ({ name, from: place })));
  }
  return [...found].toSorted();
}

/** As Node looks for it: beside whoever asks, then further out. Null: an optional one of another platform. */
function placeOf(folder: string, name: string, from: string): string | null {
  const inner = from === '' ? '' : `${from}/node_modules/${name}`;
  if (inner !== '' && existsSync(join(folder, 'node_modules', inner, 'package.json'))) return inner;
  const out = from.lastIndexOf('/node_modules/');
  if (from !== '') return placeOf(folder, name, out < 0 ? '' : from.slice(0, out));
  return existsSync(join(folder, 'node_modules', name, 'package.json')) ? name : null;
}

function dependenciesOf(file: string): Record<string, unknown> {
  const read: unknown = JSON.parse(readFileSync(file, 'utf8'));
  const fields = ['dependencies', 'optionalDependencies', 'peerDependencies'];
  const all: Record<string, unknown> = {};
  for (const field of fields) {
    const value: unknown = typeof read === 'object' && read !== null ? Reflect.get(read, field) : null;
    if (typeof value === 'object' && value !== null) Object.assign(all, value);
  }
  return all;
}

function filesOf(folder: string, place: string): readonly TarEntry[] {
  const nested = `${place}/node_modules/`;
  return globSync(`${place}/**`, { cwd: folder })
    .toSorted()
    .flatMap((path): readonly TarEntry[] => {
      if (path.startsWith(nested) || UNUSED.test(path) || !lstatSync(join(folder, path)).isFile()) return [];
      const mode = path.endsWith('.node') ? 0o755 : 0o644;
      return [{ kind: 'file', path: join('app', path), mode, data: readFileSync(join(folder, path)) }];
    });
}

/** The bundle and its launcher, as they lie in the checkout. */
export function bundleFiles(root: string): readonly TarEntry[] {
  const paths = ['package.json', 'LICENSE', 'bin/outrigger.js', ...globSync('dist/**', { cwd: root })];
  return paths
    .filter((path) => !path.endsWith('.map') && lstatSync(join(root, path)).isFile())
    .toSorted()
    .map((path) => ({
      kind: 'file',
      path: join('app', path),
      mode: dirname(path) === 'bin' ? 0o755 : 0o644,
      data: readFileSync(join(root, path)),
    }));
}
