// The entry file of an npm package that is an extension: what its `exports` say to who imports it, or else what `require`
// finds. Looked for from one folder upwards, as Node does.
// Source: Node.js documentation, Modules: Packages (conditional exports).
import { readFileSync } from 'node:fs';
import { createRequire, findPackageJSON } from 'node:module';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';

const CONDITIONS: ReadonlySet<string> = new Set(['node', 'import', 'module-sync', 'default']);
const NESTED_MAX = 8;

/** Null when it is not installed in or above `folder`, or has no entry. */
export function findPackage(name: string, folder: string): string | null {
  const from = pathToFileURL(join(folder, 'package.json'));
  const imported = findImported(name, from);
  if (imported !== null) return imported;
  try {
    return createRequire(from).resolve(name);
  } catch {
    // Not installed, or without an entry.
    return null;
  }
}

function findImported(name: string, from: URL): string | null {
  try {
    const file = findPackageJSON(name, from);
    if (file === undefined) return null;
    const manifest: unknown = JSON.parse(readFileSync(file, 'utf8'));
    const exported =
      typeof manifest === 'object' && manifest !== null && 'exports' in manifest ? manifest.exports : null;
    const entry = entryOf(exported, 0);
    return entry === null ? null : join(dirname(file), entry);
  } catch {
    // Not installed, or not a package.
    return null;
  }
}

/** The first of the conditions that hold, in their order; `.` is the package itself. */
function entryOf(exported: unknown, depth: number): string | null {
  // Never out of the package.
  if (typeof exported === 'string') return exported.startsWith('./') && !exported.includes('..') ? exported : null;
  if (typeof exported !== 'object' || exported === null || depth > NESTED_MAX) return null;
  for (const [key, value] of Object.entries(exported)) {
    if (key !== '.' && !CONDITIONS.has(key)) continue;
    const found = entryOf(value, depth + 1);
    if (found !== null) return found;
  }
  return null;
}
