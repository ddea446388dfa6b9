// A copy of the bookshop's rules in a temporary directory, edited by the story the way a person would:
// one file at a time, replaced as a whole so that no reader sees half of it.
import { cp, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export class RulesCopy {
  readonly directory: string;

  private constructor(directory: string) {
    this.directory = directory;
  }

  static async of(source: string): Promise<RulesCopy> {
    const directory = await mkdtemp(join(tmpdir(), 'outrigger-rules-'));
    await cp(source, directory, { recursive: true });
    return new RulesCopy(directory);
  }

  read(file: string): Promise<string> {
    return readFile(join(this.directory, file), 'utf8');
  }

  /** Replaces the file's text by what `change` makes of it; throws when that is the same text. */
  async edit(file: string, change: (text: string) => string): Promise<void> {
    const before = await this.read(file);
    const after = change(before);
    if (after === before)
      throw new Error(`the edit of ${file} changed nothing; the story expects the rules as they come`);
    await this.write(file, after);
  }

  async write(file: string, text: string): Promise<void> {
    const draft = join(this.directory, `.${file}.draft`);
    await writeFile(draft, text);
    await rename(draft, join(this.directory, file));
  }

  async remove(): Promise<void> {
    await rm(this.directory, { recursive: true, force: true });
  }
}

/** Writes the two weights of the rule `canary` in reviews.yaml. */
export function setCanaryWeights(text: string, v1: number | string, v2: number | string): string {
  const weights = [v1, v2];
  const start = text.indexOf('name: canary');
  let index = 0;
  const tail = text.slice(start).replaceAll(/weight: .*/g, (line) => {
    const weight = weights[index++];
    return weight === undefined ? line : `weight: ${weight}`;
  });
  return text.slice(0, start) + tail;
}
