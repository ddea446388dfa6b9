// Where the checkout is that the demo runs from. This code may run from src or from the bundle in dist, so
// it looks upwards for the launcher instead of counting folders.
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

function findRoot(): string {
  for (let folder = dirname(fileURLToPath(import.meta.url)); ; folder = dirname(folder)) {
    if (existsSync(join(folder, 'bin', 'outrigger.js'))) return folder;
    if (folder === dirname(folder)) {
      throw new Error('the demo needs a checkout of Outrigger: clone the repository and run `npm ci && npm run demo`');
    }
  }
}

const ROOT = findRoot();

/** The absolute path of a file of the checkout. */
export function inCheckout(path: string): string {
  return join(ROOT, path);
}
