// The program that a container runtime calls, on a node that has neither Node nor Outrigger: a copy of the image, and a script
// that starts it with the image's own libraries. Iptables are the image's, too (`chroot`). A copy is made beside the one in use
// and then takes its place; the one before stays, because a plugin may be running from it.
import { createHash } from 'node:crypto';
import { cp, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import type { NodeFolder } from './node-folder.ts';
import { PLUGIN_TYPE } from './network-list.ts';

/** Under which the script says where a copy of the image is, for what has to run with its iptables. */
export const IMAGE_VARIABLE = 'OUTRIGGER_IMAGE_ROOT';
const ENTRY = 'app/dist/outrigger.js';
/** What the program needs of the image; all else is for people. */
const COPIED = ['app', 'usr/bin', 'usr/sbin', 'usr/lib', 'usr/lib64', 'bin', 'sbin', 'lib', 'lib64', 'etc', 'tmp'];
const LOADERS: Readonly<Record<string, string>> = {
  x64: 'usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2',
  arm64: 'usr/lib/aarch64-linux-gnu/ld-linux-aarch64.so.1',
};

export interface NodeProgramOptions {
  readonly binaries: NodeFolder;
  readonly home: NodeFolder;
  /** The root of the image that is copied; empty: the node runs the program from where it is. */
  readonly image: string;
}

/** Again changes nothing. */
export async function putProgram({ binaries, home, image }: NodeProgramOptions): Promise<void> {
  await binaries.make();
  const before = await binaries.read(PLUGIN_TYPE);
  const lines = image === '' ? inPlace() : copied(home.path, await copyImage(image, home));
  const script = ['#!/bin/sh', '# Written by `outrigger cni install`, and removed with it.', ...lines, ''].join('\n');
  await binaries.write(PLUGIN_TYPE, script, 0o755);
  if (image === '') return;
  for (const name of await home.names())
    if (!script.includes(`/${name}'`) && before?.includes(`/${name}'`) !== true) await home.remove(name);
}

export async function removeProgram({ binaries, home, image }: NodeProgramOptions): Promise<void> {
  await binaries.remove(PLUGIN_TYPE);
  if (image === '') return;
  for (const name of await home.names()) await home.remove(name);
}

/** The name of the copy: of the same program it is the same. */
async function copyImage(image: string, home: NodeFolder): Promise<string> {
  await home.make();
  const hash = createHash('sha256').update(await readFile(join(image, ENTRY)));
  const name = hash.update(process.version).digest('hex').slice(0, 16);
  if ((await home.names()).includes(name)) return name;
  const growing = `.${name}`;
  await home.remove(growing);
  for (const part of COPIED)
    await cp(join(image, part), home.at(join(growing, part)), {
      recursive: true,
      verbatimSymlinks: true,
      // What runs in a pod has things of that pod here.
      filter: (path) => !path.startsWith(join(image, 'tmp/')),
    });
  await rename(home.at(growing), home.at(name));
  return name;
}

function copied(home: string, name: string): readonly string[] {
  const loader = LOADERS[process.arch] ?? '';
  const root = join(home, name);
  const libraries = loader.slice(0, loader.lastIndexOf('/'));
  return [
    `root=${quoted(root)}`,
    `export ${IMAGE_VARIABLE}="$root"`,
    `exec "$root/${loader}" --library-path "$root/${libraries}" "$root/usr/bin/node" "$root/${ENTRY}" cni`,
  ];
}

function inPlace(): readonly string[] {
  return [`exec ${[process.execPath, process.argv[1] ?? ''].map(quoted).join(' ')} cni`];
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
