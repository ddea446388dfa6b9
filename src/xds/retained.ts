// Resources that have left the view but are not yet taken from the client, because listeners or routes
// that it still runs may refer to them. Each is kept until the generation that dropped it has settled.
import type { ResourceChange } from './resource-change.ts';
import type { EncodedResource } from './resource.ts';

interface Kept {
  readonly resource: EncodedResource;
  readonly generation: number;
}

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

  /** Keeps what is gone with this change; forgets what has come back. */
  change({ added, removed }: ResourceChange, generation: number): void {
    for (const { name } of added) this.#kept.delete(name);
    for (const resource of removed) this.#kept.set(resource.name, { resource, generation });
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
