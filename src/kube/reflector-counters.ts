// What a reflector counts of its life, since it was started.

export interface ReflectorCounters {
  readonly lists: number;
  readonly watches: number;
  readonly events: number;
  readonly bookmarks: number;
  /** Watches that went on where another ended. */
  readonly resumes: number;
  /** By reason: `Expired`, `Closed`, `Forbidden` …. */
  readonly failures: Readonly<Record<string, number>>;
  /** Of `keep` and `onChange`: mistakes of ours. */
  readonly faults: number;
}
