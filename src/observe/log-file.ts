// Batched writers for access logs, one per path, shared by every logger that names the path. A line
// is only appended to a string; one write carries 64 KiB or what gathered in a second, as Envoy's
// flush interval. One write is under way at a time. While the disk is slow or failing, lines wait
// up to a bound and are then dropped and counted: a request never waits and never fails for its log.
//
//   append ─► │ gathering │ ─► │ waiting ≤ 4 MiB │ ─► write (one at a time) ─► file
import { constants, write } from 'node:fs';
import { open } from 'node:fs/promises';
import { isMainThread } from 'node:worker_threads';
import type { Registry } from './registry.ts';

const BATCH_LENGTH = 64 * 1024;
const WAITING_LENGTH_MAX = 4 * 1024 * 1024;
const FLUSH_MS = 1000;
/** A file that could not be opened or written is tried again after this. */
const RETRY_MS = 1000;

export interface LogFilesOptions {
  /** Where drops, lines and failed writes are counted; by default nowhere. */
  readonly registry?: Registry;
  /** Milliseconds between writes of what gathered; 1000 by default. */
  readonly flushMs?: number;
}

interface Counters {
  readonly registry: Registry;
  readonly lines: number;
  readonly dropped: number;
  readonly failures: number;
}

export class LogFiles {
  readonly #files = new Map<string, LogFile>();
  readonly #counters: Counters | null;
  readonly #flushMs: number;

  constructor({ registry, flushMs = FLUSH_MS }: LogFilesOptions = {}) {
    this.#counters = registry === undefined ? null : makeCounters(registry);
    this.#flushMs = flushMs;
  }

  /** The writer of `path`; made on first use, opened at the first write. */
  file(path: string): LogFile {
    const known = this.#files.get(path);
    if (known !== undefined) return known;
    const file = new LogFile(path, this.#counters, this.#flushMs);
    this.#files.set(path, file);
    return file;
  }

  /** Opens every file anew, after a rotation. */
  reopen(): void {
    for (const file of this.#files.values()) file.reopen();
  }

  /** Writes out what is buffered; resolves when it is written or has failed. */
  async flush(): Promise<void> {
    await Promise.all(Array.from(this.#files.values(), (file) => file.flush()));
  }

  /** Flushes and closes everything. */
  async close(): Promise<void> {
    await Promise.all(Array.from(this.#files.values(), (file) => file.close()));
  }
}

function makeCounters(registry: Registry): Counters {
  return {
    registry,
    lines: registry.counter('outrigger_access_log_lines_total', 'Access log lines handed to a file.'),
    dropped: registry.counter(
      'outrigger_access_log_dropped_total',
      'Access log lines dropped: their file was too slow.',
    ),
    failures: registry.counter('outrigger_access_log_write_failures_total', 'Writes of access logs that failed.'),
  };
}

export class LogFile {
  readonly path: string;
  readonly #counters: Counters | null;
  readonly #flushMs: number;
  #gathering = '';
  #waiting: string[] = [];
  #waitingLength = 0;
  #handle: Sink | null = null;
  #timer: NodeJS.Timeout | null = null;
  #writing: Promise<void> | null = null;
  #mustReopen = false;

  constructor(path: string, counters: Counters | null, flushMs: number) {
    this.path = path;
    this.#counters = counters;
    this.#flushMs = flushMs;
  }

  /** Takes `line`, one character a byte, with its line end. */
  append(line: string): void {
    if (this.#waitingLength + this.#gathering.length + line.length > WAITING_LENGTH_MAX) {
      this.#count('dropped');
      return;
    }
    this.#count('lines');
    this.#gathering += line;
    if (this.#gathering.length >= BATCH_LENGTH) {
      this.#moveOn();
      if (this.#timer === null) void this.#write();
    } else if (this.#timer === null) {
      this.#schedule(this.#flushMs);
    }
  }

  reopen(): void {
    this.#mustReopen = true;
  }

  async flush(): Promise<void> {
    this.#moveOn();
    // A write that is under way was begun before; what it leaves behind is written next.
    if (this.#writing !== null) await this.#writing;
    if (this.#waiting.length > 0) await this.#write();
  }

  async close(): Promise<void> {
    await this.flush();
    this.#disarm();
    await this.#closeHandle();
  }

  #moveOn(): void {
    if (this.#gathering === '') return;
    this.#waiting.push(this.#gathering);
    this.#waitingLength += this.#gathering.length;
    this.#gathering = '';
  }

  #schedule(delayMs: number): void {
    this.#timer = setTimeout(() => {
      this.#timer = null;
      this.#moveOn();
      void this.#write();
    }, delayMs).unref();
  }

  #disarm(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  #write(): Promise<void> {
    this.#writing ??= this.#writeAll().finally(() => {
      this.#writing = null;
      // The timer also spaces the tries of a failing disk.
      if (this.#waiting.length > 0 && this.#timer === null) this.#schedule(RETRY_MS);
    });
    return this.#writing;
  }

  /** Writes until nothing waits, or until a write fails. Never rejects. */
  async #writeAll(): Promise<void> {
    try {
      if (this.#mustReopen) await this.#closeHandle();
      this.#mustReopen = false;
      this.#handle ??= await openLog(this.path);
      while (this.#waiting.length > 0) {
        const bytes = Buffer.from(this.#waiting.join(''), 'latin1');
        let at = 0;
        while (at < bytes.length) {
          const written = await this.#handle.write(bytes.subarray(at, wholeLines(bytes, at)));
          at += written;
          this.#consume(written);
        }
      }
    } catch {
      // The disk's trouble must not become traffic's: it is counted, and the file opened anew.
      this.#count('failures');
      this.#mustReopen = true;
    }
  }

  /** Forgets the first `length` characters of what waits: they are on disk. Lines may have come in behind. */
  #consume(length: number): void {
    this.#waitingLength -= length;
    let left = length;
    let whole = 0;
    for (const batch of this.#waiting) {
      if (batch.length > left) break;
      left -= batch.length;
      whole++;
    }
    this.#waiting.splice(0, whole);
    if (left > 0) this.#waiting[0] = (this.#waiting[0] ?? '').slice(left);
  }

  async #closeHandle(): Promise<void> {
    const handle = this.#handle;
    this.#handle = null;
    try {
      await handle?.close();
    } catch {
      this.#count('failures');
    }
  }

  #count(what: 'lines' | 'dropped' | 'failures'): void {
    if (this.#counters !== null) this.#counters.registry.add(this.#counters[what], 1);
  }
}

/** A pipe keeps so many bytes of one write together (PIPE_BUF of Linux); more may be mixed with another thread's. */
const TOGETHER_BYTES = 4096;

/** Where a write that begins at `at` ends: with all, or, where other threads write too, with lines that stay whole. */
function wholeLines(bytes: Buffer, at: number): number {
  if (isMainThread || bytes.length - at <= TOGETHER_BYTES) return bytes.length;
  const last = bytes.lastIndexOf(LINE_END, at + TOGETHER_BYTES - 1);
  if (last >= at) return last + 1;
  // A line that is longer by itself.
  const first = bytes.indexOf(LINE_END, at);
  return first === -1 ? bytes.length : first + 1;
}

const LINE_END = 0x0a;

/** Something open that takes bytes; resolves to how many it took. */
interface Sink {
  write(bytes: Buffer): Promise<number>;
  close(): Promise<void>;
}

const STANDARD: ReadonlyMap<string, number> = new Map([
  ['/dev/stdout', 1],
  ['/dev/stderr', 2],
]);
const FULL_PIPE_MS = 20;

/** Appends, as Envoy does. Standard streams are used as they are: opening them anew fails for sockets. */
async function openLog(path: string): Promise<Sink> {
  const standard = STANDARD.get(path);
  if (standard !== undefined) return { write: (bytes) => writeTo(standard, bytes), close: () => Promise.resolve() };
  const handle = await open(path, constants.O_WRONLY | constants.O_CREAT | constants.O_APPEND, 0o644);
  return { write: (bytes) => writeTo(handle.fd, bytes), close: () => handle.close() };
}

/** A pipe that does not block says EAGAIN while its reader is slow: that is waited out, off the event loop. */
async function writeTo(descriptor: number, bytes: Buffer): Promise<number> {
  for (;;) {
    const written = await tryWrite(descriptor, bytes);
    if (written > 0) return written;
    await new Promise((resolve) => setTimeout(resolve, FULL_PIPE_MS));
  }
}

function tryWrite(descriptor: number, bytes: Buffer): Promise<number> {
  return new Promise((resolve, reject) => {
    write(descriptor, bytes, 0, bytes.length, null, (problem, written) => {
      if (problem === null) resolve(written);
      else if (problem.code === 'EAGAIN') resolve(0);
      else reject(problem);
    });
  });
}
