// The directory source on a real directory: what it sees of creations, replacements, half-written files,
// deletions and folders.
import { mkdir, mkdtemp, rename, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { silentLog } from '../../../src/base/log.ts';
import { DirectorySource } from '../../../src/control/directory-source.ts';

let directory = '';
let source: DirectorySource;
const events: string[] = [];
let wake: () => void = () => {};

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'outrigger-source-'));
  events.length = 0;
  const note = (event: string): void => {
    events.push(event);
    wake();
  };
  source = new DirectorySource({
    directory,
    log: silentLog,
    pollMs: 100,
    onFile: (file, text) => note(`${relative(directory, file)}=${text}`),
    onRemoved: (file) => note(`${relative(directory, file)} removed`),
  });
});

afterEach(async () => {
  await source.stop();
  await rm(directory, { recursive: true });
});

async function until(...expected: readonly string[]): Promise<void> {
  while (events.length < expected.length) await new Promise<void>((resolve) => (wake = resolve));
  expect(events).toEqual(expected);
}

const at = (name: string): string => join(directory, name);

test('reads what is there at the start, folders too, and leaves out dot files and other endings', async () => {
  await mkdir(at('sub'));
  await Promise.all([
    writeFile(at('b.yml'), 'b'),
    writeFile(at('sub/c.json'), 'c'),
    writeFile(at('a.yaml'), 'a'),
    writeFile(at('.hidden.yaml'), 'x'),
    writeFile(at('notes.txt'), 'x'),
  ]);
  await source.start();
  expect(events).toEqual(['a.yaml=a', 'b.yml=b', 'sub/c.json=c']);
});

test('sees a file that is replaced as a whole', async () => {
  await writeFile(at('a.yaml'), 'one');
  await source.start();
  await writeFile(at('.a.new'), 'two');
  await rename(at('.a.new'), at('a.yaml'));
  await until('a.yaml=one', 'a.yaml=two');
});

test('sees new files in new folders, and deletions', async () => {
  await source.start();
  await mkdir(at('late'));
  await writeFile(at('late/a.yaml'), 'a');
  await until('late/a.yaml=a');
  await rm(at('late'), { recursive: true });
  await until('late/a.yaml=a', 'late/a.yaml removed');
});

test('does not take a file that is being rewritten for an empty one', async () => {
  await writeFile(at('a.yaml'), 'one');
  await source.start();
  await truncate(at('a.yaml'));
  await new Promise((resolve) => setTimeout(resolve, 80));
  await writeFile(at('a.yaml'), 'two');
  await until('a.yaml=one', 'a.yaml=two');
});

test('goes on when a file cannot be taken', async () => {
  const taken: string[] = [];
  const { promise, resolve } = Promise.withResolvers<void>();
  const strict = new DirectorySource({
    directory,
    log: silentLog,
    pollMs: 100,
    onFile: (_file, text) => {
      if (text === 'bad') throw new Error('a mistake of ours');
      taken.push(text);
      resolve();
    },
    onRemoved: () => {},
  });
  await strict.start();
  await Promise.all([writeFile(at('a.yaml'), 'bad'), writeFile(at('b.yaml'), 'good')]);
  await promise;
  await strict.stop();
  expect(taken).toEqual(['good']);
});

test('refuses to start on a directory that is not there', async () => {
  const absent = new DirectorySource({
    directory: at('absent'),
    log: silentLog,
    onFile: () => {},
    onRemoved: () => {},
  });
  await expect(absent.start()).rejects.toThrow('ENOENT');
});
