// The EnvoyFilters of a mesh, with their values read: those of the root namespace come first, then those of the
// workload's namespace, in both the lower priority first and then the older. One with a value that we do not know is
// left out as a whole, with a Problem.
// Source: istio networking/v1alpha3/envoy_filter.proto (priority), pilot EnvoyFilterWrapper.
import type { Any } from '@bufbuild/protobuf/wkt';
import type { Problem } from '../base/problem.ts';
import type { HttpFilterPatch } from '../config/envoy-filter.ts';
import { isJsonObject } from '../config/json-value.ts';
import type { EnvoyFilter } from '../config/resource.ts';
import { readFilterConfig, typeOf, typeOfFilter } from './known-filters.ts';
import type { MeshNode } from './mesh-node.ts';
import { selects } from './mesh-service.ts';

export interface CompiledPatch extends Omit<HttpFilterPatch, 'value'> {
  /** Of the value; empty where it has none (MERGE), or for REMOVE. */
  readonly name: string;
  /** Null for REMOVE. */
  readonly config: Any | null;
}

interface Compiled {
  readonly filter: EnvoyFilter;
  readonly patches: readonly CompiledPatch[];
}

const VALUE_FIELDS = new Set(['name', 'typed_config', 'typedConfig']);

export class EnvoyFilters {
  readonly problems: readonly Problem[];
  readonly #compiled: readonly Compiled[];
  readonly #rootNamespace: string;

  /** `filters`: oldest first. */
  constructor(filters: readonly EnvoyFilter[], rootNamespace: string) {
    const problems: Problem[] = [];
    this.#rootNamespace = rootNamespace;
    this.#compiled = filters
      .map((filter) => ({ filter, patches: compile(filter, problems) }))
      .filter((one): one is Compiled => one.patches !== null)
      .toSorted((left, right) => left.filter.spec.priority - right.filter.spec.priority);
    this.problems = problems;
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

/** Null after reporting why the EnvoyFilter is left out. */
function compile({ spec, source }: EnvoyFilter, problems: Problem[]): readonly CompiledPatch[] | null {
  const before = problems.length;
  const report = (path: string, message: string, remedy: string): void => {
    problems.push({ severity: 'error', path, message, remedy, place: source.locate(path) });
  };
  const patches = spec.patches.map(({ value, ...patch }): CompiledPatch => {
    if (value === null) return { ...patch, name: '', config: null };
    const at = `${patch.path}.patch.value`;
    for (const field of Object.keys(value))
      if (!VALUE_FIELDS.has(field)) report(`${at}.${field}`, 'is not supported', 'write name and typed_config');
    const name = typeof value['name'] === 'string' ? value['name'] : '';
    if (name === '' && patch.operation !== 'MERGE') report(`${at}.name`, 'is missing', 'write the name of the filter');
    const field = Object.hasOwn(value, 'typedConfig') ? 'typedConfig' : 'typed_config';
    const typed = value[field];
    if (!isJsonObject(typed)) {
      report(`${at}.${field}`, 'is missing', 'write typed_config with an @type');
      return { ...patch, name, config: null };
    }
    const config = readFilterConfig(typed);
    if ('$typeName' in config) {
      const wanted = patch.operation === 'MERGE' ? typeOfFilter(patch.subFilter) : null;
      if (wanted !== null && wanted !== typeOf(config))
        report(`${at}.${field}.@type`, `is not the type of ${patch.subFilter}`, `write ${wanted}`);
      return { ...patch, name, config };
    }
    const path = config.at === '' ? `${at}.${field}` : `${at}.${field}.${config.at}`;
    report(path, config.reason, 'write a filter that docs/envoy-filter.md lists, or an Extension');
    return { ...patch, name, config: null };
  });
  return problems.length > before ? null : patches;
}
