// The circuit breaker of the calls to one cluster: when most of them fail, the next ones fail at once for a while
// instead of holding requests until their time limit; then one call is the probe. Only calls that nobody answered
// count as failed. opossum is loaded by the first call.
import type CircuitBreaker from 'opossum';

/** Begins one attempt; `settle` is called once when it is over: with false when nobody answered. */
export type Guarded = (settle: (isAnswered: boolean) => void) => void;

const WINDOW_MS = 10_000;
/** Fewer calls in a window prove nothing. */
const CALLS_MIN = 20;
const FAILED_PERCENT = 50;
const PROBE_AFTER_MS = 1000;

const OPTIONS = {
  timeout: false,
  rollingCountTimeout: WINDOW_MS,
  volumeThreshold: CALLS_MIN,
  errorThresholdPercentage: FAILED_PERCENT,
  resetTimeout: PROBE_AFTER_MS,
  rollingPercentilesEnabled: false,
} as const;

let opossum: Promise<typeof CircuitBreaker> | null = null;

export class RemoteBreaker {
  #breaker: CircuitBreaker<[Guarded], void> | null = null;
  #isClosed = false;

  /** True while calls fail at once, and while the probe is under way. */
  get isOpen(): boolean {
    return this.#breaker !== null && !this.#breaker.closed;
  }

  /** Lets `guarded` begin, later than this returns, or calls `refused`. */
  fire(guarded: Guarded, refused: () => void): void {
    if (this.#breaker !== null) fire(this.#breaker, guarded, refused);
    else void this.#fireFirst(guarded, refused);
  }

  close(): void {
    this.#isClosed = true;
    this.#breaker?.shutdown();
  }

  async #fireFirst(guarded: Guarded, refused: () => void): Promise<void> {
    opossum ??= import('opossum').then(({ default: Breaker }) => Breaker);
    const Breaker = await opossum;
    if (this.#isClosed) return refused();
    const breaker = this.#breaker ?? new Breaker(attempt, OPTIONS);
    this.#breaker = breaker;
    fire(breaker, guarded, refused);
  }
}

/** opossum counts by what is thrown. */
class Unanswered extends Error {
  override readonly name = 'Unanswered';
}

const UNANSWERED = new Unanswered();

async function attempt(guarded: Guarded): Promise<void> {
  // Whoever asks must have returned before it hears of the answer.
  const isAnswered = await new Promise<boolean>((resolve) => queueMicrotask(() => guarded(resolve)));
  if (!isAnswered) throw UNANSWERED;
}

function fire(breaker: CircuitBreaker<[Guarded], void>, guarded: Guarded, refused: () => void): void {
  breaker.fire(guarded).catch((thrown: unknown) => {
    if (thrown !== UNANSWERED) refused();
  });
}
