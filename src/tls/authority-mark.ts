// Whether a certificate says that it is one of an authority (RFC 5280 section 4.2.1.9). `X509Certificate.ca` says
// something else: whether it could sign certificates, for which its key usage counts as well.
import type { X509Certificate } from 'node:crypto';
import { extensionOf } from './certificate-extension.ts';
import { readInside, SEQUENCE } from './der.ts';

/** 2.5.29.19, basicConstraints. */
const BASIC_CONSTRAINTS = Buffer.from([0x55, 0x1d, 0x13]);
const BOOLEAN = 0x01;

/** True as well when what it says cannot be read. */
export function saysAuthority(certificate: X509Certificate): boolean {
  if (certificate.ca) return true;
  const extension = extensionOf(certificate.raw, BASIC_CONSTRAINTS);
  if (extension === null) return false;
  const fields = readInside(extension, SEQUENCE);
  if (fields === null) return true;
  const [mark] = fields;
  return mark?.tag === BOOLEAN && mark.content[0] !== 0;
}
