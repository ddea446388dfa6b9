// Whether an extension's step never ends, as another thread sees it. The thread that runs extensions says in shared memory
// which one is running and counts its calls; whoever looks often enough, and always finds the same call, knows that it is
// stuck. Looks are counted and not time, so that a process that was stopped for a while has no stuck extension.
//
//   memory: [0] number of the extension that is running, 0: none    [1] calls so far (wraps)

export interface WatchedExtension {
  /** From 1. */
  readonly number: number;
  /** Of the filter: `outrigger.extension/NAME`. */
  readonly name: string;
  /** Of the module, with its digest. */
  readonly module: string;
  readonly failurePolicy: string;
  /** A step that runs for longer is stuck. */
  readonly stuckMs: number;
}

export const LOOK_MS = 100;
const CELLS = 2;

/** The side that runs extensions. */
export class RunningCell {
  readonly memory: SharedArrayBuffer;
  readonly #cells: Int32Array;

  constructor(memory = new SharedArrayBuffer(CELLS * Int32Array.BYTES_PER_ELEMENT)) {
    this.memory = memory;
    this.#cells = new Int32Array(memory);
  }

  enter(number: number): void {
    Atomics.add(this.#cells, 1, 1);
    Atomics.store(this.#cells, 0, number);
  }

  leave(): void {
    Atomics.store(this.#cells, 0, 0);
  }
}

export interface Stuck {
  readonly extension: WatchedExtension;
  /** For so long at least. */
  readonly forMs: number;
}

/** The side that looks. */
export class StuckLook {
  readonly #cells: Int32Array;
  readonly #extensions = new Map<number, WatchedExtension>();
  #number = 0;
  #calls = 0;
  #looks = 0;

  constructor(memory: SharedArrayBuffer) {
    this.#cells = new Int32Array(memory);
  }

  add(extension: WatchedExtension): void {
    this.#extensions.set(extension.number, extension);
  }

  /** To be called every LOOK_MS; null: nothing is stuck. */
  look(): Stuck | null {
    const number = Atomics.load(this.#cells, 0);
    const calls = Atomics.load(this.#cells, 1);
    const isSame = number !== 0 && number === this.#number && calls === this.#calls;
    this.#looks = isSame ? this.#looks + 1 : 0;
    this.#number = number;
    this.#calls = calls;
    const extension = this.#extensions.get(number);
    const forMs = this.#looks * LOOK_MS;
    return extension === undefined || forMs < extension.stuckMs ? null : { extension, forMs };
  }
}
