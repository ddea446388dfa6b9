// Names of certificates and what they are matched with; how a secret changes.
import { describe, expect, it, test } from 'vitest';
import { parseCertificates } from '../../../src/tls/certificate.ts';
import { readKeyPair } from '../../../src/tls/key-pair.ts';
import { matchesDnsName } from '../../../src/tls/name-match.ts';
import { SessionCache } from '../../../src/tls/session-cache.ts';
import { Slot } from '../../../src/tls/slot.ts';
import { cipherNames } from '../../../src/tls/tls-settings.ts';
import { pem } from '../../support/tls-proxy.ts';

describe('a certificate', () => {
  it('is read with all its names, addresses in their short form', () => {
    const parsed = parseCertificates(pem('server.pem'));
    if (typeof parsed === 'string') throw new Error(parsed);
    const [certificate] = parsed;
    expect([certificate?.names, certificate?.subject, certificate?.issuer]).toEqual([
      {
        dns: ['server.test', '*.wild.test'],
        uri: ['spiffe://cluster.local/ns/a/sa/server'],
        email: [],
        ip: ['127.0.0.1', '2001:db8::1'],
      },
      'CN=server,O=test only',
      'CN=authority,O=test only',
    ]);
  });

  it('that is none is refused with words', () => {
    expect(parseCertificates('x')).toBe('holds no PEM certificate');
  });
});

const pairOf = (chain: string, key: string): unknown => {
  const pair = readKeyPair({ path: '', chain: pem(chain), key: pem(key), password: '' });
  return typeof pair === 'string' ? pair : pair.keyType;
};

describe('a key pair', () => {
  test.each([
    ['server.pem', 'server.key', 'ec'],
    ['server.pem', 'client.key', 'private_key does not belong to the certificate'],
    ['server.pem', 'client.pem', 'private_key cannot be read'],
    ['server.key', 'server.key', 'certificate_chain holds no PEM certificate'],
  ])('of %s and %s is %s', (chain, key, expected) => {
    expect(pairOf(chain, key)).toBe(expected);
  });
});

test.each([
  ['a.test', 'a.test', true],
  ['A.test', 'a.TEST', true],
  ['b.a.test', '*.a.test', true],
  ['a.test', '*.a.test', false],
  ['c.b.a.test', '*.a.test', false],
  ['ba.test', '*a.test', false],
  ['.a.test', '*.a.test', false],
])('the host %s is meant by %s: %s', (host, pattern, expected) => {
  expect(matchesDnsName(host, pattern)).toBe(expected);
});

it('takes ciphers by the names of BoringSSL, in groups or alone', () => {
  expect(
    cipherNames(['[ECDHE-RSA-AES128-GCM-SHA256|ECDHE-RSA-CHACHA20-POLY1305]', 'TLS_RSA_WITH_AES_128_CBC_SHA']),
  ).toEqual(['ECDHE-RSA-AES128-GCM-SHA256', 'ECDHE-RSA-CHACHA20-POLY1305', 'AES128-SHA']);
});

it('a slot has a new generation for a new value only, and settles once', () => {
  const slot = new Slot<string>('name');
  const seen: string[] = [];
  slot.onSettled(() => seen.push(`settled ${slot.value}`));
  slot.set('a', '1');
  slot.set('a', '1');
  slot.set('b', '2');
  expect([slot.value, slot.generation, seen]).toEqual(['b', 2, ['settled a']]);
});

it('a session is given away once, the newest first, and only so many are kept', () => {
  const cache = new SessionCache(2);
  for (const name of ['a', 'b', 'c']) cache.put('key', { session: Buffer.from(name), untilMs: 1000 });
  const taken = [0, 0, 0].map((nowMs) => cache.take('key', nowMs)?.session.toString());
  expect(taken).toEqual(['c', 'b', undefined]);
});

it('a session is good until the certificate that it began with ends', () => {
  const cache = new SessionCache(2);
  for (const name of ['a', 'b']) cache.put('key', { session: Buffer.from(name), untilMs: 1000 });
  expect(cache.take('key', 999)?.session.toString()).toBe('b');
  expect([cache.take('key', 1000), cache.take('key', 999)]).toEqual([null, null]);
});
