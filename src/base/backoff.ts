// Jittered exponential back-off for our own reconnects and retries of side calls.

export interface Backoff {
  /** The next delay in milliseconds: uniform in [base/2, base), or [0, base) with full jitter, doubling to the maximum. */
  next(): number;
  /** Call after a success: the next delay starts from the base again. */
  reset(): void;
}

export interface BackoffOptions {
  readonly baseMs: number;
  readonly maxMs: number;
  /** Uniform in [0, 1); `Math.random` by default. */
  readonly random?: () => number;
  /** Many that failed at one moment come back spread over the whole time; false by default. */
  readonly isFullyJittered?: boolean;
}

export function createBackoff({
  baseMs,
  maxMs,
  random = Math.random,
  isFullyJittered = false,
}: BackoffOptions): Backoff {
  let currentMs = baseMs;
  return {
    next() {
      const leastMs = isFullyJittered ? 0 : currentMs / 2;
      const delayMs = leastMs + random() * (currentMs - leastMs);
      currentMs = Math.min(currentMs * 2, maxMs);
      return delayMs;
    },
    reset() {
      currentMs = baseMs;
    },
  };
}
