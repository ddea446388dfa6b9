// Which certificates a Secret holds, by what everybody may see of them: nothing of its keys, and nothing of other values,
// which could be guessed by trying.
import { createHash } from 'node:crypto';
import type { SecretSpec } from '../config/secret.ts';

/** 64 hexadecimal digits of its certificates, the chain and the authorities, as they are written. */
export function publicFingerprint({ certificate, authoritiesPem }: SecretSpec): string {
  return createHash('sha256')
    .update(`${certificate?.chainPem ?? ''}\n${authoritiesPem}`)
    .digest('hex');
}
