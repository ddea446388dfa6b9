// Who may get a view in the first seconds after the start. What is in the view (who has joined) is known only
// from streams that are open, so right after a restart it is incomplete. A client that holds something from
// before would throw away instances that have not come back yet: it waits for the whole time. A client that
// holds nothing loses nothing: it waits a moment, and as long as the others once there are any.
//
//   starting ──quiet time──► quiet (newcomers are served, unless somebody came back) ──hold──► settled (everybody)

/** A client that holds nothing waits this long, so that sidecars which start together see each other at once. */
const QUIET_MS = 200;

export interface SettlingOptions {
  /** How long clients that came back wait: longer than the longest pause before a sidecar's next attempt. */
  readonly holdMs: number;
  /** Called whenever more clients may be served than before. */
  readonly onProgress: () => void;
}

export class Settling {
  readonly #options: SettlingOptions;
  #phase: 'starting' | 'quiet' | 'settled' = 'starting';
  #hasReturned = false;
  #timers: readonly NodeJS.Timeout[] = [];

  constructor(options: SettlingOptions) {
    this.#options = options;
  }

  /** Call when clients can connect: the times count from here. */
  start(): void {
    const { holdMs } = this.#options;
    const quiet = setTimeout(() => this.#enter('quiet'), Math.min(QUIET_MS, holdMs));
    this.#timers = [quiet, setTimeout(() => this.#enter('settled'), holdMs)];
  }

  stop(): void {
    for (const timer of this.#timers) clearTimeout(timer);
  }

  /** True once the quiet time is over: the service does what it can do for whoever comes. */
  get isOpen(): boolean {
    return this.#phase !== 'starting';
  }

  /** A client came that holds something from an earlier stream. */
  noteReturned(): void {
    this.#hasReturned = true;
  }

  admits(isReturning: boolean): boolean {
    if (this.#phase === 'settled') return true;
    return this.#phase === 'quiet' && !isReturning && !this.#hasReturned;
  }

  #enter(phase: 'quiet' | 'settled'): void {
    if (this.#phase === 'settled') return;
    this.#phase = phase;
    this.#options.onProgress();
  }
}
