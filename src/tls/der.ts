// Reads and writes DER (ITU-T X.690) as far as certificates need it: tag, content, next. Bytes come from a peer, so
// every length is checked, and what is malformed ends the reading with null; nothing throws.

export interface DerValue {
  /** The identifier octet: class, constructed bit and number. */
  readonly tag: number;
  readonly content: Buffer;
}

export const SEQUENCE = 0x30;
export const OBJECT_ID = 0x06;
export const BOOLEAN = 0x01;
export const BIT_STRING = 0x03;
export const OCTET_STRING = 0x04;
/** `[3]` constructed: the extensions of a TBSCertificate. */
export const EXTENSIONS = 0xa3;

/** The values that stand in `bytes` one after the other; null when they are not sound DER with short tags. */
export function readDer(bytes: Buffer): readonly DerValue[] | null {
  const values: DerValue[] = [];
  let at = 0;
  while (at < bytes.length) {
    const tag = bytes[at] ?? 0;
    const first = bytes[at + 1];
    if (first === undefined || (tag & 0x1f) === 0x1f) return null;
    let length = first;
    let start = at + 2;
    if (first >= 0x80) {
      const count = first & 0x7f;
      if (count === 0 || count > 4 || start + count > bytes.length) return null;
      length = bytes.readUIntBE(start, count);
      start += count;
    }
    if (start + length > bytes.length) return null;
    values.push({ tag, content: bytes.subarray(start, start + length) });
    at = start + length;
  }
  return values;
}

/** The values inside the one value that `bytes` is; null when it is not one of `tag`. */
export function readInside(bytes: Buffer, tag: number): readonly DerValue[] | null {
  const [outer, ...more] = readDer(bytes) ?? [];
  return outer?.tag === tag && more.length === 0 ? readDer(outer.content) : null;
}

/** One value: the tag, the length in its shortest form (X.690 section 10.1), and `parts` one after the other. */
export function writeDer(tag: number, parts: readonly Uint8Array[]): Buffer {
  const content = Buffer.concat(parts);
  return Buffer.concat([Buffer.of(tag), lengthOf(content.length), content]);
}

function lengthOf(length: number): Buffer {
  if (length < 0x80) return Buffer.of(length);
  const digits = length.toString(16);
  const bytes = Buffer.from(digits.length % 2 === 0 ? digits : `0${digits}`, 'hex');
  return Buffer.concat([Buffer.of(0x80 | bytes.length), bytes]);
}
