// The EnvoyFilters of a mesh, with their values read: those of the root namespace come first, then those of the
// workload's namespace, in both the lower priority first and then the older. What is given has been judged (judged-filters.ts):
// one with a value that we do not know does not come here, but its last good version, or what stands in for it does.
// Source: istio networking/v1alpha3/envoy_filter.proto (priority), pilot EnvoyFilterWrapper.
import type { JsonObject } from '@bufbuild/protobuf';
import type { Any } from '@bufbuild/protobuf/wkt';
import { refuses, type Problem } from '../base/problem.ts';
import type { HttpFilterPatch } from '../config/envoy-filter.ts';
import { isJsonObject } from '../config/json-value.ts';
import type { EnvoyFilter } from '../config/resource.ts';
import { tryFilter } from './filter-trial.ts';
import { readFilterConfig, typeOf, typeOfFilter } from './known-filters.ts';
import type { MeshNode } from './mesh-node.ts';
import { selects } from './mesh-service.ts';

export interface CompiledPatch extends Omit<HttpFilterPatch, 'value'> {
  /** Of the value; empty where it has none (MERGE), or for REMOVE. */
  readonly name: string;
  /** Null for REMOVE. */
  readonly config: Any | null;
  /** False: only the sidecar can judge the value, because it names a file or a variable there. */
  readonly isTried: boolean;
}

interface Compiled {
  readonly filter: EnvoyFilter;
  readonly patches: readonly CompiledPatch[];
}

const VALUE_FIELDS = new Set(['name', 'typed_config', 'typedConfig']);

/** Files and variables are those of the sidecar's machine: only there a value can be tried that takes from them. */
const READS_FILES = /"(?:filename|environment_?variable|watched_?directory)"/i;

const MERGES_MAX = 256;

export class EnvoyFilters {
  readonly problems: readonly Problem[];
  readonly #compiled: readonly Compiled[];
  readonly #rootNamespace: string;
  /** By patch: what sidecars would refuse of filters that it is merged into. */
  readonly #refusedMerges = new Map<CompiledPatch, Problem>();
  /** By patch and the bytes of the merged filter. */
  readonly #merges = new Map<CompiledPatch, Map<string, boolean>>();

  /** `filters`: oldest first. */
  constructor(filters: readonly EnvoyFilter[], rootNamespace: string) {
    this.#rootNamespace = rootNamespace;
    this.#compiled = filters
      .map((filter) => ({ filter, patches: compilePatches(filter).patches }))
      .filter((one): one is Compiled => one.patches !== null)
      .toSorted((left, right) => left.filter.spec.priority - right.filter.spec.priority);
    this.problems = filters.filter(({ spec }) => spec.isStandIn).map(standInProblem);
  }

  /** Merges that came to something that no sidecar would take, as far as they were asked about. */
  get mergeProblems(): readonly Problem[] {
    return [...this.#refusedMerges.values()];
  }

  /** True when sidecars take what the filter `name` is after the merge of this patch. */
  takes(patch: CompiledPatch, name: string, merged: Any): boolean {
    if (!patch.isTried) return true;
    const tried = this.#merges.get(patch) ?? new Map<string, boolean>();
    this.#merges.set(patch, tried);
    const key = Buffer.from(merged.value).toString('base64');
    const known = tried.get(key);
    if (known !== undefined) return known;
    const path = `${patch.path}.patch.value`;
    const wrong = tryFilter(name, merged, '').find(({ severity }) => severity === 'error');
    if (tried.size >= MERGES_MAX) tried.clear();
    tried.set(key, wrong === undefined);
    if (wrong === undefined) return true;
    const owner = this.#compiled.find(({ patches }) => patches.includes(patch))?.filter;
    const reason = [wrong.path.replace(/^\./, ''), wrong.message].filter((text) => text !== '').join(' ');
    const message = `merged into ${name} no sidecar would take it (${reason}); the filter stays as it is without it`;
    const place = owner?.source.locate(path) ?? null;
    this.#refusedMerges.set(patch, { severity: 'error', path, message, remedy: wrong.remedy, place });
    return false;
  }

  /** In the order in which they are applied. */
  of({ namespace, labels }: Pick<MeshNode, 'namespace' | 'labels'>): readonly CompiledPatch[] {
    const held = (wanted: string): readonly CompiledPatch[] =>
      this.#compiled
        .filter(({ filter: { meta, spec } }) => meta.namespace === wanted && selects(spec.labels ?? new Map(), labels))
        .flatMap(({ patches }) => patches);
    if (this.#compiled.length === 0) return [];
    return namespace === this.#rootNamespace ? held(namespace) : [...held(this.#rootNamespace), ...held(namespace)];
  }
}

function standInProblem({ meta, spec, source }: EnvoyFilter): Problem {
  const path = spec.guards[0]?.path ?? 'spec';
  const message = `the EnvoyFilter ${meta.namespace}/${meta.name} was never right, and what it was to put in keeps somebody out: until it is right, its workloads answer every request there with 403`;
  return { severity: 'error', path, message, remedy: 'correct it, or delete it', place: source.locate(path) };
}

export interface CompiledPatches {
  /** Null: the EnvoyFilter is refused, and `problems` say why. */
  readonly patches: readonly CompiledPatch[] | null;
  readonly problems: readonly Problem[];
}

/** By the resource itself, which stays the same object as long as nobody writes it anew. */
const compiled = new WeakMap<EnvoyFilter, CompiledPatches>();

/** The patches with their values read and tried. */
export function compilePatches(filter: EnvoyFilter): CompiledPatches {
  const known = compiled.get(filter);
  if (known !== undefined) return known;
  const problems: Problem[] = [];
  const report: Report = (path, message, remedy) => {
    problems.push({ severity: 'error', path, message, remedy, place: null });
  };
  const patches = filter.spec.patches.map(({ value, ...patch }): CompiledPatch => {
    if (value === null) return { ...patch, name: '', config: null, isTried: false };
    const { found, ...read } = readValue(patch, value, report);
    problems.push(...found);
    return { ...patch, ...read };
  });
  const placed = problems.map((problem) => ({ ...problem, place: filter.source.locate(problem.path) }));
  const result = { patches: refuses(placed) ? null : patches, problems: placed };
  compiled.set(filter, result);
  return result;
}

type Report = (path: string, message: string, remedy: string) => void;

interface ReadValue extends Pick<CompiledPatch, 'name' | 'config' | 'isTried'> {
  /** By the compiler of the filter. */
  readonly found: readonly Problem[];
}

function readValue(patch: Omit<HttpFilterPatch, 'value'>, value: JsonObject, report: Report): ReadValue {
  const at = `${patch.path}.patch.value`;
  const isMerge = patch.operation === 'MERGE';
  for (const field of Object.keys(value))
    if (!VALUE_FIELDS.has(field)) report(`${at}.${field}`, 'is not supported', 'write name and typed_config');
  const name = typeof value['name'] === 'string' ? value['name'] : '';
  if (name === '' && !isMerge) report(`${at}.name`, 'is missing', 'write the name of the filter');
  const field = Object.hasOwn(value, 'typedConfig') ? 'typedConfig' : 'typed_config';
  const typed = value[field];
  if (!isJsonObject(typed)) {
    report(`${at}.${field}`, 'is missing', 'write typed_config with an @type');
    return { name, config: null, isTried: false, found: [] };
  }
  const config = readFilterConfig(typed);
  if (!('$typeName' in config)) {
    const path = config.at === '' ? `${at}.${field}` : `${at}.${field}.${config.at}`;
    report(path, config.reason, 'write a filter that docs/envoy-filter.md lists, or an Extension');
    return { name, config: null, isTried: false, found: [] };
  }
  const wanted = isMerge ? typeOfFilter(patch.subFilter) : null;
  if (wanted !== null && wanted !== typeOf(config))
    report(`${at}.${field}.@type`, `is not the type of ${patch.subFilter}`, `write ${wanted}`);
  const isTried = !READS_FILES.test(JSON.stringify(typed));
  // What is merged is a part of a filter only: it is tried with what it is merged into.
  const found = isTried && !isMerge ? tryFilter(name, config, `${at}.${field}`) : [];
  return { name, config, isTried, found };
}
