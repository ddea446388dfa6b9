// What a sidecar gives back once it has started: only mappings of files whose every page is as in the file may
// be dropped, as smaps lists them, and a process that has dropped them must go on as before.
// The second test does it to the process that runs the tests.
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { dropStartPages, unchangedFileMappings } from '../../../src/sidecar/start-pages.ts';

interface Row {
  readonly name: string;
  readonly head: string;
  readonly anonymousKibibytes: number;
  readonly isDropped: boolean;
}

const ROWS: readonly Row[] = [
  {
    name: 'code of the program',
    head: '1000-3000 r-xp 00001000 00:1e 77 /node',
    anonymousKibibytes: 0,
    isDropped: true,
  },
  { name: 'its constants', head: '1000-3000 r--p 00000000 00:1e 77 /my node', anonymousKibibytes: 0, isDropped: true },
  {
    name: 'what the linker changed',
    head: '1000-3000 r--p 00000000 00:1e 77 /node',
    anonymousKibibytes: 4,
    isDropped: false,
  },
  { name: 'variables', head: '1000-3000 rw-p 00000000 00:1e 77 /node', anonymousKibibytes: 0, isDropped: false },
  { name: 'the heap', head: '1000-3000 rw-p 00000000 00:00 0 [heap]', anonymousKibibytes: 8, isDropped: false },
  { name: 'memory of nobody', head: '1000-3000 r--p 00000000 00:00 0', anonymousKibibytes: 0, isDropped: false },
  { name: 'code that was made here', head: '1000-3000 r-xp 00000000 00:00 0', anonymousKibibytes: 8, isDropped: false },
  { name: 'the kernel’s own', head: '1000-3000 r-xp 00000000 00:00 0 [vdso]', anonymousKibibytes: 0, isDropped: false },
  { name: 'a shared mapping', head: '1000-3000 r--s 00000000 00:1e 77 /node', anonymousKibibytes: 0, isDropped: false },
];

test.each(ROWS)('$name: dropped is $isDropped', ({ head, anonymousKibibytes, isDropped }) => {
  const blockOf = (line: string): string =>
    `${line}\nSize:                  8 kB\nAnonymous:      ${String(anonymousKibibytes).padStart(8)} kB\nVmFlags: rd mr mw me\n`;
  const other = 'a000-b000 rw-p 00000000 00:00 0\nSize: 4 kB\nAnonymous:             4 kB\n';
  const expected = isDropped ? [{ start: 0x1000, bytes: 0x2000 }] : [];
  expect(unchangedFileMappings(other + blockOf(head) + other)).toEqual(expected);
});

test('a process that dropped what only its start needed holds less of its files, and goes on', async () => {
  const before = fileBytes();
  expect(await dropStartPages()).toBeGreaterThan(0);
  expect(fileBytes()).toBeLessThan(before);
});

/** Resident pages of files. */
function fileBytes(): number {
  const [, kibibytes = ''] = /^RssFile:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8')) ?? [];
  return Number(kibibytes) * 1024;
}
