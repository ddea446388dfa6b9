// Durations of which Envoy counts whole milliseconds and refuses 0: one bad one would have a sidecar refuse the whole
// cluster, so it is refused here.
import type { Fields } from './fields.ts';

/** Milliseconds, at least 1; null when absent or refused. */
export function readPositiveMs(fields: Fields, name: string, syntax: 'go' | 'gateway' = 'go'): number | null {
  const durationMs = fields.durationMs(name, syntax);
  if (durationMs === null || durationMs >= 1) return durationMs;
  fields.error(name, 'is shorter than 1ms', 'write at least 1ms, or leave it out');
  return null;
}
