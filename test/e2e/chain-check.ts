// A page of the frontend is a 200 even when a call behind it failed: the page shows what each service said. So a load
// on the frontend counts these calls too, by the statuses in the page.
import type { Outcome } from '../../src/cli/demo/visitor.ts';

const FAILURES_KEPT = 5;

export class ChainCheck {
  /** Calls that one whole page needs: catalog, reviews and, for a version that asks them, ratings. */
  readonly #callsMin: number;
  readonly failures: string[] = [];
  failed = 0;

  constructor(callsMin: number) {
    this.#callsMin = callsMin;
  }

  /** For `onOutcome` of a Load; a page that did not come at all is the load's own to count. */
  readonly take = (outcome: Outcome): void => {
    if (outcome.kind !== 'reply' || outcome.status !== 200) return;
    const statuses = [...outcome.body.matchAll(/"status":(\d+)/g)].map(([, status]) => Number(status));
    const isWhole = statuses.length >= this.#callsMin && statuses.every((status) => status === 200);
    if (isWhole) return;
    this.failed++;
    if (this.failures.length < FAILURES_KEPT) this.failures.push(outcome.body.slice(0, 300));
  };
}
