// What a certificate must be to name a workload of a mesh, beside its chain: exactly one URI among its names, no
// authority over others. The one judge of it: of peers of a sidecar wherever
// a SPIFFE id is asked of them, of callers of the control service, and of what an authority answers.
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
/** digitalSignature (0). */
const SIGNS = 0b1000_0000;
const SCHEME = 'spiffe://';

export function isSpiffe(text: string): boolean {
  return text.startsWith(SCHEME);
}

/** `names`: who it names; `authority`: it is one's; `usage`: what its key may be used for. */
export interface SvidFault {
  readonly kind: 'names' | 'authority' | 'usage';
  readonly details: string;
}

/**
 * Why the certificate is no workload's; null when it is one's. `asksUsage`: it must say that its key signs, as every SVID
 * does (section 4.3); without it a certificate that says nothing of its key passes, as in OpenSSL. In doubt it is none.
 */
export function svidFault(leaf: X509Certificate, asksUsage: boolean): SvidFault | null {
  const { uri } = alternativeNamesOf(leaf);
  if (uri.length !== 1) return { kind: 'names', details: `SPIFFE certificate has ${uri.length} URI names` };
  if (!isSpiffe(uri[0] ?? '')) return { kind: 'names', details: 'SPIFFE certificate has no SPIFFE id' };
  if (saysAuthority(leaf)) return { kind: 'authority', details: 'SPIFFE certificate is an authority' };
  const details = usageFault(leaf, asksUsage);
  return details === '' ? null : { kind: 'usage', details };
}

function usageFault(leaf: X509Certificate, asksUsage: boolean): string {
  const usage = extensionOf(leaf.raw, KEY_USAGE);
  if (usage === null) return asksUsage ? 'SPIFFE certificate does not say what its key is for' : '';
  const [bits, ...more] = readDer(usage) ?? [];
  if (bits?.tag !== BIT_STRING || more.length > 0) return 'SPIFFE certificate has a malformed key usage';
  const allowed = bits.content[1] ?? 0;
  if ((allowed & SIGNS_OTHERS) !== 0) return 'SPIFFE certificate may sign others';
  return asksUsage && (allowed & SIGNS) === 0 ? 'SPIFFE certificate has a key that may not sign' : '';
}

/**
 * Whether it says itself that it is one of an authority (RFC 5280 section 4.2.1.9): OpenSSL takes an authority whose key
 * may not sign certificates for none. True as well when what it says cannot be read.
 */
function saysAuthority(leaf: X509Certificate): boolean {
  if (leaf.ca) return true;
  const constraints = extensionOf(leaf.raw, BASIC_CONSTRAINTS);
  if (constraints === null) return false;
  const fields = readInside(constraints, SEQUENCE);
  if (fields === null) return true;
  const [mark] = fields;
  return mark?.tag === BOOLEAN && mark.content.some((octet) => octet !== 0);
}
