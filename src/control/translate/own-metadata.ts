// What Envoy's messages have no field for: the struct `outrigger` in the metadata of a cluster or a route. Our sidecars
// read it, a real Envoy passes it by.
import { create } from '@bufbuild/protobuf';
import type { JsonValue } from '@bufbuild/protobuf';
import { MetadataSchema } from '../../xds/gen/envoy/config/core/v3/base_pb.js';
import type { Metadata } from '../../xds/gen/envoy/config/core/v3/base_pb.js';

const NAME = 'outrigger';

/** Adds to what is there; a field that is there already is replaced, or removed by `undefined`. */
export function writeMetadata(
  target: { metadata?: Metadata | undefined },
  fields: Readonly<Record<string, JsonValue | undefined>>,
): void {
  const known = new Map(Object.entries(target.metadata?.filterMetadata[NAME] ?? {}));
  for (const [name, value] of Object.entries(fields)) {
    if (value === undefined) known.delete(name);
    else known.set(name, value);
  }
  if (known.size === 0 && target.metadata?.filterMetadata[NAME] === undefined) return;
  target.metadata ??= create(MetadataSchema);
  target.metadata.filterMetadata[NAME] = Object.fromEntries(known);
}
