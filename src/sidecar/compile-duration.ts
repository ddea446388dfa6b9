// google.protobuf.Duration as milliseconds.
import type { Duration } from '@bufbuild/protobuf/wkt';

/** Node's timers overflow above this, and fire at once; a longer delay is as good as this one (24.8 days). */
const DELAY_MS_MAX = 2_147_483_647;

/** Milliseconds, rounded up to a whole one so that "a little" never becomes "off"; `fallback` when absent. */
export function durationMs(duration: Duration | undefined, fallback: number): number {
  if (duration === undefined) return fallback;
  const milliseconds = Math.ceil(Number(duration.seconds) * 1000 + duration.nanos / 1_000_000);
  return Math.min(Math.max(0, milliseconds), DELAY_MS_MAX);
}
