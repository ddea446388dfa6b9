// Memory that only starting needed, given back to the kernel once per process: pages of the program and its
// libraries that were read while Node and V8 set themselves up, and free blocks that the C library kept.
// It drops nothing that is not in a file unchanged, so a page that is wanted again comes back from the page
// cache. Linux with koffi only; elsewhere, and when anything is not as expected, it does nothing.
import { readFile } from 'node:fs/promises';

/** madvise(2): the pages may go; clean pages of a file are read again when they are touched. */
const MADV_DONTNEED = 4;

/** From /proc/self/smaps (proc(5)): where a private mapping of a file that nobody may write to begins and ends. */
const READ_ONLY_FILE = /^([0-9a-f]+)-([0-9a-f]+) r-[x-]p [0-9a-f]+ \S+ [1-9]\d* +\//;
/** No page of the mapping was changed, which the dynamic linker does before it takes the right to write away. */
const IS_UNCHANGED = /^Anonymous: +0 kB$/m;

export interface Mapping {
  readonly start: number;
  readonly bytes: number;
}

/** Resolves to how many bytes of mappings were offered to the kernel; 0 where it cannot be done. Never rejects. */
export async function dropStartPages(): Promise<number> {
  if (process.platform !== 'linux') return 0;
  try {
    const { default: koffi } = await import('koffi');
    const library = koffi.load(null);
    const advise = library.func('int madvise(uintptr_t, size_t, int)');
    const trim = library.func('int malloc_trim(size_t)');
    const mappings = unchangedFileMappings(await readFile('/proc/self/smaps', 'latin1'));
    trim(0);
    let bytes = 0;
    for (const mapping of mappings) {
      if (advise(mapping.start, mapping.bytes, MADV_DONTNEED) === 0) bytes += mapping.bytes;
    }
    return bytes;
  } catch {
    // Another C library, no build of koffi, no /proc: the memory stays, and nothing else is wrong.
    return 0;
  }
}

/** The mappings in the text of /proc/self/smaps whose every page is as in its file. */
export function unchangedFileMappings(smaps: string): readonly Mapping[] {
  const found: Mapping[] = [];
  for (const block of smaps.split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m)) {
    const [, from, to] = READ_ONLY_FILE.exec(block) ?? [];
    if (from === undefined || to === undefined || !IS_UNCHANGED.test(block)) continue;
    const start = Number.parseInt(from, 16);
    found.push({ start, bytes: Number.parseInt(to, 16) - start });
  }
  return found;
}
