// The next thing to try, printed under the table: which file, which line, what to write there, and what
// will be seen. Lines are looked up in the file as it is now, so that a hint stays true while somebody edits.
import { readFileSync } from 'node:fs';
import { join, relative } from 'node:path';

export interface Hint {
  /** `examples/bookshop/rules/reviews.yaml:57` */
  readonly place: string;
  readonly text: string;
}

interface HintTemplate {
  readonly file: string;
  /** Found in the line that the hint is about; the first line after `after` that contains it. */
  readonly after: string;
  readonly find: string;
  readonly text: string;
}

const TEMPLATES: readonly HintTemplate[] = [
  {
    file: 'reviews.yaml',
    after: 'name: canary',
    find: 'weight:',
    text: 'change the two weights to 50 and 50, save: half of all reviews come from v2 within a second',
  },
  {
    file: 'reviews.yaml',
    after: 'exact: jason',
    find: 'subset:',
    text: 'now v3 for one reader: curl -s -H "end-user: jason" DOOR/books/1',
  },
  {
    file: 'catalog.yaml',
    after: 'name: slow',
    find: 'timeout:',
    text: 'a page may take this long; see a 504: curl -si -H "host: catalog" "OUTBOUND/slow?ms=2000"',
  },
  {
    file: 'reviews.yaml',
    after: 'name: canary',
    find: 'weight:',
    text: 'write "weight: ninety" and save: the rule is refused with its place, and traffic goes on as it was',
  },
  {
    file: 'catalog.yaml',
    after: 'name: old-shelf',
    find: 'uri: /books/',
    text: 'a rewrite: curl -s -H "host: catalog" OUTBOUND/shelf/2 shows the path that the app received',
  },
];

export interface HintPlaces {
  readonly rulesDirectory: string;
  /** The directory that places are shown relative to. */
  readonly from: string;
  /** `http://127.0.0.1:8080` */
  readonly door: string;
  readonly outbound: string;
}

/** All hints that hold for the files as they are now; a hint whose line is gone is left out. */
export function currentHints({ rulesDirectory, from, door, outbound }: HintPlaces): Hint[] {
  const hints: Hint[] = [];
  for (const template of TEMPLATES) {
    const path = join(rulesDirectory, template.file);
    const line = lineOf(path, template.after, template.find);
    if (line === 0) continue;
    const text = template.text.replace('DOOR', door).replace('OUTBOUND', outbound);
    hints.push({ place: `${relative(from, path)}:${line}`, text });
  }
  return hints;
}

/** The 1-based number of the first line with `find` after the first line with `after`; 0 when there is none. */
export function lineOf(path: string, after: string, find: string): number {
  let lines: string[] = [];
  try {
    lines = readFileSync(path, 'utf8').split('\n');
  } catch {
    // An editor may be replacing the file at this very moment: no hint this time.
    return 0;
  }
  const start = lines.findIndex((line) => line.includes(after));
  if (start === -1) return 0;
  const offset = lines.slice(start + 1).findIndex((line) => line.includes(find));
  return offset === -1 ? 0 : start + offset + 2;
}
