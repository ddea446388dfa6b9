// Flattens Envoy metadata of clusters and endpoints into the few strings that metrics, logs and
// spans use. Istio's keys have fixed meanings; any other flat value under `envoy.lb` keeps its name.
// Nested values are left out: nothing here reads them.
import type { JsonObject, JsonValue } from '@bufbuild/protobuf';
import type { Metadata } from '../xds/gen/envoy/config/core/v3/base_pb.js';

/** The parts of `filter_metadata.istio.workload`, in Istio's order. */
const WORKLOAD_PARTS = ['workload', 'namespace', 'canonical_service', 'canonical_revision', 'cluster'] as const;

const NONE: ReadonlyMap<string, string> = new Map();

/** `workload`, `namespace`, `canonical_service`, `canonical_revision`, `cluster`, and the scalars of `envoy.lb`. */
export function flattenEndpointMetadata(metadata: Metadata | undefined): ReadonlyMap<string, string> {
  if (metadata === undefined) return NONE;
  const flat = new Map<string, string>();
  for (const [key, value] of Object.entries(metadata.filterMetadata['envoy.lb'] ?? {})) {
    // `canary: true` and the like: what retries and subsets choose endpoints by.
    const text = typeof value === 'boolean' || typeof value === 'number' ? String(value) : value;
    setIfPresent(flat, key, text);
  }
  const workload = metadata.filterMetadata['istio']?.['workload'];
  if (typeof workload === 'string') {
    const parts = workload.split(';');
    WORKLOAD_PARTS.forEach((key, index) => setIfPresent(flat, key, parts[index]));
  }
  return flat.size === 0 ? NONE : flat;
}

/** What transport_socket_matches compare with (`envoy.transport_socket_match`), each value as JSON text. */
export function transportMatchOf(metadata: Metadata | undefined): ReadonlyMap<string, string> {
  const fields = metadata?.filterMetadata['envoy.transport_socket_match'];
  if (fields === undefined) return NONE;
  return new Map(Object.entries(fields).map(([key, value]) => [key, JSON.stringify(value)]));
}

/** `host`, `name`, `namespace` of the first Istio service, `subset`, and the strings of `envoy.lb`. */
export function flattenClusterMetadata(metadata: Metadata | undefined): ReadonlyMap<string, string> {
  if (metadata === undefined) return NONE;
  const flat = new Map<string, string>();
  addFlat(flat, metadata.filterMetadata['envoy.lb']);
  const istio = metadata.filterMetadata['istio'];
  const services = istio?.['services'];
  const service = Array.isArray(services) ? services[0] : undefined;
  if (isObject(service)) {
    for (const key of ['host', 'name', 'namespace']) setIfPresent(flat, key, service[key]);
  }
  setIfPresent(flat, 'subset', istio?.['subset']);
  return flat.size === 0 ? NONE : flat;
}

function addFlat(flat: Map<string, string>, fields: JsonObject | undefined): void {
  for (const [key, value] of Object.entries(fields ?? {})) setIfPresent(flat, key, value);
}

function setIfPresent(flat: Map<string, string>, key: string, value: JsonValue | undefined): void {
  if (typeof value === 'string' && value !== '') flat.set(key, value);
}

function isObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
