// Ranges of addresses decide alike however an address is spelt.
import type { Problem } from '../../../src/base/problem.ts';
import { BlockList, isIP } from 'node:net';
import { create } from '@bufbuild/protobuf';
import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { compileBlock, isInBlock } from '../../../src/policy/rbac-address.ts';
import { CidrRangeSchema } from '../../../src/xds/gen/envoy/config/core/v3/address_pb.js';

function holds(range: string, address: string): boolean | null {
  const [addressPrefix = '', bits = '0'] = range.split('/');
  const block = compileBlock(create(CidrRangeSchema, { addressPrefix, prefixLen: Number(bits) }), [], 'r');
  return block === null ? null : isInBlock(address, block);
}

it.each([
  ['10.1.0.0/16', '10.1.255.255', true],
  ['10.1.0.0/16', '10.2.0.0', false],
  ['10.1.2.3/16', '10.1.9.9', true],
  ['0.0.0.0/0', '255.255.255.255', true],
  ['0.0.0.0/0', '::1', false],
  ['255.255.255.255/32', '255.255.255.255', true],
  ['128.0.0.0/1', '200.0.0.1', true],
  ['10.1.0.0/16', '::ffff:10.1.2.3', true],
  ['10.1.0.0/16', '::ffff:a01:203', true],
  ['::ffff:10.1.0.0/112', '10.1.2.3', true],
  ['::ffff:10.1.0.0/112', '10.2.2.3', false],
  ['2001:db8::/32', '2001:db8:1::', true],
  ['2001:db8::/33', '2001:db8:8000::', false],
  ['fe80::/10', 'fe80::1%eth0', true],
  ['::1/128', '::1', true],
  ['::1/128', '0:0:0:0:0:0:0:1', true],
  ['::/0', '::1', true],
  ['10.0.0.0/8', '', false],
  ['10.0.0.0/8', '/run/socket', false],
  ['10.0.0.0/8', '10.1.2', false],
  ['10.0.0.0/8', '10.1.2.256', false],
  ['10.0.0.0/8', '10..1.2', false],
  ['2001::/16', '2001:::1', false],
  ['2001::/16', '2001:1:2:3:4:5:6:7:8', false],
  ['2001::/16', '2001:12345::', false],
])('%s holds %s: %s', (range, address, expected) => {
  expect(holds(range, address)).toBe(expected);
});

it.each(['10.0.0.0/33', '::/129', 'name/8', '10.0.0/8', 'fe80::1%eth0/64'])(
  'refuses the range %s by its path',
  (range) => {
    const [addressPrefix = '', bits = '0'] = range.split('/');
    const problems: Problem[] = [];
    expect(compileBlock(create(CidrRangeSchema, { addressPrefix, prefixLen: Number(bits) }), problems, 'r')).toBeNull();
    expect(problems.map(({ path }) => path)).toEqual(['r']);
  },
);

it('agrees with the block list of Node', () => {
  const six = fc.ipV6().filter((text) => isIP(text) === 6 && !/^[0:]*:ffff:/i.test(text));
  const pair = fc.oneof(fc.tuple(fc.ipV4(), fc.ipV4(), fc.nat(32)), fc.tuple(six, six, fc.nat(128)));
  fc.assert(
    fc.property(pair, fc.boolean(), ([base, other, bits], isNear) => {
      const family = isIP(base) === 6 ? 'ipv6' : 'ipv4';
      const list = new BlockList();
      list.addSubnet(base, bits, family);
      const address = isNear ? base : other;
      expect(holds(`${base}/${bits}`, address)).toBe(list.check(address, family));
    }),
    { numRuns: 500 },
  );
});
