// The limits on what users write. Everything that is read from a file has one, so that a mistaken or
// hostile file costs a Problem and not the control service. Each is tested at the limit and one past it.

export const limits = {
  /** Bytes of one rule file. */
  fileBytesMax: 4 * 1024 * 1024,
  /** YAML documents in one file. */
  documentsMax: 10_000,
  /** YAML aliases in one document: the "billion laughs" needs many. */
  aliasesMax: 100,
  /** Characters of one regular expression, before it is given to RE2. */
  regexCharactersMax: 1024,
  /** Rules (`http[]`, `rules[]`) of one resource. */
  rulesMax: 5_000,
  /** Matches (`match[]`, `matches[]`) of one rule. */
  matchesMax: 256,
  /** Destinations or backends of one rule. */
  destinationsMax: 128,
  /** Subsets of one DestinationRule. */
  subsetsMax: 500,
  /** Ports with settings of their own (`portLevelSettings[]`) of one traffic policy. */
  portSettingsMax: 128,
  /** Ports of one ServiceEntry. */
  servicePortsMax: 256,
  /** Entries of any other list. */
  listEntriesMax: 20_000,
  /** Problems kept of one file; the rest is counted in a last one. */
  problemsMax: 200,
  /** Files of a directory source. */
  filesMax: 10_000,
} as const;
