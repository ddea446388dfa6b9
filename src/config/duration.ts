// Durations as users write them: `1h2m3.5s`, `250ms`, and the text `0` (a bare number is none, to an API server either). Istio follows Go's syntax; the
// Gateway API (GEP-2257) allows whole numbers of h, m, s and ms only, at most four of them.

const UNIT_MS: Readonly<Record<string, number>> = {
  h: 3_600_000,
  m: 60_000,
  s: 1_000,
  ms: 1,
  us: 0.001,
  µs: 0.001,
  ns: 0.000_001,
};
/** Go's syntax without signs, as a pattern that RE2 takes, too. */
export const GO_DURATION_PATTERN = '^(0|([0-9]+(\\.[0-9]*)?(h|ms|m|s|us|µs|ns))+)$';
/** Characters of what is written. */
export const DURATION_LENGTH_MAX = 64;
const GO_DURATION = new RegExp(GO_DURATION_PATTERN);
const GATEWAY_DURATION = /^(?:\d{1,5}(?:h|ms|m|s)){1,4}$/;
const PART = /(\d+(?:\.\d*)?)(h|ms|m|s|us|µs|ns)/g;

/** Milliseconds, or null when `text` is no duration. `go` is Istio's syntax, `gateway` is GEP-2257's. */
export function parseDuration(text: string, syntax: 'go' | 'gateway'): number | null {
  if (text.length > DURATION_LENGTH_MAX) return null;
  if (!(syntax === 'go' ? GO_DURATION : GATEWAY_DURATION).test(text)) return null;
  let totalMs = 0;
  for (const [, amount = '0', unit = 's'] of text.matchAll(PART)) totalMs += Number(amount) * (UNIT_MS[unit] ?? 0);
  return totalMs;
}
