// The subject alternative names of a certificate (RFC 5280 section 4.2.1.6), read from its bytes: the text
// that node:crypto prints is escaped and writes IPv6 addresses in a form of its own. A name list that is
// malformed has no names, so that nothing matches it.
import { X509Certificate } from 'node:crypto';
import { extensionOf } from './certificate-extension.ts';
import { readInside, SEQUENCE } from './der.ts';

export type NameKind = 'dns' | 'uri' | 'email' | 'ip';

/** In the order of the certificate; IP addresses in their canonical text (RFC 5952). */
export type AlternativeNames = Readonly<Record<NameKind, readonly string[]>>;

export const NO_NAMES: AlternativeNames = { dns: [], uri: [], email: [], ip: [] };

/** 2.5.29.17. */
const SUBJECT_ALT_NAME = Buffer.from([0x55, 0x1d, 0x11]);

/** Context-specific tags of GeneralName. */
const KINDS: ReadonlyMap<number, NameKind> = new Map([
  [0x81, 'email'],
  [0x82, 'dns'],
  [0x86, 'uri'],
  [0x87, 'ip'],
]);

export function alternativeNamesOf(certificate: X509Certificate): AlternativeNames {
  const list = extensionOf(certificate.raw, SUBJECT_ALT_NAME);
  const names = list === null ? null : readInside(list, SEQUENCE);
  if (names === null) return NO_NAMES;
  const found: Record<NameKind, string[]> = { dns: [], uri: [], email: [], ip: [] };
  for (const { tag, content } of names) {
    const kind = KINDS.get(tag);
    if (kind === undefined) continue;
    const text = kind === 'ip' ? addressText(content) : content.toString('latin1');
    if (text !== '') found[kind].push(text);
  }
  return found;
}

function addressText(bytes: Buffer): string {
  if (bytes.length === 4) return bytes.join('.');
  if (bytes.length !== 16) return '';
  const groups = Array.from({ length: 8 }, (_, index) => bytes.readUInt16BE(index * 2).toString(16));
  return new URL(`http://[${groups.join(':')}]`).hostname.slice(1, -1);
}
