// How long a reflector waits for what. Tests shorten it; nobody else has a reason to.

export interface ReflectorTiming {
  /** A watch is asked for between this and twice this; 300 s. */
  readonly watchSeconds: number;
  /** Without a byte for so long a watch is begun again; the server sends a bookmark a minute, and now and then leaves one out. 150 s. */
  readonly stallMs: number;
  /** The first and the longest pause after failures, fully jittered; 0.8 s and 30 s. */
  readonly backoffMinMs: number;
  readonly backoffMaxMs: number;
  /** A kind that is not there is looked for again after so long, ± 20 %; 10 s. */
  readonly absentMs: number;
  /** A watch that held so long is resumed at once; 250 ms. */
  readonly heldMs: number;
}

export const DEFAULT_TIMING: ReflectorTiming = {
  watchSeconds: 300,
  stallMs: 150_000,
  backoffMinMs: 800,
  backoffMaxMs: 30_000,
  absentMs: 10_000,
  heldMs: 250,
};
