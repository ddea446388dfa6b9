// Watches a directory of rule files: `.yaml`, `.yml` and `.json` in it and its folders, dot files left
// out. fs.watch says when to look, a slow poll looks where it cannot. A file is read when it has kept
// still for a moment, so that a half-written one is not taken for the whole.
import { watch } from 'node:fs';
import type { FSWatcher } from 'node:fs';
import { readFile, readdir, stat } from 'node:fs/promises';
import { join, relative } from 'node:path';
import type { Log } from '../base/log.ts';
import { limits } from '../config/limits.ts';

export interface DirectorySourceOptions {
  readonly directory: string;
  readonly log: Log;
  /** The path is `file` as the user would write it. */
  readonly onFile: (file: string, text: string) => void;
  readonly onRemoved: (file: string) => void;
  /** How long a changed file must keep still before it is read; 30 ms by default. */
  readonly stillMs?: number;
  /** How long a file that became empty, or vanished, may stay so before it is believed; 250 ms by default. */
  readonly emptyMs?: number;
  /** 1 s by default. */
  readonly pollMs?: number;
}

interface Seen {
  /** Inode, size and modification time of what was read last; empty before the first reading. */
  readSignature: string;
  signature: string;
  sinceMs: number;
  isEmpty: boolean;
}

/** A folder that links to itself ends here. */
const PATH_CHARACTERS_MAX = 1024;

const EXTENSION = /\.(?:ya?ml|json)$/i;

export class DirectorySource {
  readonly #options: DirectorySourceOptions;
  readonly #stillMs: number;
  readonly #emptyMs: number;
  readonly #seen = new Map<string, Seen>();
  #watcher: FSWatcher | null = null;
  #poll: NodeJS.Timeout | null = null;
  #soon: NodeJS.Timeout | null = null;
  #scanning: Promise<void> | null = null;
  #isClosed = false;

  constructor(options: DirectorySourceOptions) {
    this.#options = options;
    this.#stillMs = options.stillMs ?? 30;
    this.#emptyMs = options.emptyMs ?? 250;
  }

  /** Reads everything that is there, then goes on watching. Rejects when the directory cannot be read. */
  async start(): Promise<void> {
    await readdir(this.#options.directory);
    await this.#scan(true);
    try {
      this.#watcher = watch(this.#options.directory, { recursive: true }, () => this.#scanSoon(5));
      this.#watcher.on('error', (cause) =>
        this.#options.log.warning('cannot watch the rules, polling instead', { cause: String(cause) }),
      );
    } catch (cause) {
      this.#options.log.warning('cannot watch the rules, polling instead', { cause: String(cause) });
    }
    this.#poll = setInterval(() => this.#scanSoon(0), this.#options.pollMs ?? 1_000).unref();
  }

  async stop(): Promise<void> {
    this.#isClosed = true;
    this.#watcher?.close();
    if (this.#poll !== null) clearInterval(this.#poll);
    if (this.#soon !== null) clearTimeout(this.#soon);
    await this.#scanning;
  }

  #scanSoon(delayMs: number): void {
    if (this.#isClosed || this.#soon !== null) return;
    this.#soon = setTimeout(() => {
      this.#soon = null;
      if (this.#scanning !== null) {
        this.#scanSoon(this.#stillMs);
        return;
      }
      this.#scanning = this.#scan(false)
        .catch((cause: unknown) => {
          // Whoever takes the files failed: our own mistake, and no reason to lose the process and the other rules.
          this.#options.log.error('a rule file could not be taken', { cause: String(cause) });
        })
        .finally(() => {
          this.#scanning = null;
        });
    }, delayMs).unref();
  }

  async #scan(isFirst: boolean): Promise<void> {
    let files: readonly string[];
    try {
      files = await this.#list(this.#options.directory);
    } catch (cause) {
      // A directory that cannot be read for a moment (a mount being swapped) changes nothing.
      this.#options.log.warning('cannot read the rules directory; the rules stay in force', { cause: String(cause) });
      return;
    }
    let isRestless = false;
    for (const file of files) isRestless = (await this.#look(file, isFirst)) || isRestless;
    for (const [file, seen] of this.#seen) {
      if (files.includes(file)) continue;
      isRestless = this.#vanish(file, seen) || isRestless;
    }
    if (isRestless) this.#scanSoon(this.#stillMs);
  }

  /** Returns true when the file must be looked at again soon. */
  async #look(file: string, isFirst: boolean): Promise<boolean> {
    const path = join(this.#options.directory, file);
    const found = await stat(path).catch(() => null);
    if (found === null || !found.isFile()) return true;
    const signature = `${found.ino} ${found.size} ${found.mtimeMs}`;
    const nowMs = performance.now();
    const seen = this.#seen.get(file) ?? { readSignature: '', signature: '', sinceMs: nowMs, isEmpty: true };
    this.#seen.set(file, seen);
    if (seen.signature !== signature) {
      seen.signature = signature;
      seen.sinceMs = nowMs;
    }
    if (seen.readSignature === signature) return false;
    const waitMs = found.size === 0 && !seen.isEmpty ? this.#emptyMs : this.#stillMs;
    if (!isFirst && nowMs - seen.sinceMs < waitMs) return true;
    if (found.size > limits.fileBytesMax * 2) {
      this.#options.log.warning('a rule file is far too large and is not read', { file: path, bytes: found.size });
      seen.readSignature = signature;
      return false;
    }
    const text = await readFile(path, 'utf8').catch(() => null);
    const after = await stat(path).catch(() => null);
    if (text === null || after === null || `${after.ino} ${after.size} ${after.mtimeMs}` !== signature) return true;
    seen.readSignature = signature;
    seen.isEmpty = found.size === 0;
    if (!this.#isClosed) this.#options.onFile(path, text);
    return false;
  }

  #vanish(file: string, seen: Seen): boolean {
    const nowMs = performance.now();
    if (seen.signature !== 'gone') {
      seen.signature = 'gone';
      seen.sinceMs = nowMs;
    }
    // An editor that saves by renaming makes the file vanish for an instant.
    if (nowMs - seen.sinceMs < this.#stillMs) return true;
    this.#seen.delete(file);
    if (seen.readSignature !== '' && !this.#isClosed) this.#options.onRemoved(join(this.#options.directory, file));
    return false;
  }

  async #list(directory: string): Promise<readonly string[]> {
    const found: string[] = [];
    const folders = [directory];
    for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
      for (const entry of await readdir(folder, { withFileTypes: true })) {
        if (entry.name.startsWith('.')) continue;
        const path = join(folder, entry.name);
        const isFolder =
          entry.isDirectory() ||
          (entry.isSymbolicLink() && ((await stat(path).catch(() => null))?.isDirectory() ?? false));
        if (isFolder && path.length < PATH_CHARACTERS_MAX) folders.push(path);
        else if (!isFolder && EXTENSION.test(entry.name)) found.push(relative(directory, path));
      }
      if (found.length > limits.filesMax) throw new Error(`more than ${limits.filesMax} rule files`);
    }
    return found.toSorted();
  }
}
