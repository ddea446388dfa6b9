// Equal bytes are one object across sidecars and snapshots, so that "the same" is a comparison of two references.
import type { EncodedResource } from '../../xds/resource.ts';

const YOUNG_MAX = 4096;

/** What nobody asked for since the sweep before is forgotten by the next one; forgetting costs memory, never truth. */
export class Interner {
  #old = new Map<string, EncodedResource>();
  #young = new Map<string, EncodedResource>();

  intern(resource: EncodedResource): EncodedResource {
    const key = `${resource.typeUrl} ${resource.name} ${resource.version}`;
    const known = this.#young.get(key) ?? this.#old.get(key) ?? resource;
    this.#young.set(key, known);
    return known;
  }

  /** Does nothing until there is twice as much as after the last time: what did not change is not asked for again. */
  sweep(): void {
    if (this.#young.size < 2 * this.#old.size + YOUNG_MAX) return;
    this.#old = this.#young;
    this.#young = new Map();
  }
}
