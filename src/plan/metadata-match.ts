// What a route asks of endpoints' metadata (RouteAction.metadata_match, namespace `envoy.lb`): keys with values,
// by which a cluster with subsets finds the one. Made once per route; clusters remember what they found by it.
// Source: Envoy RouteAction.metadata_match and Cluster.LbSubsetConfig.metadata_fallback_policy.
import type { JsonObject, JsonValue } from '@bufbuild/protobuf';
import type { Metadata } from '../xds/gen/envoy/config/core/v3/base_pb.js';

export interface MetadataMatch {
  /** Key to the value's canonical JSON text. */
  readonly wanted: ReadonlyMap<string, string>;
  /** What to try one after the other where the cluster says so (`fallback_list`); null: there is no such list. */
  readonly variants: readonly MetadataMatch[] | null;
}

const NAMESPACE = 'envoy.lb';
const FALLBACK_LIST = 'fallback_list';

/** What the levels ask for together, later ones over earlier ones; null when none of them asks for anything. */
export function compileMetadataMatch(...levels: readonly (Metadata | undefined)[]): MetadataMatch | null {
  const asked = levels.map((level) => level?.filterMetadata[NAMESPACE]).filter((fields) => fields !== undefined);
  return asked.length === 0 ? null : matchOf(Object.assign({}, ...asked));
}

function matchOf(fields: JsonObject): MetadataMatch {
  const { [FALLBACK_LIST]: list, ...base } = fields;
  const wanted = wantedOf(fields);
  if (!Array.isArray(list)) return Object.freeze({ wanted, variants: null });
  const tried = list.length === 0 ? [{}] : list;
  const variants = tried.map((one) => ({
    wanted: wantedOf({ ...base, ...(isObject(one) ? one : {}) }),
    variants: null,
  }));
  return Object.freeze({ wanted, variants });
}

function wantedOf(fields: JsonObject): ReadonlyMap<string, string> {
  return new Map(Object.entries(fields).map(([key, value]) => [key, canonicalText(value)]));
}

/** JSON with sorted keys: equal for equal values. */
export function canonicalText(value: JsonValue): string {
  return JSON.stringify(value, (_key, inner: unknown) => (isPlain(inner) ? sorted(inner) : inner));
}

function sorted(value: object): object {
  return Object.fromEntries(Object.entries(value).toSorted(([left], [right]) => (left < right ? -1 : 1)));
}

function isPlain(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isObject(value: JsonValue): value is JsonObject {
  return isPlain(value);
}
