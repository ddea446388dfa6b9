// Compiles a Listener: its address, its filter chains, and in each the one filter that ends it (an
// HTTP connection manager or a TCP proxy). What the tables of unsupported.ts have let through is
// taken as it stands; what they cannot see (counts, order, values that only make sense together) is
// checked here.
import { isIP } from 'node:net';
import { error } from '../base/problem.ts';
import { formatAddress } from '../plan/cluster.ts';
import type { CompileEnv } from '../plan/plan.ts';
import { TrafficDirection } from '../xds/gen/envoy/config/core/v3/base_pb.js';
import type { Address } from '../xds/gen/envoy/config/core/v3/address_pb.js';
import type { FilterChain as FilterChainProto } from '../xds/gen/envoy/config/listener/v3/listener_components_pb.js';
import type { Listener } from '../xds/gen/envoy/config/listener/v3/listener_pb.js';
import { ConnectionLimitSchema } from '../xds/gen/envoy/extensions/filters/network/connection_limit/v3/connection_limit_pb.js';
import { HttpConnectionManagerSchema } from '../xds/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js';
import { TcpProxySchema } from '../xds/gen/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy_pb.js';
import type { TlsTally } from '../tls/tls-tally.ts';
import { typeNameOf, unpack } from '../xds/unpack.ts';
import type { CompileContext } from './compile.ts';
import { compileNetworkExtAuthz, isNetworkExtAuthz } from '../policy/ext-authz-network.ts';
import { compileNetworkRbac, isNetworkRbac, type NetworkRbacScope } from '../policy/rbac-network.ts';
import type { ConnectionGuard } from '../plan/connection-guard.ts';
import { compileArrival, type ArrivalParts } from './compile-arrival.ts';
import { compileChainMatch } from './compile-chain-match.ts';
import { compileChainLimit, type ChainLimit } from './chain-limit.ts';
import { compileManager, type ManagerRoutes } from './compile-manager.ts';
import { compileDownstreamTls } from './compile-downstream-tls.ts';
import { compileTcpProxy } from './compile-tcp.ts';
import { chainFingerprint, frameFingerprint } from './listener-fingerprint.ts';
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
  /** Names the filter chain among all of the process, whatever the order of chains is where they have names. */
  readonly place?: string;
  /** Listener.per_connection_buffer_limit_bytes; absent: 1 MiB. */
  readonly bufferBytesMax?: number;
}

const BUFFER_BYTES_DEFAULT = 1 << 20;
/** Envoy's runtime key of how many connections a listener may have. */
const LIMITS = 'envoy.resource_limits.listener';

export function compileListenerConfig(listener: Listener, outer: CompileScope): CompiledListener | null {
  const { env } = outer;
  const bufferBytesMax = listener.perConnectionBufferLimitBytes ?? BUFFER_BYTES_DEFAULT;
  const scope: CompileScope = { ...outer, bufferBytesMax };
  const at = (name: string): string => join(scope.path, name);
  const isInbound = listener.trafficDirection === TrafficDirection.INBOUND;
  const address = compileAddress(listener.address, env, at('address'));
  const routes: ManagerRoutes[] = [];
  const { stats } = scope.context;
  const statName = address === null ? '' : statNameOf(listener.statPrefix, address);
  const parts = compileChains(listener, scope, {
    isInbound,
    routes,
    tally: stats.tls('listener', statName),
    place: listener.name || statName,
  });
  const chains = parts.chains.map(({ chain }) => chain);
  if (parts.defaultChain !== null) chains.push(parts.defaultChain);
  const arrival = compileArrival(listener, parts, scope);
  if (address === null || chains.length === 0) return null;
  const name = listener.name === '' ? `${address.address}:${address.port}` : listener.name;
  const tally = stats.listener(statName);
  const fingerprint = frameFingerprint(listener);
  const limits = { bufferBytesMax, connectionsMax: env.runtimeNumber(`${LIMITS}.${name}.connection_limit`, 0) };
  const bindsToPort = listener.bindToPort !== false;
  const handsOff = listener.useOriginalDst === true;
  const place = compileWiderAddress(address, listener, scope);
  const config = { name, ...place, bindsToPort, handsOff, tally, fingerprint, isInbound, ...limits, arrival, chains };
  return { config: Object.freeze(config), routes };
}

/** What stands between `listener.` and the statistic: Envoy writes `_` for every colon of an address. */
function statNameOf(statPrefix: string, { address, port }: ListenAddress): string {
  const isPath = port === 0 && isIP(address) === 0;
  const written = isPath ? address : formatAddress(address, port);
  return (statPrefix === '' ? written : statPrefix).replaceAll(':', '_');
}

/** Every chain with what it asks of a connection, and the one for all others. */
function compileChains(listener: Listener, scope: CompileScope, options: ChainOptions): ArrivalParts {
  const { filterChains, defaultFilterChain } = listener;
  if (filterChains.length === 0 && defaultFilterChain === undefined) {
    const at = join(scope.path, 'filter_chains');
    scope.env.problems.push(error(at, 'the listener has no filter chain', 'add one'));
  }
  const chains = filterChains.flatMap((proto, index) => {
    const path = join(scope.path, `filter_chains[${index}]`);
    const rule = compileChainMatch(proto.filterChainMatch, scope.env, join(path, 'filter_chain_match'));
    const chain = compileChain(proto, { ...scope, path }, options);
    return chain === null ? [] : [{ chain, rule, path }];
  });
  const path = join(scope.path, 'default_filter_chain');
  const defaultChain =
    defaultFilterChain === undefined ? null : compileChain(defaultFilterChain, { ...scope, path }, options);
  return { chains, defaultChain };
}

/**
 * A listener for every address of both families is one socket on `::`, which takes IPv4 too. Other addresses
 * beside the first are refused: they would need sockets of their own.
 */
function compileWiderAddress(first: ListenAddress, listener: Listener, { env, path }: CompileScope): ListenAddress {
  let place = first;
  for (const [index, { address }] of listener.additionalAddresses.entries()) {
    const at = join(path, `additional_addresses[${index}].address`);
    const other = compileAddress(address, env, at);
    if (other === null) continue;
    const isBoth = [first.address, other.address].toSorted().join() === '0.0.0.0,::' && first.port === other.port;
    if (isBoth) place = { address: '::', port: first.port };
    else env.problems.push(error(at, 'only :: beside 0.0.0.0 is supported', 'write one listener for each address'));
  }
  return place;
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
  /** Names the listener among all. */
  readonly place: string;
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
  const { limit, guards } = compileBefore(chain.filters.slice(0, last), scope, `${options.place} ${path}`);
  const at = join(path, `filters[${last}].typed_config`);
  if (filter.configType.case !== 'typedConfig') {
    env.problems.push(error(at, 'must be set', `write the configuration of ${filter.name} with an @type`));
    return null;
  }
  const any = filter.configType.value;
  const manager = unpack(any, HttpConnectionManagerSchema);
  if (manager !== null) {
    const place = `${options.place} ${chain.name || path}`;
    const compiled = compileManager(manager, { ...scope, path: at, place }, options.isInbound);
    if (compiled === null) return null;
    options.routes.push(compiled.routes);
    const fingerprint = chainFingerprint(chain);
    return { kind: 'http', name: chain.name, fingerprint, transport, limit, guards, manager: compiled.manager };
  }
  const tcp = unpack(any, TcpProxySchema);
  if (tcp !== null) {
    const proxy = compileTcpProxy(tcp, { ...scope, path: at });
    const fingerprint = chainFingerprint(chain);
    return proxy === null ? null : { kind: 'tcp', name: chain.name, fingerprint, transport, limit, guards, proxy };
  }
  env.problems.push(error(at, `${typeNameOf(any)} cannot end a filter chain`, 'add an HTTP manager or a TCP proxy'));
  return null;
}

interface BeforeParts {
  readonly limit: ChainLimit | null;
  readonly guards: readonly ConnectionGuard[];
}

/** What stands before the filter that ends the chain: at most one limit of connections, and guards. */
function compileBefore(filters: FilterChainProto['filters'], scope: CompileScope, place: string): BeforeParts {
  const { env, context, path } = scope;
  let limit: ChainLimit | null = null;
  const guards: ConnectionGuard[] = [];
  for (const [index, { configType }] of filters.entries()) {
    const at = join(path, `filters[${index}]`);
    if (configType.case === 'typedConfig' && isNetworkRbac(configType.value)) {
      const { problems } = env;
      const { clock, stats } = context;
      const tally: NetworkRbacScope['tally'] = (name, list, part) => stats.filter('', name, list, part);
      const guard = compileNetworkRbac(configType.value, { problems, path: `${at}.typed_config`, clock, tally });
      if (guard !== null) guards.push(guard);
      continue;
    }
    if (configType.case === 'typedConfig' && isNetworkExtAuthz(configType.value)) {
      const { remote, stats } = context;
      const tally: NetworkRbacScope['tally'] = (name, list, part) => stats.filter('', name, list, part);
      const guard = compileNetworkExtAuthz(configType.value, { env, path: `${at}.typed_config`, remote, tally });
      if (guard !== null) guards.push(guard);
      continue;
    }
    const config = configType.case === 'typedConfig' ? unpack(configType.value, ConnectionLimitSchema) : null;
    if (config === null) {
      env.problems.push(error(at, 'a filter that ends the chain must be the last', 'remove the others'));
    } else if (limit !== null) {
      env.problems.push(error(at, 'one connection_limit is enough', 'write the lower of them'));
    } else {
      const { problems, runtimeNumber } = env;
      const tallyOf = (prefix: string) => context.stats.chainLimit(prefix);
      const budget = context.limits.budget(`connection_limit ${place}`);
      limit = compileChainLimit(config, { problems, path: `${at}.typed_config`, runtimeNumber, tallyOf, budget });
    }
  }
  return { limit, guards };
}

export function join(path: string, name: string): string {
  return path === '' ? name : `${path}.${name}`;
}
