// @hot
// Picks inside the subset of a cluster that a route's metadata asks for. Which balancers to try for a wish, and
// in which order, is found out once for each wish and remembered; the first that has an endpoint gives it.
//
//   wish ─► subset with just these keys ─► its balancer, and nobody else
//      └─► else the selector's fallback, else the cluster's (none, any, default subset) ─► panic: any
import type { Endpoint, Picker } from '../plan/cluster.ts';
import type { Exchange } from '../plan/exchange.ts';
import type { MetadataMatch } from '../plan/metadata-match.ts';
import type { SubsetIndex } from './subset-index.ts';

export class SubsetPicker implements Picker {
  readonly usesHash: boolean;
  readonly #index: SubsetIndex;
  readonly #chains = new WeakMap<MetadataMatch, readonly Picker[]>();
  #chainWithout: readonly Picker[] | null = null;

  /** `usesHash`: the balancers in it go by the request's hash. */
  constructor(index: SubsetIndex, usesHash: boolean) {
    this.usesHash = usesHash;
    this.#index = index;
  }

  pick(x: Exchange | null): Endpoint | null {
    const chain = x === null || x.subsetMatch === null ? this.#withoutWish() : this.#chainOf(x.subsetMatch);
    for (let i = 0; i < chain.length; i++) {
      const endpoint = (chain[i] as Picker).pick(x);
      if (endpoint !== null) return endpoint;
    }
    return null;
  }

  #withoutWish(): readonly Picker[] {
    return (this.#chainWithout ??= this.#index.chainOf(null));
  }

  #chainOf(match: MetadataMatch): readonly Picker[] {
    const known = this.#chains.get(match);
    if (known !== undefined) return known;
    const chain = this.#index.chainOf(match);
    this.#chains.set(match, chain);
    return chain;
  }
}
