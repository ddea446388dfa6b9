// The files of a certificate authority in a directory, 0700 with files of mode 0600. What belongs together lies in
// one folder of its own; the names that people know are links through `..data`, which is swapped by one rename, as
// Kubernetes does for mounted Secrets. So readers, other replicas and a crash in the middle see before or after.
//
//   ca-cert.pem ─► ..data/ca-cert.pem     ..data ─► ..ca_18f2c3…/     (plain files that somebody put there work too)
import { randomBytes } from 'node:crypto';
import { watch } from 'node:fs';
import {
  chmod,
  link,
  lstat,
  mkdir,
  open,
  readFile,
  readdir,
  readlink,
  rename,
  rm,
  stat,
  symlink,
} from 'node:fs/promises';
import { join } from 'node:path';
import { AUTHORITY_NAMES, JOIN_KEY, LIFETIME, type AuthorityFiles, type AuthorityStore } from './authority-files.ts';

const DATA = '..data';
const LOCK = '..lock';
const FOLDER = '..ca_';
const DRAFT = '..draft_';
const LINK = '..link_';
const FILE_BYTES_MAX = 1024 * 1024;
const READ_TRIES = 20;
/** A change takes milliseconds: what is so old, or of a time to come after a clock was set back, was left by one who died. */
const STALE_MS = 30_000;
const LOCK_WAIT_MS = 20;
const DEBOUNCE_MS = 50;
const LOOK_MS = 5_000;

export class DirectoryStore implements AuthorityStore {
  readonly place: string;

  constructor(directory: string) {
    this.place = directory;
  }

  async read(): Promise<AuthorityFiles> {
    for (let tries = 0; ; tries += 1) {
      const before = await this.#folder();
      const files = await this.#readAll();
      // Somebody swapped the folder while it was read: once more, for some files may be of before.
      if ((await this.#folder()) === before || tries >= READ_TRIES) return files;
    }
  }

  async update(edit: (files: AuthorityFiles) => Promise<AuthorityFiles | null>): Promise<void> {
    await mkdir(this.place, { recursive: true, mode: 0o700 });
    const unlock = await this.#lock();
    try {
      const before = await this.read();
      const after = await edit(before);
      if (after === null) return;
      await chmod(this.place, 0o700);
      if (!(await this.#isLinked())) await this.#replaceBy(before);
      await this.#replaceBy(after);
      await this.#sweep();
    } finally {
      await unlock();
    }
  }

  async add(name: string, text: string): Promise<string> {
    const path = join(this.place, name);
    const draft = await this.#draft(text);
    try {
      await link(draft, path);
      return text;
    } catch (cause) {
      if (codeOf(cause) !== 'EEXIST') throw cause;
      return await readFile(path, 'utf8');
    } finally {
      await rm(draft, { force: true });
    }
  }

  async put(name: string, text: string): Promise<void> {
    await rename(await this.#draft(text), join(this.place, name));
  }

  watch(onChange: () => void): () => void {
    let debounce: NodeJS.Timeout | null = null;
    const note = (): void => {
      if (debounce !== null) clearTimeout(debounce);
      debounce = setTimeout(onChange, DEBOUNCE_MS).unref();
    };
    const watchers: { close(): void }[] = [];
    try {
      const watcher = watch(this.place, { persistent: false }, note);
      watcher.on('error', () => watcher.close());
      watchers.push(watcher);
    } catch {
      // No watch left, or no directory any more: the look finds out.
    }
    const look = setInterval(onChange, LOOK_MS).unref();
    return () => {
      clearInterval(look);
      if (debounce !== null) clearTimeout(debounce);
      for (const watcher of watchers) watcher.close();
    };
  }

  async #readAll(): Promise<AuthorityFiles> {
    const files = new Map<string, string>();
    for (const name of [...AUTHORITY_NAMES, JOIN_KEY, LIFETIME]) {
      const text = await readBounded(join(this.place, name));
      if (text !== null) files.set(name, text);
    }
    return files;
  }

  /** The folder that `..data` leads to; empty while there is none. */
  async #folder(): Promise<string> {
    return await readlink(join(this.place, DATA)).catch(() => '');
  }

  /** True when every name leads through `..data`, so that swapping it changes all. */
  async #isLinked(): Promise<boolean> {
    for (const name of AUTHORITY_NAMES) {
      const target = await readlink(join(this.place, name)).catch(() => '');
      if (target !== join(DATA, name)) return false;
    }
    return true;
  }

  async #replaceBy(files: AuthorityFiles): Promise<void> {
    const suffix = randomBytes(8).toString('hex');
    const folder = `${FOLDER}${suffix}`;
    await mkdir(join(this.place, folder), { mode: 0o700 });
    for (const name of AUTHORITY_NAMES) {
      const text = files.get(name);
      if (text !== undefined) await writeWhole(join(this.place, folder, name), text);
    }
    await this.#link(folder, DATA);
    for (const name of AUTHORITY_NAMES) await this.#link(join(DATA, name), name);
  }

  /** A link takes the place of what is there, be it a link or a plain file, in one step. */
  async #link(target: string, name: string): Promise<void> {
    const path = join(this.place, name);
    if ((await readlink(path).catch(() => '')) === target) return;
    const draft = join(this.place, `${LINK}${randomBytes(8).toString('hex')}`);
    await symlink(target, draft);
    await rename(draft, path);
  }

  /** Folders that nothing leads to hold keys of before, and drafts of one who died in the middle may hold one. */
  async #sweep(): Promise<void> {
    const current = await this.#folder();
    for (const entry of await readdir(this.place)) {
      const path = join(this.place, entry);
      const isDraft = entry.startsWith(DRAFT) || entry.startsWith(LINK);
      // Files are added without the lock, so a draft may be somebody's who lives.
      const isLeft = isDraft && isStale(await lstat(path).then(({ mtimeMs }) => mtimeMs, Date.now));
      if (isLeft || (entry.startsWith(FOLDER) && entry !== current)) await rm(path, { recursive: true, force: true });
    }
  }

  async #draft(text: string): Promise<string> {
    const path = join(this.place, `${DRAFT}${randomBytes(8).toString('hex')}`);
    await writeWhole(path, text);
    return path;
  }

  async #lock(): Promise<() => Promise<void>> {
    const path = join(this.place, LOCK);
    for (;;) {
      try {
        const held = await open(path, 'wx', 0o600);
        await held.close();
        return async () => await rm(path, { force: true });
      } catch (cause) {
        if (codeOf(cause) !== 'EEXIST') throw cause;
      }
      const found = await stat(path).catch(() => null);
      if (found !== null && isStale(found.mtimeMs)) await rm(path, { force: true });
      else await new Promise((resume) => setTimeout(resume, LOCK_WAIT_MS));
    }
  }
}

/** Names of key files that others than their owner may read. */
export async function readableByOthers(directory: string, names: readonly string[]): Promise<readonly string[]> {
  const found: string[] = [];
  for (const name of names) {
    const mode = await stat(join(directory, name)).then(
      (entry) => entry.mode,
      () => 0,
    );
    if ((mode & 0o077) !== 0) found.push(name);
  }
  return found;
}

/** Null when there is no such file. */
async function readBounded(path: string): Promise<string | null> {
  const found = await stat(path).catch((cause: unknown) => {
    if (codeOf(cause) === 'ENOENT') return null;
    throw cause;
  });
  if (found === null) return null;
  if (!found.isFile() || found.size > FILE_BYTES_MAX)
    throw new Error(`${path} is no file of at most ${FILE_BYTES_MAX} bytes`);
  return await readFile(path, 'utf8').catch((cause: unknown) => {
    if (codeOf(cause) === 'ENOENT') return null;
    throw cause;
  });
}

function isStale(mtimeMs: number): boolean {
  return Math.abs(Date.now() - mtimeMs) > STALE_MS;
}

async function writeWhole(path: string, text: string): Promise<void> {
  const file = await open(path, 'wx', 0o600);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
}

function codeOf(cause: unknown): string {
  return cause instanceof Error && 'code' in cause ? String(cause.code) : '';
}
