// Signing requests as hostile as the network: what is granted is never what they ask for, and what is broken is refused
// with a reason, whatever the bytes are.
import { assert, asyncProperty, integer, nat, oneof, tuple, uint8Array } from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readSigningRequest } from '../../../../src/control/ca/signing-request.ts';
import { EC_KEY, privateKey, RSA_KEY, signingRequest } from '../../../support/openssl.ts';

const URI = 'URI:spiffe://cluster.local/ns/shop/sa/reviews';
const EC = privateKey(EC_KEY);
const GOOD = signingRequest(EC, [URI]);
const DER = Buffer.from(GOOD.replaceAll(/-----.*-----|\s/g, ''), 'base64');

async function reasonOf(request: Uint8Array | string): Promise<string> {
  const read = await readSigningRequest(request);
  return read.kind === 'refused' ? read.reason : 'read';
}

/** Where the public key of a request begins. */
function keyOf(der: Buffer): number {
  return der.indexOf(Buffer.from('034200', 'hex')) + 3;
}

/** The request of a key that is not the one that signed it. */
function withKeyOf(other: string): Buffer {
  const from = Buffer.from(signingRequest(other, [URI]).replaceAll(/-----.*-----|\s/g, ''), 'base64');
  const changed = Buffer.from(DER);
  from.copy(changed, keyOf(changed), keyOf(from), keyOf(from) + 65);
  return changed;
}

describe('a signing request', () => {
  const READ: readonly (readonly [string, Uint8Array | string])[] = [
    ['in PEM', GOOD],
    ['in DER', DER],
    ['in PEM as Microsoft writes it', GOOD.replaceAll('CERTIFICATE REQUEST', 'NEW CERTIFICATE REQUEST')],
    ['in PEM with CRLF', GOOD.replaceAll('\n', '\r\n')],
    ['with an RSA key', signingRequest(privateKey(RSA_KEY), [URI])],
    ['with SHA-512', signingRequest(EC, [URI], ['-sha512'])],
    ['without any extension', signingRequest(EC)],
  ];
  it.each(READ)('is read %s', async (_name, request) => expect(await reasonOf(request)).toBe('read'));

  it('says which URIs it asks for, and no other names', async () => {
    const names = [
      'DNS:bank.example',
      'URI:spiffe://a/ns/b/sa/c',
      'IP:127.0.0.1',
      'URI:https://example',
      'email:a@b.c',
    ];
    expect(await readSigningRequest(signingRequest(EC, names))).toMatchObject({
      uris: ['spiffe://a/ns/b/sa/c', 'https://example'],
    });
  });

  const flipped = Buffer.from(DER);
  flipped.writeUInt8((flipped.at(-1) ?? 0) ^ 1, flipped.length - 1);
  const many = Array.from({ length: 65 }, (_, index) => `DNS:host${index}.example`);
  const REFUSED: readonly (readonly [string, Uint8Array | string, RegExp])[] = [
    ['that is empty', '', /^it is not one PEM block/],
    ['of no bytes', new Uint8Array(), /^it is not one DER sequence/],
    ['that is garbage', 'garbage', /^it is not one PEM block/],
    ['that is two', GOOD + GOOD, /^it is not one PEM block/],
    [
      'of 1 MB of PEM',
      GOOD.replace('\n-----END', `${'A'.repeat(1 << 20)}\n-----END`),
      /^it is longer than 16384 bytes/,
    ],
    ['of 1 MB of bytes', new Uint8Array(1 << 20).fill(0x30), /^it is longer than 16384 bytes/],
    ['just past the limit', Buffer.concat([DER, Buffer.alloc(16_385 - DER.length)]), /^it is longer than/],
    ['with bytes behind it', Buffer.concat([DER, Buffer.from([0])]), /^it is not one DER sequence/],
    ['that is cut off', DER.subarray(0, -1), /^it is not one DER sequence/],
    ['whose signature is broken', flipped, /^its signature is not by its own key|^it is no certificate/],
    ["with another one's key", withKeyOf(privateKey(EC_KEY)), /^its signature is not by its own key/],
    ['signed with SHA-1', signingRequest(EC, [URI], ['-sha1']), /^it is not signed with SHA-2/],
    [
      'with a tiny RSA key',
      signingRequest(privateKey(['-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:1024'])),
      /^its key is an RSA key of 1024 bits/,
    ],
    [
      'with a small curve',
      signingRequest(privateKey(['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-224'])),
      /^its key is on the curve/,
    ],
    ['with an Edwards key', signingRequest(privateKey(['-algorithm', 'ED25519'])), /^its key is of the kind ed25519/],
    ['for 65 names', signingRequest(EC, many), /^it asks for more than 64 names/],
  ];
  it.each(REFUSED)('%s is refused', async (_name, request, expected) =>
    expect(await reasonOf(request)).toMatch(expected),
  );

  it('is never read once a byte of what is signed is another one', async () => {
    await assert(
      asyncProperty(nat(DER.length - 1), integer({ min: 1, max: 255 }), async (at, change) => {
        const bytes = Buffer.from(DER);
        bytes.writeUInt8((bytes.at(at) ?? 0) ^ change, at);
        const read = await readSigningRequest(bytes);
        // Bits that no parser looks at may differ (unused bits, a NULL for no parameters): never a name or the key.
        if (read.kind === 'read') expect(read.uris).toEqual([URI.slice(4)]);
      }),
      { numRuns: 150 },
    );
  });

  it('is refused, and nothing else happens, for bytes of any kind', async () => {
    const bytes = oneof(
      uint8Array({ maxLength: 300 }),
      uint8Array({ maxLength: 200 }).map((body) => Buffer.from([0x30, 0x81, body.length, ...body])),
      tuple(nat(DER.length), nat(DER.length), uint8Array({ maxLength: 20 })).map(([from, to, body]) =>
        Buffer.concat([DER.subarray(0, from), body, DER.subarray(to)]),
      ),
    );
    await assert(
      asyncProperty(bytes, async (given) => {
        if (!DER.equals(given)) expect((await readSigningRequest(given)).kind).toBe('refused');
      }),
      { numRuns: 150 },
    );
  });
});
