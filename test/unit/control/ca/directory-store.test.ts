// The directory of an authority as crashes, clocks and people leave it. A change is whole or not there, whenever its
// writer is killed; what a dead one left holds nobody up, and no key stays behind.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, readdir, rm, stat, symlink, unlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { formatProblem, type Problem } from '../../../../src/base/problem.ts';
import { readMaterial } from '../../../../src/control/ca/authority-material.ts';
import { DirectoryStore } from '../../../../src/control/ca/directory-store.ts';
import { makeFirstRoot } from '../../../../src/control/ca/first-root.ts';
import { readRotation } from '../../../../src/control/ca/rotation.ts';

const ROTATING = fileURLToPath(new URL('../../../support/rotating-child.ts', import.meta.url));
const HOUR_MS = 3_600_000;

let place = '';
let store: DirectoryStore;

beforeEach(async () => {
  place = await mkdtemp(join(tmpdir(), 'outrigger-store-'));
  store = new DirectoryStore(place);
  await makeFirstRoot(store, 'cluster.local', Date.now());
});

afterEach(async () => await rm(place, { recursive: true, force: true }));

/** Roots by the stage of a rotation; or what is wrong with the directory. */
async function standing(): Promise<string> {
  const files = await store.read();
  const problems: Problem[] = [];
  const material = readMaterial(files, Date.now(), problems);
  const state = readRotation(files);
  if (material === null || problems.length > 0) return problems.map(formatProblem).join('; ');
  if (typeof state === 'string') return state;
  const isWhole = (state.stage === 'none') !== (files.has('other-key.pem') && files.has('other-cert.pem'));
  return isWhole ? `${state.stage} ${material.roots.length}` : 'half of a rotation';
}

/** Makes a name as old as `ageMs`. */
async function age(name: string, ageMs: number): Promise<void> {
  const time = new Date(Date.now() - ageMs);
  await utimes(join(place, name), time, time).catch(() => {});
}

async function touch(): Promise<void> {
  await store.update((files) => Promise.resolve(files));
}

describe('the directory of an authority', () => {
  it('holds one whole state, whenever the one who changes it is killed', async () => {
    for (let round = 0; round < 6; round++) {
      await age('..lock', HOUR_MS);
      const child = spawn(process.execPath, [ROTATING, place], { stdio: ['ignore', 'pipe', 'inherit'] });
      await once(child.stdout, 'data');
      const killed = once(child, 'exit');
      setTimeout(() => child.kill('SIGKILL'), round * 3);
      await killed;
      expect(['none 1', 'started 2', 'switched 2']).toContain(await standing());
    }
  });

  it.each([
    ['an hour ago', HOUR_MS],
    ['in an hour, for the clock was set back', -HOUR_MS],
  ])('is not locked by one who died %s', async (_, ageMs) => {
    await writeFile(join(place, '..lock'), '');
    await age('..lock', ageMs);
    await touch();
    expect(await readdir(place)).not.toContain('..lock');
  });

  it('keeps no draft of one who died, and that of one who lives', async () => {
    for (const name of ['..draft_1', '..draft_2']) await writeFile(join(place, name), 'KEY');
    await symlink('nowhere', join(place, '..link_1'));
    await age('..draft_1', HOUR_MS);
    await touch();
    expect((await readdir(place)).filter((name) => /^\.\.(?:draft|link)/.test(name)).toSorted()).toEqual([
      '..draft_2',
      '..link_1',
    ]);
  });

  it.each<[string, () => Promise<void>, RegExp]>([
    ['is missing', () => unlink(join(place, 'ca-key.pem')), /^ca-key\.pem: is missing/],
    ['is half written', () => half('ca-cert.pem'), /^ca-cert\.pem: holds no PEM certificate/],
    ['has a half of another', () => half('root-cert.pem'), /^root-cert\.pem: holds no PEM certificate/],
    ['has nothing in it', () => write('ca-key.pem', ''), /^ca-key\.pem: /],
    ['is not text', () => write('root-cert.pem', '\0\xff'), /^root-cert\.pem: holds no PEM/],
    ['says nonsense of a rotation', () => write('rotation.json', '{"stage":"done"}'), /names no stage/],
  ])('says so when a file %s', async (_, damage, expected) => {
    await damage();
    expect(await standing()).toMatch(expected);
  });

  it.each<[string, () => Promise<void>]>([
    ['a folder', () => replaceBy('ca-cert.pem', '/')],
    ['too large', () => write('ca-cert.pem', 'A'.repeat(1024 * 1024 + 1))],
    ['a link in a circle', () => replaceBy('ca-cert.pem', 'ca-cert.pem')],
  ])('cannot be read while a file is %s', async (_, damage) => {
    await damage();
    await expect(store.read()).rejects.toThrow();
  });

  it('is closed again by the next change when somebody has opened it', async () => {
    await chmod(place, 0o777);
    await touch();
    expect((await stat(place)).mode & 0o777).toBe(0o700);
  });
});

async function write(name: string, text: string): Promise<void> {
  await rm(join(place, name), { force: true });
  await writeFile(join(place, name), text);
}

async function half(name: string): Promise<void> {
  const text = (await store.read()).get(name) ?? '';
  await write(name, text.slice(0, text.length / 2));
}

async function replaceBy(name: string, target: string): Promise<void> {
  await rm(join(place, name), { force: true });
  await symlink(target, join(place, name));
}
