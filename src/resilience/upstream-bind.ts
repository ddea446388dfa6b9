// The addresses that connections to a cluster's endpoints are dialled from (Cluster.upstream_bind_config),
// as plain IPs: the first of the endpoint's own family counts. The port is always the kernel's choice. A
// sidecar dials the application it stands before from 127.0.0.6, so that the pod's redirect knows the
// connection for one that was captured already and lets it pass.
import { isIP } from 'node:net';
import { error, type Problem } from '../base/problem.ts';
import type { BindConfig, SocketAddress } from '../xds/gen/envoy/config/core/v3/address_pb.js';

/** Addresses to dial from, the main one first; empty: the kernel chooses. */
export function compileUpstreamBind(
  config: BindConfig | undefined,
  problems: Problem[],
  path: string,
): readonly string[] {
  if (config === undefined) return [];
  const addresses: string[] = [];
  const extras = config.extraSourceAddresses.map(({ address }) => address);
  const places = [config.sourceAddress, ...extras, ...config.additionalSourceAddresses];
  for (const [index, place] of places.entries()) {
    if (place === undefined) continue;
    const at = index === 0 ? `${path}.source_address` : `${path}.extra_source_addresses[${index - 1}].address`;
    const checked = checkSource(place, problems, at);
    if (checked !== null) addresses.push(checked);
  }
  if (config.sourceAddress === undefined && addresses.length > 0) {
    problems.push(error(`${path}.source_address`, 'must be set beside extra_source_addresses', 'write it'));
  }
  return addresses;
}

/** The address to dial `address` from; one of the wrong family if there is no other, so that the dial fails. */
export function sourceAddressFor(sources: readonly string[], address: string): string {
  const family = isIP(address);
  if (family === 0) return '';
  return sources.find((source) => isIP(source) === family) ?? sources[0] ?? '';
}

function checkSource({ address, portSpecifier }: SocketAddress, problems: Problem[], path: string): string | null {
  if (isIP(address) === 0) {
    problems.push(error(`${path}.address`, `${JSON.stringify(address)} is not an IP address`, 'write an IP address'));
    return null;
  }
  if (portSpecifier.case === 'portValue' && portSpecifier.value !== 0) {
    problems.push(error(`${path}.port_value`, 'a fixed source port is not supported', 'write 0'));
  }
  // Everything that is not chosen is what the kernel would do anyhow.
  return address === '0.0.0.0' || address === '::' ? null : address;
}
