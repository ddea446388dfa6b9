// How long each fuzz test runs, and from which seed. OUTRIGGER_FUZZ_SECONDS: seconds a test, 2 by default;
// .ci/run sets it so that all of them together run for a minute at least. OUTRIGGER_FUZZ_SEED repeats a
// failure, which prints its seed.

export const FUZZ_MS: number = 1000 * Number(process.env['OUTRIGGER_FUZZ_SECONDS'] ?? 2);
/** For vitest: the budget and room to finish. */
export const FUZZ_TIMEOUT_MS: number = FUZZ_MS + 60_000;

/** A new one each time, unless the environment says which. */
export function fuzzSeed(): number {
  const given = process.env['OUTRIGGER_FUZZ_SEED'];
  return given === undefined ? Math.floor(Math.random() * 0x7fff_ffff) : Number(given);
}
