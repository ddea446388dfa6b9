// How a DNS cluster looks its names up: rates, family and servers, with Envoy's defaults. Resolver
// extensions are not loaded: the resolver is Node's, whatever `typed_dns_resolver_config` names.
import { isIP } from 'node:net';
import { error, warning } from '../base/problem.ts';
import { formatAddress } from '../plan/cluster.ts';
import type { CompileEnv } from '../plan/plan.ts';
import { Cluster_DnsLookupFamily, type Cluster } from '../xds/gen/envoy/config/cluster/v3/cluster_pb.js';
import type { Address } from '../xds/gen/envoy/config/core/v3/address_pb.js';
import type { DnsSettings, LookupFamily } from './cluster-settings.ts';
import { durationMs } from './duration.ts';

const REFRESH_MS = 5000;
/** Every rate must be above 1 ms (Envoy Cluster.dns_refresh_rate). */
const RATE_ABOVE_MS = 1;

export function compileDns(cluster: Cluster, env: CompileEnv, path: string): DnsSettings {
  const rule = { absentMs: REFRESH_MS, aboveMs: RATE_ABOVE_MS };
  const refreshMs = durationMs(cluster.dnsRefreshRate, rule, env, `${path}.dns_refresh_rate`);
  return Object.freeze({
    refreshMs,
    ...compileFailureRate(cluster, refreshMs, env, `${path}.dns_failure_refresh_rate`),
    respectsTtl: cluster.respectDnsTtl,
    family: compileFamily(cluster, env, path),
    servers: compileServers(cluster, env, path),
  });
}

function compileFailureRate(
  cluster: Cluster,
  refreshMs: number,
  env: CompileEnv,
  path: string,
): { readonly failureBaseMs: number; readonly failureMaxMs: number } {
  const rate = cluster.dnsFailureRefreshRate;
  if (rate === undefined) return { failureBaseMs: refreshMs, failureMaxMs: refreshMs };
  if (rate.baseInterval === undefined) env.problems.push(error(`${path}.base_interval`, 'the interval is missing'));
  const baseRule = { absentMs: refreshMs, aboveMs: RATE_ABOVE_MS };
  const failureBaseMs = durationMs(rate.baseInterval, baseRule, env, `${path}.base_interval`);
  // Envoy RefreshRate.max_interval: ten times the base when absent.
  const maxRule = { absentMs: failureBaseMs * 10, aboveMs: RATE_ABOVE_MS };
  const failureMaxMs = durationMs(rate.maxInterval, maxRule, env, `${path}.max_interval`);
  if (failureMaxMs < failureBaseMs) {
    env.problems.push(error(`${path}.max_interval`, 'is less than base_interval'));
  }
  return { failureBaseMs, failureMaxMs };
}

function compileFamily(cluster: Cluster, env: CompileEnv, path: string): LookupFamily {
  switch (cluster.dnsLookupFamily) {
    case Cluster_DnsLookupFamily.AUTO:
      return 'auto';
    case Cluster_DnsLookupFamily.V4_ONLY:
      return 'v4-only';
    case Cluster_DnsLookupFamily.V6_ONLY:
      return 'v6-only';
    case Cluster_DnsLookupFamily.V4_PREFERRED:
      return 'v4-preferred';
    case Cluster_DnsLookupFamily.ALL:
      return 'all';
    default:
      env.problems.push(error(`${path}.dns_lookup_family`, `unknown family ${String(cluster.dnsLookupFamily)}`));
      return 'auto';
  }
}

function compileServers(cluster: Cluster, env: CompileEnv, path: string): readonly string[] {
  if (cluster.typedDnsResolverConfig !== undefined) {
    const { name } = cluster.typedDnsResolverConfig;
    env.problems.push(warning(`${path}.typed_dns_resolver_config`, `${name} has no effect: Node's resolver is used`));
  }
  const config = cluster.dnsResolutionConfig;
  const isTcp = config?.dnsResolverOptions?.useTcpForDnsLookups ?? cluster.useTcpForDnsLookups;
  if (isTcp) env.problems.push(warning(`${path}.use_tcp_for_dns_lookups`, 'has no effect: UDP is asked first'));
  if (config !== undefined && config.resolvers.length === 0) {
    env.problems.push(error(`${path}.dns_resolution_config.resolvers`, 'at least one server is needed'));
  }
  const addresses = config?.resolvers ?? cluster.dnsResolvers;
  const at = `${path}.${config === undefined ? 'dns_resolvers' : 'dns_resolution_config.resolvers'}`;
  const servers: string[] = [];
  addresses.forEach((address, index) => {
    const server = formatServer(address);
    if (server !== null) servers.push(server);
    else env.problems.push(error(`${at}[${index}]`, 'a DNS server needs a socket_address with an IP and a port_value'));
  });
  return servers;
}

function formatServer(address: Address): string | null {
  if (address.address.case !== 'socketAddress') return null;
  const socket = address.address.value;
  const port = socket.portSpecifier.case === 'portValue' ? socket.portSpecifier.value : undefined;
  if (port === undefined || port > 65_535 || isIP(socket.address) === 0) return null;
  return formatAddress(socket.address, port === 0 ? 53 : port);
}
