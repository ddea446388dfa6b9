// google.protobuf.Duration as milliseconds.
import type { Duration } from '@bufbuild/protobuf/wkt';

/** Milliseconds, rounded up to a whole one so that "a little" never becomes "off"; `fallback` when absent. */
export function durationMs(duration: Duration | undefined, fallback: number): number {
  if (duration === undefined) return fallback;
  return Math.max(0, Math.ceil(Number(duration.seconds) * 1000 + duration.nanos / 1_000_000));
}
