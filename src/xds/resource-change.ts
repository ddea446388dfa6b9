// What changed from one set of resources to another, worked out once for each pair however many streams are told, and
// sets that share most of what they hold: a layer of a node's own over one that many nodes have.
import type { EncodedResource } from './resource.ts';

export type NamedResources = ReadonlyMap<string, EncodedResource>;

export interface ResourceChange {
  /** New, or with another version. */
  readonly changed: readonly EncodedResource[];
  /** New ones alone; all of them are in `changed`. */
  readonly added: readonly EncodedResource[];
  readonly removed: readonly EncodedResource[];
}

const NOTHING: ResourceChange = { changed: [], added: [], removed: [] };

/** By the earlier set, then by the later one. */
const known = new WeakMap<NamedResources, WeakMap<NamedResources, ResourceChange>>();

export function changeBetween(before: NamedResources, after: NamedResources): ResourceChange {
  if (before === after) return NOTHING;
  const later = known.get(before) ?? new WeakMap<NamedResources, ResourceChange>();
  known.set(before, later);
  const found = later.get(after);
  if (found !== undefined) return found;
  const change =
    before instanceof LayeredResources && after instanceof LayeredResources
      ? joined(before, after)
      : compared(before, after);
  later.set(after, change);
  return change;
}

function compared(before: NamedResources, after: NamedResources): ResourceChange {
  const changed: EncodedResource[] = [];
  const added: EncodedResource[] = [];
  for (const [name, resource] of after) {
    const old = before.get(name);
    if (old === resource || old?.version === resource.version) continue;
    changed.push(resource);
    if (old === undefined) added.push(resource);
  }
  const removed = [...before].filter(([name]) => !after.has(name)).map(([, resource]) => resource);
  return changed.length === 0 && removed.length === 0 ? NOTHING : { changed, added, removed };
}

/** The layers one by one, unless a name moved from one to the other. */
function joined(before: LayeredResources, after: LayeredResources): ResourceChange {
  const below = changeBetween(before.below, after.below);
  const above = compared(before.above, after.above);
  const moved = [...above.added, ...above.removed].some(({ name }) => before.below.has(name) || after.below.has(name));
  const covered = [...below.changed, ...below.removed].some(
    ({ name }) => before.above.has(name) || after.above.has(name),
  );
  if (moved || covered) return compared(before, after);
  return {
    changed: [...below.changed, ...above.changed],
    added: [...below.added, ...above.added],
    removed: [...below.removed, ...above.removed],
  };
}

/** `above` over `below`: of two with one name the one above counts. Neither may change afterwards. */
export class LayeredResources implements NamedResources {
  readonly below: NamedResources;
  readonly above: NamedResources;
  readonly size: number;

  constructor(below: NamedResources, above: NamedResources) {
    this.below = below;
    this.above = above;
    let covered = 0;
    for (const name of above.keys()) if (below.has(name)) covered++;
    this.size = below.size + above.size - covered;
  }

  get [Symbol.toStringTag](): string {
    return 'LayeredResources';
  }

  get(name: string): EncodedResource | undefined {
    return this.above.get(name) ?? this.below.get(name);
  }

  has(name: string): boolean {
    return this.above.has(name) || this.below.has(name);
  }

  *entries(): MapIterator<[string, EncodedResource]> {
    for (const entry of this.below) if (!this.above.has(entry[0])) yield entry;
    yield* this.above;
  }

  *keys(): MapIterator<string> {
    for (const [name] of this.entries()) yield name;
  }

  *values(): MapIterator<EncodedResource> {
    for (const [, resource] of this.entries()) yield resource;
  }

  [Symbol.iterator](): MapIterator<[string, EncodedResource]> {
    return this.entries();
  }

  forEach(callback: (value: EncodedResource, key: string, map: NamedResources) => void): void {
    for (const [name, resource] of this.entries()) callback(resource, name, this);
  }
}
