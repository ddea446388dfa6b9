// Compiles FilterChainMatch: what a chain asks of a connection. Names and ranges that Envoy would refuse are
// refused here too, with what to write instead.
import { isIP } from 'node:net';
import { error } from '../base/problem.ts';
import type { CompileEnv } from '../plan/plan.ts';
import type { CidrRange } from '../xds/gen/envoy/config/core/v3/address_pb.js';
import {
  FilterChainMatch_ConnectionSourceType,
  type FilterChainMatch,
} from '../xds/gen/envoy/config/listener/v3/listener_components_pb.js';
import type { ChainRule, SourceType } from './arrival/filter-chain-match.ts';
import type { AddressRange } from './arrival/prefix-map.ts';

/** What a chain without a match asks for: nothing. */
const EVERY_CONNECTION: ChainRule = Object.freeze({
  destinationPort: 0,
  destinationRanges: [],
  serverNames: [],
  transportProtocol: '',
  applicationProtocols: [],
  directSourceRanges: [],
  sourceType: 'any',
  sourceRanges: [],
  sourcePorts: [],
});

export function compileChainMatch(match: FilterChainMatch | undefined, env: CompileEnv, path: string): ChainRule {
  if (match === undefined) return EVERY_CONNECTION;
  const ranges = (list: readonly CidrRange[], field: string): readonly AddressRange[] =>
    list.flatMap((range, index) => compileRange(range, env, `${path}.${field}[${index}]`));
  const { destinationPort } = match;
  checkPort(destinationPort ?? 1, env, `${path}.destination_port`);
  for (const [index, port] of match.sourcePorts.entries()) checkPort(port, env, `${path}.source_ports[${index}]`);
  return Object.freeze({
    destinationPort: destinationPort ?? 0,
    destinationRanges: ranges(match.prefixRanges, 'prefix_ranges'),
    serverNames: match.serverNames.map((name, index) => compileName(name, env, `${path}.server_names[${index}]`)),
    transportProtocol: match.transportProtocol,
    applicationProtocols: [...match.applicationProtocols],
    directSourceRanges: ranges(match.directSourcePrefixRanges, 'direct_source_prefix_ranges'),
    sourceType: SOURCE_TYPES[match.sourceType],
    sourceRanges: ranges(match.sourcePrefixRanges, 'source_prefix_ranges'),
    sourcePorts: [...match.sourcePorts],
  });
}

const SOURCE_TYPES: Readonly<Record<FilterChainMatch_ConnectionSourceType, SourceType>> = {
  [FilterChainMatch_ConnectionSourceType.ANY]: 'any',
  [FilterChainMatch_ConnectionSourceType.SAME_IP_OR_LOOPBACK]: 'local',
  [FilterChainMatch_ConnectionSourceType.EXTERNAL]: 'external',
};

/** True when the chain can be told from others only by what a ClientHello says (as Envoy decides it). */
export function needsHello({ transportProtocol, serverNames, applicationProtocols }: ChainRule): boolean {
  if (transportProtocol !== '') return transportProtocol === 'tls';
  return serverNames.length > 0 || applicationProtocols.length > 0;
}

export function isEveryConnection(rule: ChainRule): boolean {
  return (
    rule.destinationPort === 0 &&
    rule.transportProtocol === '' &&
    rule.sourceType === 'any' &&
    rule.destinationRanges.length === 0 &&
    rule.serverNames.length === 0 &&
    rule.applicationProtocols.length === 0 &&
    rule.directSourceRanges.length === 0 &&
    rule.sourceRanges.length === 0 &&
    rule.sourcePorts.length === 0
  );
}

function checkPort(port: number, env: CompileEnv, path: string): void {
  if (port < 1 || port > 65_535) env.problems.push(error(path, `${port} is not a port`, 'write 1 to 65535'));
}

function compileRange({ addressPrefix, prefixLen }: CidrRange, env: CompileEnv, path: string): AddressRange[] {
  const family = isIP(addressPrefix);
  const prefixBits = prefixLen ?? 0;
  if (family === 0 || prefixBits > (family === 4 ? 32 : 128)) {
    const text = `${addressPrefix}/${prefixBits} is not a range of addresses`;
    env.problems.push(error(path, text, 'write an IP address and its prefix length'));
    return [];
  }
  return [{ address: addressPrefix, prefixBits }];
}

/** `*.a` is kept as `.a`: a suffix. */
function compileName(name: string, env: CompileEnv, path: string): string {
  const isWildcard = name.startsWith('*.');
  const rest = isWildcard ? name.slice(1) : name;
  if (rest === '' || rest === '.' || rest.includes('*')) {
    const remedy = 'write a name, or *. and a domain; leave server_names out for every name';
    env.problems.push(error(path, `${JSON.stringify(name)} is not a server name`, remedy));
  }
  return rest.toLowerCase();
}
