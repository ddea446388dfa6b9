// What a certificate must be to name a workload of a mesh, beside its chain: exactly one URI among its names, no
// authority over others. Asked of a peer wherever a SPIFFE id is asked of it.
// Source: SPIFFE X509-SVID.md sections 2 to 5.
import type { X509Certificate } from 'node:crypto';
import { alternativeNamesOf } from './alternative-names.ts';
import { BIT_STRING, BOOLEAN, readDer, readInside, SEQUENCE } from './der.ts';
import { extensionOf } from './certificate-extension.ts';

/** 2.5.29.15. */
const KEY_USAGE = Buffer.from([0x55, 0x1d, 0x0f]);
/** 2.5.29.19. */
const BASIC_CONSTRAINTS = Buffer.from([0x55, 0x1d, 0x13]);
/** Of the first octet of the bits: keyCertSign (5) and cRLSign (6), RFC 5280 section 4.2.1.3. */
const SIGNS_OTHERS = 0b0000_0110;
const SCHEME = 'spiffe://';

export function isSpiffe(text: string): boolean {
  return text.startsWith(SCHEME);
}

/** Why the certificate is no workload's; empty when it is one's. */
export function svidFault(leaf: X509Certificate): string {
  const { uri } = alternativeNamesOf(leaf);
  if (uri.length !== 1) return `SPIFFE certificate has ${uri.length} URI names`;
  if (!isSpiffe(uri[0] ?? '')) return 'SPIFFE certificate has no SPIFFE id';
  if (isAuthority(leaf)) return 'SPIFFE certificate is an authority';
  const usage = extensionOf(leaf.raw, KEY_USAGE);
  if (usage === null) return '';
  const [bits, ...more] = readDer(usage) ?? [];
  if (bits?.tag !== BIT_STRING || more.length > 0) return 'SPIFFE certificate has a malformed key usage';
  return ((bits.content[1] ?? 0) & SIGNS_OTHERS) === 0 ? '' : 'SPIFFE certificate may sign others';
}

/** What it says itself: OpenSSL takes an authority whose key may not sign certificates for none. */
function isAuthority(leaf: X509Certificate): boolean {
  const constraints = extensionOf(leaf.raw, BASIC_CONSTRAINTS);
  if (constraints === null) return leaf.ca;
  const [first] = readInside(constraints, SEQUENCE) ?? [];
  return leaf.ca || (first?.tag === BOOLEAN && first.content.some((octet) => octet !== 0));
}
