// A resource in its final bytes: encoded once, hashed once, shared by every stream that gets the same.
// The version is a hash of the content, so it is equal on every replica and after every restart, and a
// client that reconnects elsewhere is sent only what really differs.
import { createHash } from 'node:crypto';

import { toBinary, type DescMessage, type MessageShape } from '@bufbuild/protobuf';

import { LayeredResources, type NamedResources } from './resource-change.ts';
import { TYPE_PREFIX, type TypeUrl } from './type-url.ts';

export interface EncodedResource {
  readonly typeUrl: TypeUrl;
  /** The resource's own name: a Listener's, a Cluster's, a RouteConfiguration's, an assignment's cluster name. */
  readonly name: string;
  /** 16 hexadecimal digits of the SHA-256 of `bytes`; the delta protocol's resource version. */
  readonly version: string;
  /** The message itself; an Any of it is `{ typeUrl, value: bytes }`. */
  readonly bytes: Uint8Array;
}

/** Everything that one node may see, immutable. An unchanged type keeps its Map object from view to view. */
export interface ResourceView {
  /** By type URL, then by resource name. A type without an entry has no resources. */
  readonly resources: ReadonlyMap<TypeUrl, ReadonlyMap<string, EncodedResource>>;
  /** By type URL: a hash over the versions of all its resources; `version_info` and `system_version_info`. */
  readonly versions: ReadonlyMap<TypeUrl, string>;
}

/** Encodes `message` for the wire. Throws only when `message` is not what its type says: our own mistake. */
export function encodeResource<Desc extends DescMessage>(
  schema: Desc,
  name: string,
  message: MessageShape<Desc>,
): EncodedResource {
  // Without writeUnknownFields and with fields written in schema order, equal messages give equal bytes.
  const bytes = toBinary(schema, message, { writeUnknownFields: false });
  return { typeUrl: TYPE_PREFIX + schema.typeName, name, version: contentVersion(bytes), bytes };
}

/** A short content hash; 64 bits are plenty against accidents, and nobody gains by a collision. */
export function contentVersion(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex').slice(0, 16);
}

/** A view of `resources`, with the type versions computed; for tests and small callers. */
export function resourceView(resources: Iterable<EncodedResource>): ResourceView {
  const byType = new Map<TypeUrl, Map<string, EncodedResource>>();
  for (const resource of resources) {
    const known = byType.get(resource.typeUrl);
    if (known === undefined) byType.set(resource.typeUrl, new Map([[resource.name, resource]]));
    else known.set(resource.name, resource);
  }
  const versions = new Map<TypeUrl, string>();
  for (const [typeUrl, named] of byType) versions.set(typeUrl, versionOf(named));
  return { resources: byType, versions };
}

const versions = new WeakMap<NamedResources, string>();

/** A hash over the versions of `named`, whatever their order; of layers, over those of both. `named` does not change after. */
export function versionOf(named: NamedResources): string {
  const known = versions.get(named) ?? (named instanceof LayeredResources ? layered(named) : flat(named));
  versions.set(named, known);
  return known;
}

function layered({ below, above }: LayeredResources): string {
  return contentVersion(Buffer.from(`${versionOf(below)} ${versionOf(above)}`));
}

function flat(named: NamedResources): string {
  const hash = createHash('sha256');
  for (const name of [...named.keys()].toSorted()) hash.update(`${name}\0${named.get(name)?.version ?? ''}\0`);
  return hash.digest('hex').slice(0, 16);
}
