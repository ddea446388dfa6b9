// The resources that are in force, by file. Applying a file is a pure edit of maps: what parsed replaces
// its former version, what was refused keeps it, and what is gone from the file goes.
import type { Problem } from '../base/problem.ts';
import type { ParsedFile } from '../config/parse.ts';
import { resourceKey } from '../config/resource.ts';
import type { Kind, Resource } from '../config/resource.ts';

export interface Touched {
  readonly keys: readonly string[];
  /** True when nothing but instances changed: such a change does not wait. */
  readonly isEndpointsOnly: boolean;
}

const ENDPOINT_KINDS: ReadonlySet<Kind> = new Set(['EndpointSlice', 'Pod', 'WorkloadEntry']);

export class ResourceIndex {
  readonly #files = new Map<string, ReadonlyMap<string, Resource>>();
  readonly #problems = new Map<string, readonly Problem[]>();

  /** A file was written or changed. Returns what is different now. */
  apply(file: string, parsed: ParsedFile): Touched {
    this.#problems.set(file, parsed.problems);
    const old = this.#files.get(file) ?? new Map<string, Resource>();
    if (!parsed.isReadable) return { keys: [], isEndpointsOnly: false };
    const next = new Map<string, Resource>();
    for (const resource of parsed.resources) next.set(resourceKey(resource.kind, resource.meta), resource);
    // A document whose name cannot be read could be any of the former ones, so all that are missing stay.
    const keepsAll = parsed.refused.includes(null);
    for (const [key, resource] of old) {
      if (!next.has(key) && (keepsAll || parsed.refused.includes(key))) next.set(key, resource);
    }
    // Of a policy that was never right, something that lets nobody in.
    for (const resource of parsed.standIns) {
      const key = resourceKey(resource.kind, resource.meta);
      if (!next.has(key)) next.set(key, resource);
    }
    this.#files.set(file, next);
    return touched(old, next);
  }

  /** A file is gone, and its resources with it. */
  remove(file: string): Touched {
    const old = this.#files.get(file) ?? new Map<string, Resource>();
    this.#files.delete(file);
    this.#problems.delete(file);
    return touched(old, new Map());
  }

  /** One of each key: the first file by name wins over a later one. */
  resources(): readonly Resource[] {
    const found = new Map<string, Resource>();
    for (const [, resources] of this.#sorted()) {
      for (const [key, resource] of resources) if (!found.has(key)) found.set(key, resource);
    }
    return [...found.values()];
  }

  /** The Problems of every file, and one for each resource that is written twice. */
  problems(): readonly Problem[] {
    const problems = [...this.#problems.keys()].toSorted().flatMap((file) => this.#problems.get(file) ?? []);
    const found = new Map<string, Resource>();
    for (const [, resources] of this.#sorted()) {
      for (const [key, resource] of resources) {
        const first = found.get(key);
        if (first === undefined) found.set(key, resource);
        else {
          const { file, line } = first.source.place;
          problems.push({
            severity: 'warning',
            path: '',
            message: `${key} is already in ${file}:${line}; this one has no effect`,
            remedy: 'remove one of them',
            place: resource.source.place,
          });
        }
      }
    }
    return problems;
  }

  #sorted(): readonly (readonly [string, ReadonlyMap<string, Resource>])[] {
    return [...this.#files].toSorted(([left], [right]) => (left < right ? -1 : 1));
  }
}

function touched(old: ReadonlyMap<string, Resource>, next: ReadonlyMap<string, Resource>): Touched {
  const keys = new Set<string>();
  let isEndpointsOnly = true;
  for (const [key, resource] of [...old, ...next]) {
    if (JSON.stringify(plain(old.get(key))) === JSON.stringify(plain(next.get(key)))) continue;
    keys.add(key);
    if (!ENDPOINT_KINDS.has(resource.kind)) isEndpointsOnly = false;
  }
  return { keys: [...keys], isEndpointsOnly };
}

/** A resource as plain data, without its place: moving a document is no change. */
function plain(resource: Resource | undefined): unknown {
  if (resource === undefined) return null;
  return JSON.parse(
    JSON.stringify({ meta: resource.meta, spec: resource.spec }, (_, value: unknown) =>
      value instanceof Map ? [...value] : value,
    ),
  );
}
