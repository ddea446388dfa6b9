// Watches the files behind secrets and says when their content may have changed. What is watched are the
// directories, so that a file that is replaced by renaming is seen, and so is Kubernetes' way: the link
// `..data` beside the files is swapped, and all of them change at once. A slow look now and then catches what
// the kernel could not tell (no watch left, a directory that was made anew).
import { watch, type FSWatcher } from 'node:fs';
import { dirname } from 'node:path';

/** Both files of a pair are written before they are read. */
const DEBOUNCE_MS = 100;
const LOOK_MS = 10_000;

export class FileWatch {
  readonly #directories: readonly string[];
  readonly #onChange: () => void;
  #watchers: FSWatcher[] = [];
  #debounce: NodeJS.Timeout | null = null;
  readonly #look: NodeJS.Timeout;

  /** `directories` beside those of the files: watched_directory of Envoy. Nothing here keeps the process alive. */
  constructor(files: readonly string[], directories: readonly string[], onChange: () => void) {
    this.#directories = [...new Set([...files.map((file) => dirname(file)), ...directories])];
    this.#onChange = onChange;
    this.#open();
    this.#look = setInterval(() => {
      this.#open();
      this.#onChange();
    }, LOOK_MS).unref();
  }

  close(): void {
    clearInterval(this.#look);
    if (this.#debounce !== null) clearTimeout(this.#debounce);
    for (const watcher of this.#watchers) watcher.close();
    this.#watchers = [];
  }

  /** Directories may have been replaced, and a watch stays with what it was opened on: all are opened anew. */
  #open(): void {
    for (const watcher of this.#watchers) watcher.close();
    this.#watchers = this.#directories.flatMap((directory) => {
      try {
        const watcher = watch(directory, { persistent: false }, () => this.#changed());
        // A watch that breaks later is opened again with the next look.
        watcher.on('error', () => watcher.close());
        return [watcher];
      } catch {
        // Not there, or no watch left: the look finds out.
        return [];
      }
    });
  }

  #changed(): void {
    if (this.#debounce !== null) clearTimeout(this.#debounce);
    this.#debounce = setTimeout(() => this.#onChange(), DEBOUNCE_MS).unref();
  }
}
