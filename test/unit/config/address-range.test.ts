// Ranges have one spelling.
import { expect, test } from 'vitest';
import { readRange } from '../../../src/config/address-range.ts';

test.each([
  ['10.1.2.3/16', '10.1.0.0/16'],
  ['10.1.2.3', '10.1.2.3/32'],
  ['10.1.255.3/17', '10.1.128.0/17'],
  ['1.2.3.4/0', '0.0.0.0/0'],
  ['2001:DB8:0:0::1/32', '2001:db8::/32'],
  ['fd00::ffff/121', 'fd00::ff80/121'],
  ['::ffff:1.2.3.4', '::ffff:102:304/128'],
  ['1:2:3:4:5:6:7:8/64', '1:2:3:4::/64'],
  ['::/0', '::/0'],
  ['10.0.0.0/33', null],
  ['fd00::/129', null],
  ['10.0.0/8', null],
  ['10.0.0.0/', null],
  ['10.0.0.0/8/8', null],
  ['fe80::1%eth0', null],
  ['host', null],
  ['', null],
])('%s is %s', (text, range) => {
  expect(readRange(text)).toBe(range);
});
