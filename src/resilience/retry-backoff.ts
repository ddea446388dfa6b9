// @hot
// How long a retry waits. Envoy's way is full jitter: retry N anywhere in [0, min(base * 2^(N-1), max)). The
// Gateway API wants its back-off as a minimum: retry N in [b, 2b) with b = min(base * 2^(N-1), max), so never
// earlier than what is configured, and spread as widely. An upstream that says when to come back is believed up
// to a limit, and then gets [interval, 1.5 * interval). Chance and time are given.
import type { Head } from '../http/head.ts';
import type { RateLimitedBackOff, RetryBackOff } from '../plan/retry-plan.ts';

/** Beyond this a doubling would only meet the maximum. */
const DOUBLINGS_MAX = 40;

/** Milliseconds before retry `retry` (1 is the first); `chance` is uniform in [0, 1). */
export function backOffMs(backOff: RetryBackOff, retry: number, chance: number): number {
  const doubled = backOff.baseMs * 2 ** Math.min(retry - 1, DOUBLINGS_MAX);
  const intervalMs = Math.min(doubled, backOff.maxMs);
  return backOff.isMinimum ? intervalMs + chance * intervalMs : chance * intervalMs;
}

/** Milliseconds that the response asks to wait, jitter included; -1 when it says nothing that is believed. */
export function rateLimitedMs(limited: RateLimitedBackOff, head: Head, wallMs: number, chance: number): number {
  const { headers, maxMs } = limited;
  for (let i = 0; i < headers.length; i++) {
    const header = headers[i];
    if (header === undefined) break;
    const seconds = wholeNumber(head.get(header.id));
    if (seconds === -1) continue;
    const fromNow = header.isTimestamp ? seconds - Math.floor(wallMs / 1000) : seconds;
    const intervalMs = fromNow * 1000;
    if (fromNow < 0 || intervalMs > maxMs) continue;
    // Now is no time to wait for; the usual back-off is kept.
    return intervalMs === 0 ? -1 : intervalMs + chance * 0.5 * intervalMs;
  }
  return -1;
}

/** -1 for what is no whole number. */
function wholeNumber(text: string | null): number {
  if (text === null || text.length === 0 || text.length > 15) return -1;
  let value = 0;
  for (let i = 0; i < text.length; i++) {
    const digit = text.charCodeAt(i) - 0x30;
    if (digit < 0 || digit > 9) return -1;
    value = value * 10 + digit;
  }
  return value;
}
