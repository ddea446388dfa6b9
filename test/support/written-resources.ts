// Every resource of a kind of ours that stands in examples/ and in the golden files, as plain objects: what users write.
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import { PROJECT_ROOT } from './real-parts.ts';

export interface WrittenResource {
  readonly file: string;
  readonly kind: string;
  readonly value: Readonly<Record<string, unknown>>;
}

/** What follows in a golden file is what is expected. */
const EXPECTED = /^#={10,}.*$/m;

export function writtenResources(kinds: ReadonlySet<string>): readonly WrittenResource[] {
  const files = globSync(['examples/**/*.yaml', 'test/golden/control/*.yaml'], { cwd: PROJECT_ROOT }).toSorted();
  return files.flatMap((file) => {
    const [given = ''] = readFileSync(join(PROJECT_ROOT, file), 'utf8').split(EXPECTED);
    return parseAllDocuments(given, { merge: true }).flatMap((document) => {
      const root: unknown = document.errors.length > 0 ? null : document.toJS();
      const items: unknown = isRecord(root) && Array.isArray(root['items']) ? root['items'] : [root];
      return (Array.isArray(items) ? items : []).flatMap((value: unknown): WrittenResource[] => {
        const kind: unknown = isRecord(value) ? value['kind'] : '';
        return isRecord(value) && typeof kind === 'string' && kinds.has(kind) ? [{ file, kind, value }] : [];
      });
    });
  });
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
