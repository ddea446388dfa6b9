// Compiles a Listener: its address, its filter chains, and in each the one filter that ends it (an
// HTTP connection manager or a TCP proxy). What the tables of unsupported.ts have let through is
// taken as it stands; what they cannot see (counts, order, values that only make sense together) is
// checked here.
import { isIP } from 'node:net';
import { error, warning } from '../base/problem.ts';
import { formatAddress } from '../plan/cluster.ts';
import type { CompileEnv } from '../plan/plan.ts';
import { TrafficDirection } from '../xds/gen/envoy/config/core/v3/base_pb.js';
import type { Address } from '../xds/gen/envoy/config/core/v3/address_pb.js';
import type { FilterChain as FilterChainProto } from '../xds/gen/envoy/config/listener/v3/listener_components_pb.js';
import type { Listener } from '../xds/gen/envoy/config/listener/v3/listener_pb.js';
import { HttpConnectionManagerSchema } from '../xds/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js';
import { TcpProxySchema } from '../xds/gen/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy_pb.js';
import type { TlsTally } from '../tls/tls-tally.ts';
import { typeNameOf, unpack } from '../xds/unpack.ts';
import type { CompileContext } from './compile.ts';
import { compileManager, type ManagerRoutes } from './compile-manager.ts';
import { compileDownstreamTls } from './compile-downstream-tls.ts';
import { compileTcpProxy } from './compile-tcp.ts';
import { fingerprintOf } from './listener-fingerprint.ts';
import type { FilterChain, ListenerConfig } from './listener-config.ts';

export interface CompiledListener {
  readonly config: ListenerConfig;
  /** How each HTTP manager of the listener gets its routes. */
  readonly routes: readonly ManagerRoutes[];
}

export interface CompileScope {
  readonly env: CompileEnv;
  readonly context: CompileContext;
  readonly path: string;
}

const BUFFER_BYTES_DEFAULT = 1 << 20;

export function compileListenerConfig(listener: Listener, scope: CompileScope): CompiledListener | null {
  const { env } = scope;
  const at = (name: string): string => join(scope.path, name);
  const isInbound = listener.trafficDirection === TrafficDirection.INBOUND;
  const address = compileAddress(listener.address, env, at('address'));
  if (listener.bindToPort === false) env.problems.push(error(at('bind_to_port'), 'must be true', 'remove it'));
  for (const [index, filter] of listener.listenerFilters.entries()) {
    const message = `${filter.name} has no effect: protocols are not detected yet`;
    env.problems.push(warning(at(`listener_filters[${index}]`), message));
  }
  const routes: ManagerRoutes[] = [];
  const tallies = scope.context.stats;
  const statName = address === null ? '' : statNameOf(listener.statPrefix, address);
  const chains: FilterChain[] = [];
  for (const [index, chain] of chainsOf(listener, env, scope.path)) {
    const path = at(index === -1 ? 'default_filter_chain' : `filter_chains[${index}]`);
    const compiled = compileChain(
      chain,
      { ...scope, path },
      { isInbound, routes, tally: tallies.tls('listener', statName) },
    );
    if (compiled !== null) chains.push(compiled);
  }
  if (address === null || chains.length === 0) return null;
  const name = listener.name === '' ? `${address.address}:${address.port}` : listener.name;
  const bufferBytesMax = listener.perConnectionBufferLimitBytes ?? BUFFER_BYTES_DEFAULT;
  const tally = tallies.listener(statName);
  const fingerprint = fingerprintOf(listener);
  return { config: Object.freeze({ name, ...address, tally, fingerprint, isInbound, bufferBytesMax, chains }), routes };
}

/** What stands between `listener.` and the statistic: Envoy writes `_` for every colon of an address. */
function statNameOf(statPrefix: string, { address, port }: ListenAddress): string {
  const isPath = port === 0 && isIP(address) === 0;
  const written = isPath ? address : formatAddress(address, port);
  return (statPrefix === '' ? written : statPrefix).replaceAll(':', '_');
}

/** The chains that can be chosen, with their index; -1 is the default chain. */
function chainsOf(listener: Listener, env: CompileEnv, path: string): (readonly [number, FilterChainProto])[] {
  const { filterChains, defaultFilterChain } = listener;
  if (filterChains.length === 0) {
    if (defaultFilterChain !== undefined) return [[-1, defaultFilterChain]];
    env.problems.push(error(join(path, 'filter_chains'), 'the listener has no filter chain', 'add one'));
    return [];
  }
  if (filterChains.length > 1) {
    const at = join(path, 'filter_chains[1]');
    env.problems.push(error(at, 'more than one filter chain is not supported yet', 'write one listener for each'));
  }
  if (defaultFilterChain !== undefined) {
    const text = 'has no effect: the filter chain above takes every connection';
    env.problems.push(warning(join(path, 'default_filter_chain'), text));
  }
  return [...filterChains.entries()];
}

interface ListenAddress {
  readonly address: string;
  readonly port: number;
}

function compileAddress(address: Address | undefined, env: CompileEnv, path: string): ListenAddress | null {
  if (address?.address.case === 'pipe') return { address: address.address.value.path, port: 0 };
  if (address?.address.case !== 'socketAddress') {
    env.problems.push(error(path, 'must be set', 'write socket_address with address and port_value'));
    return null;
  }
  const { address: host, portSpecifier } = address.address.value;
  if (isIP(host) === 0) {
    const at = `${path}.socket_address.address`;
    env.problems.push(error(at, `${JSON.stringify(host)} is not an IP address`, 'write 0.0.0.0 for every interface'));
  }
  const port = portSpecifier.case === 'portValue' ? portSpecifier.value : 0;
  if (port > 65_535) {
    env.problems.push(error(`${path}.socket_address.port_value`, `${port} is not a port`, 'write 0 to 65535'));
  }
  return { address: host, port };
}

interface ChainOptions {
  readonly isInbound: boolean;
  /** Managers are added here. */
  readonly routes: ManagerRoutes[];
  readonly tally: TlsTally;
}

function compileChain(chain: FilterChainProto, scope: CompileScope, options: ChainOptions): FilterChain | null {
  const { env, path } = scope;
  const { secrets } = scope.context;
  const transport = compileDownstreamTls(chain, { secrets, problems: env.problems, path }, options.tally);
  const last = chain.filters.length - 1;
  const filter = chain.filters[last];
  if (filter === undefined) {
    env.problems.push(error(join(path, 'filters'), 'the chain has no filter', 'add an HTTP manager or a TCP proxy'));
    return null;
  }
  for (let index = 0; index < last; index++) {
    const text = 'a filter that ends the chain must be the last';
    env.problems.push(error(join(path, `filters[${index}]`), text, 'remove the others'));
  }
  const at = join(path, `filters[${last}].typed_config`);
  if (filter.configType.case !== 'typedConfig') {
    env.problems.push(error(at, 'must be set', `write the configuration of ${filter.name} with an @type`));
    return null;
  }
  const any = filter.configType.value;
  const manager = unpack(any, HttpConnectionManagerSchema);
  if (manager !== null) {
    const compiled = compileManager(manager, { ...scope, path: at }, options.isInbound);
    if (compiled === null) return null;
    options.routes.push(compiled.routes);
    return { kind: 'http', name: chain.name, transport, manager: compiled.manager };
  }
  const tcp = unpack(any, TcpProxySchema);
  if (tcp !== null) {
    const proxy = compileTcpProxy(tcp, { ...scope, path: at });
    return proxy === null ? null : { kind: 'tcp', name: chain.name, transport, proxy };
  }
  env.problems.push(error(at, `${typeNameOf(any)} cannot end a filter chain`, 'add an HTTP manager or a TCP proxy'));
  return null;
}

export function join(path: string, name: string): string {
  return path === '' ? name : `${path}.${name}`;
}
