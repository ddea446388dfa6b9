// From resources and workloads to a snapshot and its views, isolating failures by resource: one whose
// translation fails unexpectedly keeps its last good version, or stays away when it has none, and is reported at its
// place; everything else moves on. Finding the culprits costs a few translations more, and only then.
//
//   all new ──fails──► last good + halves of the changes, each tried ──► what translates is the next last good
//
// Where nothing but instances, or routes and instances, changed since the last one, only what depends on them is
// translated; the result is the same.
import type { Problem } from '../base/problem.ts';
import { error } from '../base/problem.ts';
import { resourceKey, type Resource } from '../config/resource.ts';
import { NO_CLIENTS } from './client-roster.ts';
import type { Clients } from './client-roster.ts';
import { NO_JWKS } from './jwks-store.ts';
import type { JwksStates } from './jwks-store.ts';
import type { MeshNode } from './mesh-node.ts';
import { INSTANCE_KINDS, sameButInstances } from './service-reuse.ts';
import { buildSnapshot, moveInstances } from './snapshot.ts';
import type { Snapshot, SnapshotInputs } from './snapshot.ts';
import { checkSnapshot } from './translate/check.ts';
import type { Difference } from './translate/common-view.ts';
import { Interner } from './translate/interner.ts';
import { ViewBuilder } from './translate/sidecar-view.ts';

export interface Translation {
  readonly snapshot: Snapshot;
  readonly builder: ViewBuilder;
  readonly problems: readonly Problem[];
}

type Resources = ReadonlyMap<string, Resource>;
/** What a translation was made from besides the resources. */
interface Circumstances {
  readonly workloads: readonly MeshNode[];
  readonly jwks: JwksStates;
  readonly rootsPem: string;
}
type FixedInputs = Pick<SnapshotInputs, 'domain' | 'providers' | 'services' | 'trustDomain' | 'rootsPem'> & {
  /** Virtual hosts above which those sidecars that can fetch them do; never by default. */
  readonly onDemandAbove?: number;
};

/** One resource that is new, different (`next` replaces the old one) or gone (`next` is null). */
interface Change {
  readonly key: string;
  readonly next: Resource | null;
}

const NONE: Resources = new Map();

/** Kinds on which nothing depends but routes, and what has to do with them in managers that send. */
const ROUTE_KINDS: ReadonlySet<Resource['kind']> = new Set(['VirtualService', 'HTTPRoute', 'ReferenceGrant']);

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
  /** What `#last` was made from besides `#good`; null when it is not what was asked for. */
  #madeFrom: Circumstances | null = null;
  #isChecked = true;
  #isTried = true;
  #sequence = 0;

  /** `clients`: among whom service-wide limits are divided; nobody by default. `jwks`: the keys that are fetched by now. */
  constructor(fixed: FixedInputs, clients: Clients = NO_CLIENTS, jwks: () => JwksStates = () => NO_JWKS) {
    this.#clients = clients;
    this.#jwks = jwks;
    this.#fixed = fixed;
    const snapshot = buildSnapshot({ ...fixed, resources: [], workloads: [] });
    this.#last = { snapshot, builder: this.#builderOf(snapshot, null), problems: [] };
  }

  /** The newest translation; an empty one before the first. */
  get last(): Translation {
    return this.#last;
  }

  /**
   * `nodes` gives those that will ask for a view: it has been built once for each when this returns, unless nothing but
   * instances changed. `isWhole`: nothing of the last translation is used. Problems that show in the whole may be those
   * of before; see `check`.
   */
  translate(
    resources: Resources,
    workloads: readonly MeshNode[],
    nodes: () => readonly MeshNode[],
    isWhole = false,
  ): Translation {
    this.#sequence += 1;
    const changes = changesBetween(this.#good, resources);
    if (!isWhole) {
      const moved = this.#move(resources, workloads, changes);
      if (moved !== null) return moved;
    }
    const wanted: Resources = new Map(resources);
    const trial = { workloads, nodes: nodes() };
    try {
      const isMore = isWhole || this.#madeFrom === null || !changes.every((change) => this.#isOf(change, ROUTE_KINDS));
      const before = isMore ? null : this.#last;
      this.#last = this.#translate(wanted, trial, before);
      this.#good = wanted;
      this.#madeFrom = this.#circumstances(workloads);
    } catch (cause) {
      this.#madeFrom = null;
      this.#isolate(wanted, trial, cause);
    }
    this.#isChecked = true;
    this.#isTried = true;
    return this.#last;
  }

  /** True when the last translation was tried with every sort of node that was there. */
  get isTried(): boolean {
    return this.#isTried;
  }

  /** Looks again for Problems that only show in the whole, where instances changed since; false when none did. */
  check(): boolean {
    if (this.#isChecked) return false;
    this.#isChecked = true;
    try {
      this.#last = { ...this.#last, problems: checkSnapshot(this.#last.snapshot) };
    } catch (cause) {
      this.#last = { ...this.#last, problems: [...this.#last.problems, internal(cause)] };
    }
    return true;
  }

  /**
   * What resources would be told beside all that are in force, in the place of those of their names; nothing changes.
   * Throws where the translation of what is there already fails.
   */
  trial(resources: readonly Resource[]): readonly Problem[] {
    const beside = new Map(this.#good);
    for (const resource of resources) beside.set(resourceKey(resource.kind, resource.meta), resource);
    const { workloads = [] } = this.#madeFrom ?? {};
    const all = [...beside.values()];
    const snapshot = buildSnapshot({ ...this.#fixed, resources: all, workloads, jwks: this.#jwks() });
    const files = new Set(resources.map(({ source }) => source.file));
    return checkSnapshot(snapshot).filter(({ place }) => place !== null && files.has(place.file));
  }

  /** The next translation where only instances changed; null when more did, or when it fails: then all is tried. */
  #move(resources: Resources, workloads: readonly MeshNode[], changes: readonly Change[]): Translation | null {
    const from = this.#madeFrom;
    const now = this.#circumstances(workloads);
    if (from === null || from.jwks !== now.jwks || from.rootsPem !== now.rootsPem) return null;
    if (!changes.every((change) => this.#isOf(change, NO_KINDS))) return null;
    try {
      const { snapshot: before, builder, problems } = this.#last;
      const result = moveInstances(
        before,
        { resources: [...resources.values()], workloads, services: this.#fixed.services },
        {
          resources: changes.flatMap(({ key, next }) => [this.#good.get(key) ?? [], next ?? []].flat()),
          workloads: differing(from.workloads, workloads),
        },
      );
      if (result === null) return null;
      const { snapshot, moved } = result;
      const difference = { kind: 'instances', moved } as const;
      this.#last = { snapshot, problems, builder: this.#builderOf(snapshot, { builder, difference }) };
      this.#good = applied(this.#good, changes);
      this.#madeFrom = now;
      this.#isChecked = false;
      this.#isTried = false;
      return this.#last;
    } catch {
      return null;
    }
  }

  #isOf({ key, next }: Change, kinds: ReadonlySet<Resource['kind']>): boolean {
    return [next, this.#good.get(key)].every(
      (resource) => resource == null || INSTANCE_KINDS.has(resource.kind) || kinds.has(resource.kind),
    );
  }

  #circumstances(workloads: readonly MeshNode[]): Circumstances {
    return { workloads, jwks: this.#jwks(), rootsPem: this.#fixed.rootsPem?.() ?? '' };
  }

  #builderOf(snapshot: Snapshot, follows: { builder: ViewBuilder; difference: Difference } | null): ViewBuilder {
    const { interner: interned } = this;
    const { onDemandAbove = Infinity } = this.#fixed;
    return new ViewBuilder(snapshot, {
      sequence: this.#sequence,
      interned,
      clients: this.#clients,
      onDemandAbove,
      follows,
    });
  }

  /** `before`: from which only routes and instances differ; null: from the last one anything may. */
  #translate(resources: Resources, { workloads, nodes }: Trial, before: Translation | null = null): Translation {
    const snapshot = buildSnapshot({
      ...this.#fixed,
      resources: [...resources.values()],
      workloads,
      jwks: this.#jwks(),
      previous: this.#last.snapshot,
    });
    const difference = before === null ? EVERYTHING : routesOnly(before.snapshot, snapshot);
    const builder = this.#builderOf(snapshot, { builder: this.#last.builder, difference });
    // What only shows in views is told by the check, too.
    for (const node of nodes) builder.build(node, null);
    return { snapshot, builder, problems: checkSnapshot(snapshot) };
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

const NO_KINDS: ReadonlySet<Resource['kind']> = new Set();
const EVERYTHING: Difference = { kind: 'all' };

/** What moved between two snapshots whose services have nothing else that is different; where they have, anything may be. */
function routesOnly(before: Snapshot, after: Snapshot): Difference {
  if (before.services.size !== after.services.size || before.jwks !== after.jwks) return EVERYTHING;
  const moved = new Set<string>();
  for (const [host, service] of after.services) {
    const old = before.services.get(host);
    if (old === undefined || !sameButInstances(old, service)) return EVERYTHING;
    if (old !== service) moved.add(host);
  }
  return { kind: 'routes', moved };
}

/** Who is in one of the lists and not in the other. */
function differing(left: readonly MeshNode[], right: readonly MeshNode[]): readonly MeshNode[] {
  const [before, now] = [new Set(left), new Set(right)];
  return [...left.filter((node) => !now.has(node)), ...right.filter((node) => !before.has(node))];
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
