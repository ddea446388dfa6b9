// Jittered exponential back-off for our own reconnects and retries of side calls.

export interface Backoff {
  /** The next delay in milliseconds: uniform in [base/2, base), doubling up to the maximum. */
  next(): number;
  /** Call after a success: the next delay starts from the base again. */
  reset(): void;
}

export interface BackoffOptions {
  readonly baseMs: number;
  readonly maxMs: number;
  /** Uniform in [0, 1); `Math.random` by default. */
  readonly random?: () => number;
}

export function createBackoff({ baseMs, maxMs, random = Math.random }: BackoffOptions): Backoff {
  let currentMs = baseMs;
  return {
    next() {
      const delayMs = currentMs / 2 + (random() * currentMs) / 2;
      currentMs = Math.min(currentMs * 2, maxMs);
      return delayMs;
    },
    reset() {
      currentMs = baseMs;
    },
  };
}
