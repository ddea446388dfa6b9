// The resources that are in force, by file (or by whatever name a source gives). Applying a file is a pure edit of maps:
// what parsed replaces its former version, what was refused keeps it, and what is gone from the file goes. Who wins
// where two files have the same resource is settled when one of them changes, so reading costs nothing.
import type { Problem } from '../base/problem.ts';
import { besideNamesake, isSameContent, mustBothHold, namesakeMessage } from '../config/namesake.ts';
import type { ParsedFile } from '../config/parse.ts';
import { resourceKey } from '../config/resource.ts';
import type { Resource } from '../config/resource.ts';
import { judgeFilters } from './judged-filters.ts';
import { INSTANCE_KINDS } from './service-reuse.ts';

export interface Touched {
  readonly keys: readonly string[];
  /** True when nothing but instances changed: such a change does not wait. */
  readonly isEndpointsOnly: boolean;
}

type Resources = ReadonlyMap<string, Resource>;

const NONE: Resources = new Map();

export class ResourceIndex {
  readonly #files = new Map<string, Resources>();
  /** Of files that have any. */
  readonly #problems = new Map<string, readonly Problem[]>();
  /** By key: the files that have the resource, by name. */
  readonly #holders = new Map<string, readonly string[]>();
  /** Keys with more than one holder. */
  readonly #contested = new Set<string>();
  /** Files whose YAML has been broken ever since they came. */
  readonly #neverGood = new Set<string>();
  #winners = new Map<string, Resource>();
  /** By key: what the later copies of a policy are called among the winners. */
  readonly #namesakes = new Map<string, readonly string[]>();

  /** A file was written or changed. Returns what is different now. */
  apply(file: string, read: ParsedFile): Touched {
    const parsed = judgeFilters(read);
    if (parsed.problems.length > 0) this.#problems.set(file, parsed.problems);
    else this.#problems.delete(file);
    const old = this.#files.get(file) ?? NONE;
    // What a broken file said before stays; of one that never was good, what keeps somebody out.
    if (parsed.isReadable) this.#neverGood.delete(file);
    else if (this.#files.has(file) && !this.#neverGood.has(file)) return { keys: [], isEndpointsOnly: false };
    else this.#neverGood.add(file);
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
    this.#settle(file, old, next);
    return touched(old, next);
  }

  /** A file is gone, and its resources with it. */
  remove(file: string): Touched {
    const old = this.#files.get(file) ?? NONE;
    this.#files.delete(file);
    this.#neverGood.delete(file);
    this.#problems.delete(file);
    this.#settle(file, old, NONE);
    return touched(old, NONE);
  }

  /** By key, one of each: the first file by name wins over a later one, but of policies all hold. Not to be kept: it changes with the index. */
  resources(): Resources {
    return this.#winners;
  }

  /** The Problems of every file, and one for each resource that is written twice. */
  problems(): readonly Problem[] {
    const problems = [...this.#problems.keys()].toSorted().flatMap((file) => this.#problems.get(file) ?? []);
    for (const key of [...this.#contested].toSorted()) {
      const [first, ...others] = (this.#holders.get(key) ?? []).flatMap(
        (file) => this.#files.get(file)?.get(key) ?? [],
      );
      if (first === undefined) continue;
      for (const other of others) problems.push(problemOf(key, first, other));
    }
    return problems;
  }

  #settle(file: string, old: Resources, next: Resources): void {
    for (const key of new Set([...old.keys(), ...next.keys()])) {
      const others = (this.#holders.get(key) ?? []).filter((holder) => holder !== file);
      const holders = next.has(key) ? [...others, file].toSorted() : others;
      const [first] = holders;
      const winner = first === undefined ? undefined : this.#files.get(first)?.get(key);
      if (holders.length > 1) this.#contested.add(key);
      else this.#contested.delete(key);
      if (first === undefined || winner === undefined) {
        this.#holders.delete(key);
        this.#winners.delete(key);
      } else {
        this.#holders.set(key, holders);
        this.#winners.set(key, winner);
      }
      if (others.length > 0 || this.#namesakes.has(key)) this.#settleNamesakes(key);
    }
  }

  /** Of policies that keep somebody out all copies hold that do not say the same. */
  #settleNamesakes(key: string): void {
    for (const other of this.#namesakes.get(key) ?? []) this.#winners.delete(other);
    this.#namesakes.delete(key);
    const [first, ...others] = (this.#holders.get(key) ?? []).flatMap((file) => this.#files.get(file)?.get(key) ?? []);
    if (first === undefined) return;
    const names: string[] = [];
    for (const other of others) {
      if (!mustBothHold(first, other)) continue;
      // One mark more than copies within a file have.
      const meta = { ...other.meta, name: `${other.meta.name}~~${names.length + 2}` };
      const name = resourceKey(other.kind, meta);
      names.push(name);
      this.#winners.set(name, besideNamesake({ ...other, meta }));
    }
    if (names.length === 0) return;
    this.#namesakes.set(key, names);
    this.#winners.set(key, besideNamesake(first));
  }
}

function problemOf(key: string, first: Resource, later: Resource): Problem {
  const { file, line } = first.source.place;
  const { place } = later.source;
  const where = line === 0 ? file : `${file}:${line}`;
  if (mustBothHold(first, later)) {
    const remedy = 'remove one of them, or rename it';
    return { severity: 'error', path: '', message: namesakeMessage(key, where), remedy, place };
  }
  const message = `${key} is already in ${where}; this one has no effect`;
  return { severity: 'warning', path: '', message, remedy: 'remove one of them', place };
}

function touched(old: Resources, next: Resources): Touched {
  const keys = new Set<string>();
  let isEndpointsOnly = true;
  for (const [key, resource] of [...old, ...next]) {
    if (isSame(old.get(key), next.get(key))) continue;
    keys.add(key);
    if (!INSTANCE_KINDS.has(resource.kind)) isEndpointsOnly = false;
  }
  return { keys: [...keys], isEndpointsOnly };
}

function isSame(left: Resource | undefined, right: Resource | undefined): boolean {
  return left === undefined || right === undefined ? left === right : isSameContent(left, right);
}
