// Reads rule files and directories that were named on the command line.
import { readFile, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';

export interface RuleFile {
  readonly file: string;
  readonly text: string;
}

/** Every file as given, every directory with its folders, in order. Throws when a path cannot be read. */
export async function readRuleFiles(paths: readonly string[]): Promise<readonly RuleFile[]> {
  const files: RuleFile[] = [];
  for (const path of paths) {
    const found = await stat(path).catch((cause: unknown) => {
      throw new Error(`cannot read ${path}`, { cause });
    });
    if (!found.isDirectory()) {
      files.push({ file: path, text: await readFile(path, 'utf8') });
      continue;
    }
    const entries = await readdir(path, { withFileTypes: true, recursive: true });
    const names = entries
      .filter((entry) => !entry.isDirectory() && /\.(?:ya?ml|json)$/i.test(entry.name))
      .map((entry) => join(entry.parentPath, entry.name));
    const visible = names.filter(
      (name) =>
        !name
          .slice(path.length)
          .split('/')
          .some((part) => part.startsWith('.')),
    );
    for (const name of visible.toSorted()) files.push({ file: name, text: await readFile(name, 'utf8') });
  }
  return files;
}
