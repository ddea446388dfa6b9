// Extensions by name: from the folders and packages that the sidecar was started with, and those that are part of it.
// A module is read when a configuration names it, checked against the digest that the configuration wants, and only
// then run; a version that was checked stays for those who want it. Modules of ours go the same way from there on.
import { createHash } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Log } from '../base/log.ts';
import { error, type Problem } from '../base/problem.ts';
import { EXTENSION_API, type ExtensionModule } from '../plan/extension.ts';
import * as headerGuard from '../policy/header-guard.ts';
import * as requestClass from '../policy/request-class.ts';
import { withinTime } from './compile-time.ts';
import { findPackage } from './extension-package.ts';
import { loadModule } from './extension-loader.ts';
import type { ExtensionWatch } from './extension-watch.ts';

export interface ExtensionWanted {
  readonly module: string;
  /** `sha256:` and 64 digits; empty for modules of ours, which are a part of the sidecar. */
  readonly digest: string;
}

const NAME = /^[a-z0-9](?:[a-z0-9._-]{0,126}[a-z0-9])?$/;
const PACKAGE = /^(?:@[a-z0-9][a-z0-9._-]*\/)?[a-z0-9][a-z0-9._-]*$/;
const DIGEST = /^sha256:[0-9a-f]{64}$/;
const ENDINGS = ['.ts', '.mts', '.js', '.mjs'];
const BYTES_MAX = 1024 * 1024;
/** Ours, by the names that configurations use. */
const OWN: ReadonlyMap<string, unknown> = new Map<string, unknown>([
  ['outrigger/header-guard', headerGuard],
  ['outrigger/request-class', requestClass],
]);

export class ExtensionStore {
  readonly log: Log;
  /** Who looks whether one is stuck; null: nobody. */
  readonly watch: ExtensionWatch | null;
  readonly #folders: readonly string[];
  readonly #packages: readonly string[];
  /** By module and digest. */
  readonly #modules = new Map<string, ExtensionModule>();

  /** `places`: folders (a path with a `/`, or `.`) and names of npm packages. */
  constructor(places: readonly string[], log: Log, watch: ExtensionWatch | null = null) {
    this.log = log;
    this.watch = watch;
    this.#folders = places.filter((place) => isFolder(place)).map((place) => resolve(place));
    this.#packages = places.filter((place) => !isFolder(place));
  }

  /** The module; null after reporting why there is none. */
  load({ module: name, digest }: ExtensionWanted, problems: Problem[], path: string): ExtensionModule | null {
    const refuse = (field: string, message: string, remedy: string): null => {
      problems.push(error(`${path}.${field}`, message, remedy));
      return null;
    };
    const own = OWN.get(name);
    if (own !== undefined) {
      if (digest !== '') return refuse('digest', `${name} is a part of the sidecar and has no digest`, 'remove it');
      return this.#checked(name, own, problems, path);
    }
    if (!DIGEST.test(digest))
      return refuse('digest', 'is no digest', 'write sha256: and the 64 hexadecimal digits of sha256sum FILE');
    const key = `${name}@${digest}`;
    const known = this.#modules.get(key);
    if (known !== undefined) return known;
    const file = this.#find(name);
    if (file === null) {
      const places = [...this.#folders, ...this.#packages].join(', ');
      const remedy = places === '' ? 'start the sidecar with --extensions' : `put it into one of: ${places}`;
      return refuse('module', `there is no extension ${JSON.stringify(name)} here`, remedy);
    }
    const source = readSource(file);
    if (source === null)
      return refuse('module', `${file} cannot be read, or is too large`, 'write a file of 1 MiB at most');
    const found = `sha256:${createHash('sha256').update(source).digest('hex')}`;
    if (found !== digest) return refuse('digest', `${file} has ${found}`, 'write that, if it is the one that you mean');
    const module = this.#run(key, source.toString('utf8'), problems, path);
    if (module === null) return null;
    this.#modules.set(key, module);
    this.log.info('an extension was loaded', { extension: name, digest, file });
    return module;
  }

  #run(key: string, source: string, problems: Problem[], path: string): ExtensionModule | null {
    let exported: unknown;
    try {
      exported = withinTime(() => loadModule(key, source));
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      const line = (reason.split('\n')[0] ?? '').slice(0, 300);
      problems.push(error(`${path}.module`, `cannot be loaded: ${line}`, 'correct the module and its digest'));
      return null;
    }
    return this.#checked(key, exported, problems, path);
  }

  /** What a module of any origin must be. */
  #checked(key: string, exported: unknown, problems: Problem[], path: string): ExtensionModule | null {
    const at = `${path}.module`;
    if (!isModule(exported)) {
      problems.push(error(at, 'does not export apiVersion, name and compile', 'docs/extensions.md says what it must'));
      return null;
    }
    if (exported.apiVersion !== EXTENSION_API) {
      const text = `is written for ${JSON.stringify(exported.apiVersion)}`;
      problems.push(error(at, text, `this sidecar speaks ${EXTENSION_API}`));
      return null;
    }
    const name = key.split('@sha256:')[0] ?? key;
    if (exported.name === name) return exported;
    problems.push(error(at, `calls itself ${JSON.stringify(exported.name)}`, `export name = ${JSON.stringify(name)}`));
    return null;
  }

  #find(name: string): string | null {
    if (NAME.test(name))
      for (const folder of this.#folders)
        for (const ending of ENDINGS) {
          const file = join(folder, `${name}${ending}`);
          if (statSync(file, { throwIfNoEntry: false })?.isFile() === true) return file;
        }
    if (!PACKAGE.test(name) || !this.#packages.includes(name)) return null;
    // From where the sidecar was started, as its owner would run it.
    return findPackage(name, process.cwd());
  }
}

function isFolder(place: string): boolean {
  return place.startsWith('.') || place.startsWith('/') || !PACKAGE.test(place);
}

function readSource(file: string): Buffer | null {
  try {
    return statSync(file).size > BYTES_MAX ? null : readFileSync(file);
  } catch {
    // Gone, or not ours to read.
    return null;
  }
}

function isModule(value: unknown): value is ExtensionModule {
  if (typeof value !== 'object' || value === null) return false;
  return (
    'apiVersion' in value &&
    'name' in value &&
    'compile' in value &&
    typeof value.apiVersion === 'string' &&
    typeof value.compile === 'function'
  );
}
