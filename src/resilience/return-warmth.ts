// Slow start of what comes back from an ejection, where nobody configured any: the endpoint that was just unwell gets its
// share little by little. What is new has its whole share at once, as without slow start. Source: docs/adr/012.
import { assertNever } from '../base/assert.ts';
import type { Balancing } from './cluster-settings.ts';
import type { OutlierSettings } from './outlier-settings.ts';

const WINDOW_MAX_MS = 10_000;
const SHARE_MIN = 0.1;

/** The balancing with a slow start for returns, where it can have one and has none. */
export function warmingReturns(balancing: Balancing, outlier: OutlierSettings | null): Balancing {
  if (outlier === null) return balancing;
  switch (balancing.kind) {
    case 'round-robin':
    case 'least-request':
    case 'random': {
      if ((balancing.slowStart ?? null) !== null) return balancing;
      const windowMs = Math.min(outlier.baseEjectionMs, WINDOW_MAX_MS);
      const slowStart = Object.freeze({ windowMs, aggression: 1, shareMin: SHARE_MIN, isForReturns: true });
      return Object.freeze({ ...balancing, slowStart });
    }
    // A hash keeps its keys where they are, and latency speaks for itself.
    case 'ring-hash':
    case 'maglev':
    case 'peak-ewma':
    case 'pick-first':
      return balancing;
    default:
      return assertNever(balancing);
  }
}
