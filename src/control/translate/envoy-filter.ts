// Applies patches of EnvoyFilters to the HTTP filters of one manager, in their order. Names are those of Envoy: where our
// own sidecar has a filter of its own in the place of Envoy's, that one is meant. What says that the manager is one of our
// mesh's stays first, and the router last.
import { create } from '@bufbuild/protobuf';
import { HttpFilterSchema } from '../../xds/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js';
import type { HttpFilter } from '../../xds/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js';
import type { CompiledPatch, EnvoyFilters } from '../envoy-filters.ts';
import { mergeConfigs } from '../known-filters.ts';
import type { MeshNode } from '../mesh-node.ts';

export interface PatchedManager {
  readonly node: Pick<MeshNode, 'namespace' | 'labels'>;
  readonly direction: 'client' | 'server';
  /** Ends in the port of the listener where it has one: `inbound_9080`, `outbound_80`, `outbound_host:80`. */
  readonly statPrefix: string;
}

const MESH_FILTER = 'outrigger.mesh';
/** Our own by the names that Envoy has for what they do. */
const OWN_NAMES: ReadonlyMap<string, string> = new Map([['envoy.filters.http.fault', 'outrigger.fault']]);

export function patchHttpFilters(
  filters: readonly HttpFilter[],
  envoyFilters: EnvoyFilters,
  { node, direction, statPrefix }: PatchedManager,
): HttpFilter[] {
  const context = direction === 'client' ? 'SIDECAR_OUTBOUND' : 'SIDECAR_INBOUND';
  const port = Number(/(?:_|:)(\d+)$/.exec(statPrefix)?.[1] ?? 0);
  let patched = [...filters];
  for (const patch of envoyFilters.of(node)) {
    if (patch.context !== 'ANY' && patch.context !== context) continue;
    if (patch.port === null || patch.port === port) patched = apply(patched, patch, envoyFilters);
  }
  return patched;
}

function apply(filters: readonly HttpFilter[], patch: CompiledPatch, all: EnvoyFilters): HttpFilter[] {
  const { operation, subFilter } = patch;
  const at = filters.findIndex(
    ({ name }) => name !== MESH_FILTER && (name === subFilter || name === OWN_NAMES.get(subFilter)),
  );
  const first = filters[0]?.name === MESH_FILTER ? 1 : 0;
  // Whoever is not there is not patched, as in Istio; it may be in another manager.
  if (at < 0 && subFilter !== '' && operation !== 'INSERT_FIRST') return [...filters];
  switch (operation) {
    case 'INSERT_FIRST':
      return filters.toSpliced(first, 0, ...made(patch));
    case 'INSERT_BEFORE':
      return filters.toSpliced(at < 0 ? first : at, 0, ...made(patch));
    case 'INSERT_AFTER':
      return filters.toSpliced(at + 1, 0, ...made(patch));
    case 'REMOVE':
      return filters.toSpliced(at, 1);
    case 'REPLACE':
      return filters.toSpliced(at, 1, ...made(patch));
    case 'MERGE':
      return filters.map((filter, index) => (index === at ? merged(filter, patch, all) : filter));
    default:
      return [...filters];
  }
}

function made({ name, config }: CompiledPatch): readonly HttpFilter[] {
  return config === null
    ? []
    : [create(HttpFilterSchema, { name, configType: { case: 'typedConfig', value: config } })];
}

/** A patch of another type leaves the filter as it is, and so does one that makes it what no sidecar takes. */
function merged(filter: HttpFilter, patch: CompiledPatch, all: EnvoyFilters): HttpFilter {
  const { name, configType } = filter;
  const { config } = patch;
  if (config === null || configType.case !== 'typedConfig') return filter;
  const value = mergeConfigs(configType.value, config);
  return value === null || !all.takes(patch, name, value)
    ? filter
    : create(HttpFilterSchema, { name, configType: { case: 'typedConfig', value } });
}
