// From resources and workloads to a snapshot and its views, isolating failures by resource: one whose
// translation fails unexpectedly keeps its last good version, or stays away when it has none, and is reported at its
// place; everything else moves on. Finding the culprits costs a few translations more, and only then.
//
//   all new ──fails──► last good + halves of the changes, each tried ──► what translates is the next last good
import type { Problem } from '../base/problem.ts';
import { error } from '../base/problem.ts';
import { resourceKey } from '../config/resource.ts';
import type { Resource } from '../config/resource.ts';
import { NO_CLIENTS } from './client-roster.ts';
import type { Clients } from './client-roster.ts';
import { NO_JWKS } from './jwks-store.ts';
import type { JwksStates } from './jwks-store.ts';
import type { MeshNode } from './mesh-node.ts';
import { buildSnapshot } from './snapshot.ts';
import type { Snapshot, SnapshotInputs } from './snapshot.ts';
import { checkSnapshot } from './translate/check.ts';
import { Interner, ViewBuilder } from './translate/sidecar-view.ts';

export interface Translation {
  readonly snapshot: Snapshot;
  readonly builder: ViewBuilder;
  readonly problems: readonly Problem[];
}

type Resources = ReadonlyMap<string, Resource>;
type FixedInputs = Pick<SnapshotInputs, 'domain' | 'providers' | 'services' | 'trustDomain' | 'rootsPem'>;

/** One resource that is new, different (`next` replaces the old one) or gone (`next` is null). */
interface Change {
  readonly key: string;
  readonly next: Resource | null;
}

const NONE: Resources = new Map();

interface Trial {
  readonly workloads: readonly MeshNode[];
  readonly nodes: readonly MeshNode[];
}

export class Translator {
  readonly interner = new Interner();
  readonly #fixed: FixedInputs;
  readonly #jwks: () => JwksStates;
  readonly #clients: Clients;
  #good: Resources = NONE;
  #last: Translation;
  #sequence = 0;

  /** `clients`: among whom service-wide limits are divided; nobody by default. `jwks`: the keys that are fetched by now. */
  constructor(fixed: FixedInputs, clients: Clients = NO_CLIENTS, jwks: () => JwksStates = () => NO_JWKS) {
    this.#clients = clients;
    this.#jwks = jwks;
    this.#fixed = fixed;
    this.#last = this.#translate(NONE, { workloads: [], nodes: [] });
  }

  /** The newest translation; an empty one before the first. */
  get last(): Translation {
    return this.#last;
  }

  /** `nodes` are those that will ask for a view: it has been built once for each when this returns. */
  translate(resources: readonly Resource[], workloads: readonly MeshNode[], nodes: readonly MeshNode[]): Translation {
    const wanted: Resources = new Map(
      resources.map((resource) => [resourceKey(resource.kind, resource.meta), resource]),
    );
    this.#sequence += 1;
    const trial = { workloads, nodes };
    try {
      this.#last = this.#translate(wanted, trial);
      this.#good = wanted;
    } catch (cause) {
      this.#isolate(wanted, trial, cause);
    }
    return this.#last;
  }

  #translate(resources: Resources, { workloads, nodes }: Trial): Translation {
    const snapshot = buildSnapshot({
      ...this.#fixed,
      resources: [...resources.values()],
      workloads,
      jwks: this.#jwks(),
    });
    const builder = new ViewBuilder(snapshot, {
      sequence: this.#sequence,
      interned: this.interner,
      clients: this.#clients,
    });
    const problems = checkSnapshot(snapshot);
    for (const node of nodes) builder.build(node, null);
    return { snapshot, builder, problems };
  }

  #isolate(wanted: Resources, { workloads, nodes }: Trial, first: unknown): void {
    if (!this.#attempt(NONE, { workloads, nodes: [] }).ok) {
      this.#last = { ...this.#last, problems: [...this.#last.problems, internal(first)] };
      return;
    }
    // A node that fails without any rule says nothing about the rules.
    const isSound = (node: MeshNode): boolean => this.#attempt(NONE, { workloads, nodes: [node] }).ok;
    const trial = { workloads, nodes: nodes.filter(isSound) };
    if (!this.#attempt(this.#good, trial).ok) {
      // What was good for those who were there is not for somebody new, so it has to prove itself again.
      const before = this.#good;
      this.#good = NONE;
      this.#take(changesBetween(NONE, before), trial);
    }
    const failed = this.#take(changesBetween(this.#good, wanted), trial);
    const translation = this.#translate(this.#good, trial);
    if (failed.length === 0 && trial.nodes.length === nodes.length) failed.push(internal(first));
    this.#last = { ...translation, problems: [...failed, ...translation.problems] };
  }

  /** Adds to what is good the changes that translate, as many at once as do; returns a Problem for each other. */
  #take(changes: readonly Change[], trial: Trial): Problem[] {
    const [only] = changes;
    if (only === undefined) return [];
    const next = applied(this.#good, changes);
    const attempt = this.#attempt(next, trial);
    if (attempt.ok) {
      this.#good = next;
      return [];
    }
    if (changes.length === 1) return [this.#problemOf(only, attempt.cause)];
    const middle = changes.length >> 1;
    return [...this.#take(changes.slice(0, middle), trial), ...this.#take(changes.slice(middle), trial)];
  }

  #attempt(
    resources: Resources,
    trial: Trial,
  ): { readonly ok: true } | { readonly ok: false; readonly cause: unknown } {
    try {
      this.#translate(resources, trial);
      return { ok: true };
    } catch (cause) {
      return { ok: false, cause };
    }
  }

  #problemOf({ key, next }: Change, cause: unknown): Problem {
    const before = this.#good.get(key);
    const effect = before === undefined ? 'it has no effect' : 'its last good version stays in force';
    const what = next === null ? `${key} cannot be taken away` : 'cannot be translated';
    const place = (next ?? before)?.source.place ?? null;
    return error(
      '',
      `${what} (${textOf(cause)}); ${effect}`,
      'write it differently, and report this as a fault',
      place,
    );
  }
}

function changesBetween(good: Resources, wanted: Resources): readonly Change[] {
  const changes: Change[] = [];
  for (const [key, next] of wanted) if (good.get(key) !== next) changes.push({ key, next });
  for (const key of good.keys()) if (!wanted.has(key)) changes.push({ key, next: null });
  return changes;
}

function applied(good: Resources, changes: readonly Change[]): Resources {
  const next = new Map(good);
  for (const { key, next: resource } of changes) {
    if (resource === null) next.delete(key);
    else next.set(key, resource);
  }
  return next;
}

function internal(cause: unknown): Problem {
  return error(
    '',
    `the rules cannot be translated (${textOf(cause)}); what was in force stays`,
    'report this as a fault',
  );
}

function textOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
