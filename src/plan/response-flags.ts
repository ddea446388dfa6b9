// Envoy's response flags as bits, and their letters. People search for these letters, so they are
// never renamed. Source: Envoy access log documentation, %RESPONSE_FLAGS%.

/** Listed as Envoy 1.40 writes several: in the order in which they are set, a retry's refusal before the failure that stands. */
export const FLAGS = {
  LH: 1 << 0,
  UH: 1 << 1,
  DI: 1 << 9,
  FI: 1 << 10,
  URX: 1 << 15,
  UO: 1 << 7,
  UT: 1 << 2,
  LR: 1 << 3,
  UR: 1 << 4,
  UF: 1 << 5,
  UC: 1 << 6,
  NR: 1 << 8,
  RL: 1 << 11,
  UAEX: 1 << 12,
  RLSE: 1 << 13,
  DC: 1 << 14,
  SI: 1 << 16,
  IH: 1 << 17,
  DPE: 1 << 18,
  UMSDR: 1 << 19,
  RFCF: 1 << 20,
  NFCF: 1 << 21,
  DT: 1 << 22,
  UPE: 1 << 23,
  NC: 1 << 24,
  OM: 1 << 25,
  DF: 1 << 26,
  DR: 1 << 27,
  DO: 1 << 28,
  UDO: 1 << 29,
} as const;

export type FlagName = keyof typeof FLAGS;

const ENTRIES: readonly (readonly [string, number])[] = Object.entries(FLAGS);
const cache = new Map<number, string>([[0, '-']]);

/** The letters of the flags in `bits`, joined by commas; `-` for none. */
export function flagLetters(bits: number): string {
  const known = cache.get(bits);
  if (known !== undefined) return known;
  const letters = ENTRIES.filter(([, bit]) => (bits & bit) !== 0)
    .map(([name]) => name)
    .join(',');
  cache.set(bits, letters);
  return letters;
}
