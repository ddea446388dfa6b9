// What a thread knows of the extensions that it runs, for those who look whether one is stuck in an endless loop, and what
// happens when it is. With one thread a watchdog beside it looks (extension-watchdog.ts) and interrupts the loop; with
// several the main thread looks at its workers, and ends the one that hangs. A version of a module that hung is not
// called again by this process. What is not watched costs nothing. Why so: docs/adr/016-stuck-extensions.md.
import { Worker } from 'node:worker_threads';
import { endTurn } from '../base/clock.ts';
import { RunningCell, type WatchedExtension } from './stuck-extension.ts';

/** A fence that is told that its step was interrupted. */
export interface Interrupted {
  interrupted(): void;
}

export interface ExtensionWatchOptions {
  /** Where to say what is running; its own by default. */
  readonly memory?: SharedArrayBuffer;
  /** Hears of each extension before it runs. */
  readonly tell: (extension: WatchedExtension) => void;
  /** Modules that hung before, by `WatchedExtension.module`. */
  readonly banned?: readonly string[];
}

/** A step that is only slow has its fence's say first, and a busy machine some time. */
const PATIENCE_MS = 2000;
const PATIENCE_BUDGETS = 12;

export class ExtensionWatch {
  readonly cell: RunningCell;
  readonly #tell: ExtensionWatchOptions['tell'];
  readonly #banned: Set<string>;
  readonly #fences = new Map<number, { readonly fence: WeakRef<Interrupted>; readonly module: string }>();
  #last = 0;

  constructor({ memory, tell, banned = [] }: ExtensionWatchOptions) {
    this.cell = new RunningCell(memory);
    this.#tell = tell;
    this.#banned = new Set(banned);
  }

  isBanned(module: string): boolean {
    return this.#banned.has(module);
  }

  /** Another thread found that it hangs. */
  ban(module: string): void {
    this.#banned.add(module);
  }

  /** The number by which the fence says that it runs. */
  add(
    fence: Interrupted,
    { budgetMs, ...extension }: Omit<WatchedExtension, 'number' | 'stuckMs'> & { readonly budgetMs: number },
  ): number {
    const number = ++this.#last;
    this.#fences.set(number, { fence: new WeakRef(fence), module: extension.module });
    this.#tell({ ...extension, number, stuckMs: Math.max(PATIENCE_MS, PATIENCE_BUDGETS * budgetMs) });
    return number;
  }

  /** The step of this extension was interrupted, and nothing that stood behind it has run. */
  interrupted(number: number): void {
    endTurn();
    this.cell.leave();
    const found = this.#fences.get(number);
    if (found === undefined) return;
    this.#banned.add(found.module);
    // Whatever other fences have of this version, they find it banned by themselves.
    found.fence.deref()?.interrupted();
  }
}

/** For a thread that has nobody else to look after it: the watchdog starts with the first extension. */
export function watchAlone(): ExtensionWatch {
  let watchdog: Worker | null = null;
  const watch: ExtensionWatch = new ExtensionWatch({
    tell: (extension) => {
      watchdog ??= startWatchdog(watch);
      watchdog.postMessage(extension, []);
    },
  });
  return watch;
}

function startWatchdog(watch: ExtensionWatch): Worker {
  const resourceLimits = { maxYoungGenerationSizeMb: 1, maxOldGenerationSizeMb: 16 };
  const worker = new Worker(entry(), { workerData: watch.cell.memory, name: 'extension watchdog', resourceLimits });
  worker.on('message', (number: number) => watch.interrupted(number));
  // Without it extensions run as before.
  worker.on('error', () => {});
  worker.unref();
  return worker;
}

/** The bundle has the entry beside itself under its own name. */
function entry(): URL {
  const here = import.meta.url;
  return new URL(here.endsWith('.ts') ? './extension-watchdog.ts' : './extension-watchdog.js', here);
}
