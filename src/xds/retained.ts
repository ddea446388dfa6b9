// Resources that have left the view but are not yet taken from the client, because listeners or routes
// that it still runs may refer to them. Each is kept until the generation that dropped it has settled.
import type { EncodedResource } from './resource.ts';

interface Kept {
  readonly resource: EncodedResource;
  readonly generation: number;
}

type Named = ReadonlyMap<string, EncodedResource>;

export class Retained {
  readonly #kept = new Map<string, Kept>();

  get size(): number {
    return this.#kept.size;
  }

  get(name: string): EncodedResource | undefined {
    return this.#kept.get(name)?.resource;
  }

  *all(): Iterable<EncodedResource> {
    for (const { resource } of this.#kept.values()) yield resource;
  }

  /** Keeps what is in `before` and no longer in `after`; forgets what has come back. */
  change(before: Named, after: Named, generation: number): void {
    for (const name of this.#kept.keys()) if (after.has(name)) this.#kept.delete(name);
    if (before === after) return;
    for (const [name, resource] of before) if (!after.has(name)) this.#kept.set(name, { resource, generation });
  }

  /** Forgets these: the client refused them, so nothing it runs refers to them. True when any was kept. */
  forget(names: Iterable<string>): boolean {
    let hasForgotten = false;
    for (const name of names) hasForgotten = this.#kept.delete(name) || hasForgotten;
    return hasForgotten;
  }

  /** Forgets what was dropped in `generation` or earlier; true when there was any. */
  dropUpTo(generation: number): boolean {
    let hasDropped = false;
    for (const [name, kept] of this.#kept) {
      if (kept.generation > generation) continue;
      this.#kept.delete(name);
      hasDropped = true;
    }
    return hasDropped;
  }
}
