// Which clusters a resource names, wherever in it: routes and mirrors, filters that ask a service, and the members of
// aggregates. It is read off the bytes, so that no field is forgotten, a Struct of an extension's settings included: a
// text of protobuf stands behind its length.
import type { EncodedResource } from '../../xds/resource.ts';

const PREFIXES = ['outbound|', 'fallback|'].map((prefix) => Buffer.from(prefix));
const known = new WeakMap<EncodedResource, readonly string[]>();

/** Names of clusters for services and of their fallbacks; a name that only begins like one may be among them. */
export function mentionsOf(resource: EncodedResource): readonly string[] {
  const found = known.get(resource) ?? [...scan(resource.bytes)];
  known.set(resource, found);
  return found;
}

function scan(bytes: Uint8Array): ReadonlySet<string> {
  const names = new Set<string>();
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (const prefix of PREFIXES) {
    for (let at = buffer.indexOf(prefix); at > 0; at = buffer.indexOf(prefix, at + prefix.length)) {
      const last = buffer[at - 1] ?? 0;
      add(names, buffer, at, last);
      const first = buffer[at - 2] ?? 0;
      if (first >= 0x80) add(names, buffer, at, (first & 0x7f) | (last << 7));
    }
  }
  return names;
}

function add(names: Set<string>, buffer: Buffer, at: number, length: number): void {
  if (length > 0 && at + length <= buffer.length) names.add(buffer.toString('utf8', at, at + length));
}
