// The name of an encoded resource without decoding it: in every type that travels over ADS the name is
// the string in field 1 (Cluster, ClusterLoadAssignment, Listener, RouteConfiguration, Secret, …).
import { BinaryReader, WireType } from '@bufbuild/protobuf/wire';

/** Empty when the bytes hold no name or are unsound. */
export function resourceName(bytes: Uint8Array): string {
  const reader = new BinaryReader(bytes);
  try {
    while (reader.pos < reader.len) {
      const [field, wireType] = reader.tag();
      if (field === 1 && wireType === WireType.LengthDelimited) return reader.string();
      reader.skip(wireType, field);
    }
  } catch {
    // Unsound bytes have no name; whoever decodes them will say what is wrong.
  }
  return '';
}
