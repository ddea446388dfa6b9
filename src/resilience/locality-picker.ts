// @hot
// Chooses a locality inside a priority, then asks the balancer over its endpoints. By weight: earliest
// deadline first over the effective weights, as a weighted round robin. Zone aware: as much as possible
// stays in the zone of this sidecar, what the zone cannot take goes where there is capacity left.
// What the numbers are is decided in locality-share.ts, when endpoints change.
import type { Endpoint, Picker } from '../plan/cluster.ts';
import type { Exchange } from '../plan/exchange.ts';
import { DeadlineHeap } from './deadline-heap.ts';
import type { ZoneShare } from './locality-share.ts';

export class WeightedLocalities implements Picker {
  readonly #pickers: readonly Picker[];
  readonly #weights: Float64Array;
  readonly #turns: Float64Array;
  readonly #heap: DeadlineHeap;

  /** At least one locality; every weight more than 0. */
  constructor(pickers: readonly Picker[], weights: Float64Array, random: () => number) {
    this.#pickers = pickers;
    this.#weights = weights;
    this.#turns = new Float64Array(weights.length);
    const deadlines = new Float64Array(weights.length);
    for (let index = 0; index < weights.length; index++) deadlines[index] = 1 / (weights[index] as number);
    this.#heap = new DeadlineHeap(deadlines);
    for (let skipped = Math.floor(random() * weights.length); skipped > 0; skipped--) this.#next();
  }

  pick(x: Exchange | null): Endpoint | null {
    return (this.#pickers[this.#next()] as Picker).pick(x);
  }

  #next(): number {
    const index = this.#heap.first;
    const turns = (this.#turns[index] as number) + 1;
    this.#turns[index] = turns;
    this.#heap.deadlines[index] = (turns + 1) / (this.#weights[index] as number);
    this.#heap.sink();
    return index;
  }
}

export interface ZoneAwareOptions {
  /** By locality, the local one first; each with at least one endpoint unless its share is 0. */
  readonly pickers: readonly Picker[];
  /** Over the endpoints of all localities: for requests that zone routing is not enabled for. */
  readonly everywhere: Picker;
  readonly share: ZoneShare;
  /** Whole percent of requests. */
  readonly enabledPercent: number;
  readonly random: () => number;
}

export class ZoneAwareLocalities implements Picker {
  readonly #options: ZoneAwareOptions;

  constructor(options: ZoneAwareOptions) {
    this.#options = options;
  }

  pick(x: Exchange | null): Endpoint | null {
    const { enabledPercent, everywhere, pickers, share, random } = this.#options;
    if (enabledPercent < 100 && random() * 100 >= enabledPercent) return everywhere.pick(x);
    if (share.localTenThousandths >= 10_000 || random() * 10_000 < share.localTenThousandths) {
      return (pickers[0] as Picker).pick(x);
    }
    const { residual } = share;
    const capacity = residual[residual.length - 1] as number;
    // Rounding alone can leave no capacity anywhere: then any locality does.
    if (capacity === 0) return everywhere.pick(x);
    const point = random() * capacity;
    let index = 0;
    while (point >= (residual[index] as number)) index++;
    return (pickers[index] as Picker).pick(x);
  }
}
