// A store of an authority that waits for its place where that cannot be reached now: a control service that begins while the
// API server is away, or whose connection is cut, has nothing wrong with it. Once it runs, it need not wait.
import { setTimeout as sleep } from 'node:timers/promises';
import type { AuthorityFiles, AuthorityStore } from './authority-files.ts';

/** The place cannot be reached now; who asks later may be answered. */
export class StoreAway extends Error {}

export interface PatientStoreOptions {
  /** Why it waits; empty: it does no more. Called when that changes. */
  readonly onWaiting: (why: string) => void;
  /** Who waits is refused when it ends. */
  readonly ending: AbortSignal;
}

const WAIT_MS_MIN = 250;
const WAIT_MS_MAX = 5_000;

export class PatientStore implements AuthorityStore {
  readonly place: string;
  readonly #store: AuthorityStore;
  readonly #options: PatientStoreOptions;
  #isPatient = true;
  #why = '';

  constructor(store: AuthorityStore, options: PatientStoreOptions) {
    this.place = store.place;
    this.#store = store;
    this.#options = options;
  }

  /** From here on nobody waits. */
  end(): void {
    this.#isPatient = false;
  }

  async read(): Promise<AuthorityFiles> {
    return await this.#wait(async () => await this.#store.read());
  }

  async update(edit: (files: AuthorityFiles) => Promise<AuthorityFiles | null>): Promise<void> {
    await this.#wait(async () => await this.#store.update(edit));
  }

  async add(name: string, text: string): Promise<string> {
    return await this.#wait(async () => await this.#store.add(name, text));
  }

  async put(name: string, text: string): Promise<void> {
    await this.#wait(async () => await this.#store.put(name, text));
  }

  watch(onChange: () => void): () => void {
    return this.#store.watch(onChange);
  }

  async #wait<T>(work: () => Promise<T>): Promise<T> {
    const { ending } = this.#options;
    for (let waitMs = WAIT_MS_MIN; ; waitMs = Math.min(WAIT_MS_MAX, 2 * waitMs)) {
      try {
        const value = await work();
        this.#tell('');
        return value;
      } catch (cause) {
        if (!(cause instanceof StoreAway) || !this.#isPatient || ending.aborted) throw cause;
        this.#tell(cause.message);
      }
      await untilLater(waitMs, ending);
    }
  }

  #tell(why: string): void {
    if (why === this.#why) return;
    this.#why = why;
    this.#options.onWaiting(why);
  }
}

async function untilLater(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, null, { signal }).catch(() => null);
}
