// A folder of the node, as the node calls it and as we reach it (the node's root may be mounted somewhere). Files are written
// whole or not at all, because a container runtime may read them at any moment.
import { mkdir, readFile, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

export class NodeFolder {
  /** On the node. */
  readonly path: string;
  /** For us. */
  readonly reached: string;

  /** `root`: where the node's root is for us; empty: it is ours. */
  constructor(root: string, path: string) {
    this.path = path;
    this.reached = root === '' ? path : join(root, path);
  }

  async make(): Promise<void> {
    await mkdir(this.reached, { recursive: true });
  }

  /** In alphabetical order, as runtimes read them; none where there is no such folder. */
  async names(): Promise<readonly string[]> {
    const names: readonly string[] = await readdir(this.reached).catch(() => []);
    return names.toSorted();
  }

  /** Null: there is no such file. */
  async read(name: string): Promise<string | null> {
    return await readFile(this.at(name), 'utf8').catch(() => null);
  }

  /** True when it had other contents before. */
  async write(name: string, text: string, mode: number): Promise<boolean> {
    if ((await this.read(name)) === text) return false;
    // No runtime takes a file of this name for a configuration.
    const made = this.at(`.${name}.outrigger-new`);
    await writeFile(made, text, { mode });
    await rename(made, this.at(name));
    return true;
  }

  async move(from: string, to: string): Promise<void> {
    await rename(this.at(from), this.at(to));
  }

  async remove(name: string): Promise<void> {
    await rm(this.at(name), { recursive: true, force: true });
  }

  at(name: string): string {
    return join(this.reached, name);
  }
}
