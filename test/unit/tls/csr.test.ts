// The signing request is what others make of it: OpenSSL reads it, checks its signature and sees one name. Lengths at
// the limits of DER's short form are tried, for the bytes are written by hand.
import { execFileSync } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { signingRequest } from '../../../src/tls/csr.ts';
import { readDer, writeDer } from '../../../src/tls/der.ts';

const ID = 'spiffe://cluster.local/ns/shop/sa/cart';
const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });

describe('a signing request', () => {
  test.each([0, 26, 27, 28, 62, 86, 87, 90, 120, 126, 128, 200, 215, 218, 256, 1000, 2000])(
    'with a URI that is %d bytes longer is verified by OpenSSL, which sees no subject, that critical URI and our key',
    (extra) => {
      const uri = `${ID}${'x'.repeat(extra)}`;
      const text = openssl(['req', '-verify', '-noout', '-text', '-pubkey'], signingRequest(privateKey, uri));
      expect(text).toMatch(/^\s+Subject:\s*$/m);
      expect(text).toContain(`X509v3 Subject Alternative Name: critical\n                    URI:${uri}\n`);
      expect(text.match(/X509v3/g)).toHaveLength(1);
      expect(text).toContain('Signature Algorithm: ecdsa-with-SHA256');
      expect(text).toContain(publicKey.export({ type: 'spki', format: 'pem' }));
    },
  );

  test('holds nothing of the private key', () => {
    const secret = privateKey.export({ format: 'jwk' }).d ?? 'none';
    const bytes = Buffer.from(signingRequest(privateKey, ID).replaceAll(/-----[^-]+-----|\s/g, ''), 'base64');
    expect(bytes.includes(Buffer.from(secret, 'base64url'))).toBe(false);
  });
});

test.each([0, 1, 127, 128, 255, 256, 65_535, 65_536])('DER of %d bytes is read as it was written', (length) => {
  const content = Buffer.alloc(length, 7);
  expect(readDer(writeDer(0x04, [content.subarray(0, length >> 1), content.subarray(length >> 1)]))).toEqual([
    { tag: 0x04, content },
  ]);
});

/** Fails when OpenSSL does: what it verifies, it says on standard error. */
function openssl(args: readonly string[], input: string): string {
  return execFileSync('openssl', args, { input, encoding: 'utf8', stdio: ['pipe', 'pipe', 'ignore'] });
}
