// Addresses as ranges, written as Envoy writes them.
import { expect, test } from 'vitest';
import { maskedAddress } from '../../../src/policy/masked-address.ts';

test.each([
  ['192.168.1.1', 32, 128, '192.168.1.1/32'],
  ['192.168.1.1', 24, 128, '192.168.1.0/24'],
  ['255.255.255.255', 9, 128, '255.128.0.0/9'],
  ['10.1.2.3', 0, 128, '0.0.0.0/0'],
  ['2001:abcd:ef01:2345:6789:abcd:ef01:234', 32, 128, '2001:abcd:ef01:2345:6789:abcd:ef01:234/128'],
  ['2001:abcd:ef01:2345:6789:abcd:ef01:234', 32, 64, '2001:abcd:ef01:2345::/64'],
  ['2001:0:0:1:0:0:0:1', 32, 128, '2001:0:0:1::1/128'],
  ['::1', 32, 0, '::/0'],
  ['::ffff:10.1.2.3', 32, 128, '::ffff:a01:203/128'],
  ['fe80::1%eth0', 32, 128, 'fe80::1/128'],
  ['nobody', 32, 128, null],
])('%s with %i or %i bits is %s', (address, v4, v6, masked) => {
  expect(maskedAddress(address, v4, v6)).toBe(masked);
});
