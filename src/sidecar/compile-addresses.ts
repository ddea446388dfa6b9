// Compiles internal_address_config: whose requests count as coming from inside. Absent: nobody's. Present
// without ranges: private IPv4 addresses (RFC 1918), unique local IPv6 ones and loopback.
// Source: Envoy HttpConnectionManager.InternalAddressConfig.
import { BlockList, isIP } from 'node:net';
import { error } from '../base/problem.ts';
import type { CompileEnv } from '../plan/plan.ts';
import type { HttpConnectionManager_InternalAddressConfig } from '../xds/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js';
import type { AddressSet } from './http-manager.ts';

interface Range {
  readonly address: string;
  readonly prefixBits: number;
}

const PRIVATE: readonly Range[] = [
  { address: '10.0.0.0', prefixBits: 8 },
  { address: '172.16.0.0', prefixBits: 12 },
  { address: '192.168.0.0', prefixBits: 16 },
  { address: '127.0.0.0', prefixBits: 8 },
  { address: '::1', prefixBits: 128 },
  { address: 'fc00::', prefixBits: 7 },
];

export function compileInternalAddresses(
  config: HttpConnectionManager_InternalAddressConfig | undefined,
  env: CompileEnv,
  path: string,
): AddressSet | null {
  if (config === undefined) return null;
  const ranges: Range[] = [];
  for (const [index, { addressPrefix, prefixLen }] of config.cidrRanges.entries()) {
    const bitsMax = isIP(addressPrefix) === 6 ? 128 : 32;
    const prefixBits = prefixLen ?? 0;
    if (isIP(addressPrefix) === 0 || prefixBits > bitsMax) {
      const text = `${addressPrefix}/${prefixBits} is not a range of addresses`;
      env.problems.push(error(`${path}.cidr_ranges[${index}]`, text, 'write an IP address and its prefix length'));
    } else {
      ranges.push({ address: addressPrefix, prefixBits });
    }
  }
  const list = new BlockList();
  for (const { address, prefixBits } of ranges.length === 0 ? PRIVATE : ranges) {
    list.addSubnet(address, prefixBits, isIP(address) === 6 ? 'ipv6' : 'ipv4');
  }
  return { has: (address) => isIP(address) !== 0 && list.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4') };
}
