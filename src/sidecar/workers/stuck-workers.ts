// Workers that hang in an extension's step that does not end, as the main thread finds them: it looks at what each says is
// running, and ends the one that hangs, which is the only way to stop it there; the pool starts another in its place.
// What hung once is called by no worker any more. It looks only while some worker has extensions.
import type { Log } from '../../base/log.ts';
import { LOOK_MS, RunningCell, StuckLook, type WatchedExtension } from '../stuck-extension.ts';

export interface StuckWorkersOptions {
  readonly log: Log;
  /** Tells all workers that the module must not be called any more. */
  readonly ban: (module: string) => void;
}

interface Watched {
  readonly look: StuckLook;
  readonly end: () => void;
}

export class StuckWorkers {
  readonly #options: StuckWorkersOptions;
  readonly #workers = new Map<number, Watched>();
  readonly #banned = new Set<string>();
  #timer: NodeJS.Timeout | null = null;

  constructor(options: StuckWorkersOptions) {
    this.#options = options;
  }

  /** Modules that hung. */
  get banned(): readonly string[] {
    return [...this.#banned];
  }

  /** A worker is to be started; where it will say what is running. `end` ends it. */
  begin(index: number, end: () => void): SharedArrayBuffer {
    const { memory } = new RunningCell();
    this.#workers.set(index, { look: new StuckLook(memory), end });
    return memory;
  }

  /** It is about to run this extension. */
  add(index: number, extension: WatchedExtension): void {
    this.#workers.get(index)?.look.add(extension);
    this.#timer ??= setInterval(() => this.#lookAtAll(), LOOK_MS).unref();
  }

  ended(index: number): void {
    this.#workers.delete(index);
  }

  close(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
    this.#workers.clear();
  }

  #lookAtAll(): void {
    for (const [index, { look, end }] of this.#workers) {
      const stuck = look.look();
      if (stuck === null) continue;
      const { name, module, failurePolicy } = stuck.extension;
      this.#options.log.error('an extension is stuck in a step that does not end: its worker is ended', {
        extension: name,
        module,
        failurePolicy,
        stuckMs: stuck.forMs,
        worker: index,
      });
      this.#workers.delete(index);
      this.#banned.add(module);
      this.#options.ban(module);
      end();
    }
  }
}
