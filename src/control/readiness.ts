// What a control service waits for after it has begun: that every source of rules has been read, that its authority can be
// reached, and that those who join first see each other. From then on it is ready, also while the API server is away: it
// serves what it knows.
import type { RuleSource } from './rule-source.ts';
import type { Settling } from './settling.ts';

export class Readiness {
  readonly #sources: readonly RuleSource[];
  readonly #settling: Pick<Settling, 'isOpen'>;
  #authority = '';

  constructor(sources: readonly RuleSource[], settling: Pick<Settling, 'isOpen'>) {
    this.#sources = sources;
    this.#settling = settling;
  }

  /** `why` it cannot be reached; empty: it can. */
  waitForAuthority(why: string): void {
    this.#authority = why;
  }

  /** A line for each; empty: it is ready. */
  waiting(): readonly string[] {
    if (this.#settling.isOpen) return [];
    const lines = this.#sources.flatMap((source) => source.waiting?.() ?? []);
    if (this.#authority !== '') lines.push(this.#authority);
    return lines.length > 0 ? lines : ['settling'];
  }
}
