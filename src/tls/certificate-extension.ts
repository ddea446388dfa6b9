// One extension of a certificate (RFC 5280 section 4.2), found in its bytes by its object id. node:crypto shows some
// extensions as text that is escaped, and others not at all.
import { EXTENSIONS, OBJECT_ID, OCTET_STRING, readDer, readInside, SEQUENCE, type DerValue } from './der.ts';

/** The content of the extension `id`, the bytes of its object id; null when it is not there or not sound. */
export function extensionOf(certificate: Buffer, id: Buffer): Buffer | null {
  const signed = readInside(certificate, SEQUENCE)?.[0];
  const fields = signed?.tag === SEQUENCE ? readDer(signed.content) : null;
  // The extensions are the last field of the certificate's first part.
  const extensions = fields?.find(({ tag }) => tag === EXTENSIONS);
  const list = extensions === undefined ? null : readInside(extensions.content, SEQUENCE);
  for (const extension of list ?? []) {
    const parts: readonly DerValue[] = readDer(extension.content) ?? [];
    const [name] = parts;
    if (name?.tag !== OBJECT_ID || !name.content.equals(id)) continue;
    return parts.find(({ tag }) => tag === OCTET_STRING)?.content ?? null;
  }
  return null;
}
