// Decodes a google.protobuf.Any whose type the reader knows. Never throws: bytes come from elsewhere.
import { fromBinary, type DescMessage, type MessageShape } from '@bufbuild/protobuf';
import type { Any } from '@bufbuild/protobuf/wkt';

/** The full message name of an Any: what stands after the last slash of its type URL. */
export function typeNameOf(any: Any): string {
  return any.typeUrl.slice(any.typeUrl.lastIndexOf('/') + 1);
}

/** The message when `any` holds one of `schema`'s type and its bytes are sound; otherwise null. */
export function unpack<Desc extends DescMessage>(any: Any, schema: Desc): MessageShape<Desc> | null {
  if (typeNameOf(any) !== schema.typeName) return null;
  try {
    return fromBinary(schema, any.value);
  } catch {
    // Only a decoding error can be thrown here, and null says exactly that.
    return null;
  }
}
