// The subsets of a cluster's endpoints, made when a route first asks for one: which members have the metadata,
// and which balancers are tried for a wish. A subset is a cluster of its own, with priorities and panic.
// Source: Envoy arch_overview load_balancing/subsets.
import type { JsonValue } from '@bufbuild/protobuf';
import type { Picker } from '../plan/cluster.ts';
import { canonicalText, type MetadataMatch } from '../plan/metadata-match.ts';
import type { Member } from './host-set.ts';
import { localityKey } from './locality-build.ts';
import type { SubsetFallback, SubsetSelector, SubsetSettings } from './subset-settings.ts';

type Wanted = ReadonlyMap<string, string>;

/** The balancer over some of the members, as the cluster has it. */
export type MakeSubset = (members: readonly Member[]) => Picker;

export class SubsetIndex {
  readonly #members: readonly Member[];
  readonly #settings: SubsetSettings;
  readonly #make: MakeSubset;
  /** By the wanted texts. */
  readonly #subsets = new Map<string, Picker | null>();

  constructor(members: readonly Member[], settings: SubsetSettings, make: MakeSubset) {
    this.#members = members;
    this.#settings = settings;
    this.#make = make;
  }

  /** What to try in this order; null: the route asks for nothing. */
  chainOf(match: MetadataMatch | null): readonly Picker[] {
    if (match === null) return this.#fallbackChain();
    if (!this.#settings.triesVariants || match.variants === null) return this.#chain(match.wanted);
    return match.variants.flatMap(({ wanted }) => this.#chain(wanted));
  }

  #chain(wanted: Wanted): readonly Picker[] {
    const selectors = this.#selectorsOf(wanted);
    const [selector] = selectors;
    if (selector === undefined) return this.#fallbackChain();
    const found = this.#subset(
      wanted,
      selectors.some(({ isSingle }) => isSingle),
    );
    if (found !== null) return [found];
    const { fallback, fallbackKeys } = selectors.find((one) => one.fallback !== null) ?? selector;
    if (fallback === null) return this.#fallbackChain();
    if (fallback !== 'keys') return this.#pickersOf(fallback);
    return this.#chain(new Map([...wanted].filter(([key]) => fallbackKeys.has(key))));
  }

  /** Those that have exactly these keys. */
  #selectorsOf(wanted: Wanted): readonly SubsetSelector[] {
    return this.#settings.selectors.filter(
      ({ keys }) => keys.length === wanted.size && keys.every((key) => wanted.has(key)),
    );
  }

  #fallbackChain(): readonly Picker[] {
    const { fallback, panicsToAny } = this.#settings;
    const chain = this.#pickersOf(fallback);
    return fallback !== 'none' && panicsToAny ? [...chain, ...this.#pickersOf('any')] : chain;
  }

  #pickersOf(fallback: SubsetFallback): readonly Picker[] {
    if (fallback === 'none') return [];
    const found = this.#subset(fallback === 'any' ? new Map() : this.#settings.defaultSubset, false);
    return found === null ? [] : [found];
  }

  /** Null when no endpoint has all of it. */
  #subset(wanted: Wanted, isSingle: boolean): Picker | null {
    const key = JSON.stringify([isSingle, ...[...wanted].toSorted(([left], [right]) => (left < right ? -1 : 1))]);
    const known = this.#subsets.get(key);
    if (known !== undefined) return known;
    const members = this.#members.filter((member) => this.#has(member, wanted));
    const [first] = members;
    let picker: Picker | null = null;
    if (first !== undefined) {
      picker = isSingle ? { pick: () => first.endpoint } : this.#make(this.#scaled(members));
    }
    this.#subsets.set(key, picker);
    return picker;
  }

  #has({ labels = {} }: Member, wanted: Wanted): boolean {
    for (const [key, text] of wanted) {
      const value = labels[key];
      if (value === undefined || !this.#matches(value, text)) return false;
    }
    return true;
  }

  #matches(value: JsonValue, text: string): boolean {
    if (canonicalText(value) === text) return true;
    return this.#settings.listsAreAny && Array.isArray(value) && value.some((one) => canonicalText(one) === text);
  }

  /** Locality weights by the part of each locality that is in the subset, where that is asked for. */
  #scaled(members: readonly Member[]): readonly Member[] {
    const { weighsLocalities, scalesLocalities } = this.#settings;
    if (!weighsLocalities || !scalesLocalities) return members;
    const before = countsOf(this.#members);
    const now = countsOf(members);
    return members.map((member) => {
      const key = placeOf(member);
      const part = (now.get(key) ?? 0) / (before.get(key) ?? 1);
      const isLoaded = member.localityWeight > 0;
      return { ...member, localityWeight: isLoaded ? Math.max(1, Math.round(member.localityWeight * part)) : 0 };
    });
  }
}

function countsOf(members: readonly Member[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const member of members) counts.set(placeOf(member), (counts.get(placeOf(member)) ?? 0) + 1);
  return counts;
}

function placeOf({ endpoint }: Member): string {
  return `${endpoint.priority} ${localityKey(endpoint.locality)}`;
}
