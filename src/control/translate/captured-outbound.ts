// The outbound listeners of a captured pod: `virtualOutbound` takes every connection that the redirect sends and
// hands it to the listener of its original address and port; what none has goes on or is refused, as the
// outbound policy says. Shapes and names are Istio's, and none of the others binds its port.
import { create, toBinary } from '@bufbuild/protobuf';
import { TrafficDirection } from '../../xds/gen/envoy/config/core/v3/base_pb.js';
import { AdditionalAddressSchema, ListenerSchema } from '../../xds/gen/envoy/config/listener/v3/listener_pb.js';
import type { AdditionalAddress, Listener } from '../../xds/gen/envoy/config/listener/v3/listener_pb.js';
import {
  FilterChainMatchSchema,
  FilterChainSchema,
} from '../../xds/gen/envoy/config/listener/v3/listener_components_pb.js';
import type { Filter, FilterChain } from '../../xds/gen/envoy/config/listener/v3/listener_components_pb.js';
import type { MeshNode } from '../mesh-node.ts';
import type { Scope } from '../scope.ts';
import { accessLogs } from './access-log.ts';
import type { CapturedPort } from './captured-ports.ts';
import { adsSource } from './clusters.ts';
import { BLACK_HOLE, PASSTHROUGH } from './fixed-clusters.ts';
import { httpManager } from './http-manager.ts';
import { DETECTION_TIMEOUT_MS, inspectors, socket, tcpFilter, tlsInspector } from './listener-parts.ts';
import { OUTBOUND_LISTENER } from './listeners.ts';
import { duration } from './proto.ts';
import type { TcpChain } from './tcp-chains.ts';

/** What an inspector calls the versions of HTTP that a sidecar serves; all else passes as TCP. */
export function plaintextHttp(node: MeshNode): string[] {
  return node.abilities.http2 ? ['http/1.1', 'h2c'] : ['http/1.1'];
}

/** Every address of the families that the node has. */
function wildcards(node: MeshNode): readonly string[] {
  const isV6 = node.addresses.some((address) => address.includes(':'));
  const isV4 = node.addresses.some((address) => !address.includes(':'));
  return [...(isV4 ? ['0.0.0.0'] : []), ...(isV6 ? ['::'] : [])];
}

/** Names what is for every address. */
export function wildcard(node: MeshNode): string {
  return wildcards(node)[0] ?? '0.0.0.0';
}

/** The addresses of a listener that binds its port on every address; one that takes both families for our own sidecar. */
export function everywhere(node: MeshNode, port: number): Pick<Listener, 'address' | 'additionalAddresses'> {
  const [first = '0.0.0.0', second] = wildcards(node);
  if (second === undefined) return { address: socket(first, port), additionalAddresses: [] };
  if (node.abilities.addresses) return { address: socket(first, port), additionalAddresses: [also(second, port)] };
  const both = socket(second, port);
  if (both.address.case === 'socketAddress') both.address.value.ipv4Compat = true;
  return { address: both, additionalAddresses: [] };
}

function also(address: string, port: number): AdditionalAddress {
  return create(AdditionalAddressSchema, { address: socket(address, port) });
}

/** Equal for two nodes whose outbound listeners are equal when their scopes and ports are. */
export function outboundKey(node: MeshNode, scope: Scope): string {
  const probe = create(ListenerSchema, { ...everywhere(node, node.outboundPort) });
  probe.filterChains.push(httpChain('', node, scope));
  return Buffer.from(toBinary(ListenerSchema, probe)).toString('latin1');
}

export function capturedOutbound(node: MeshNode, scope: Scope, ports: readonly CapturedPort[]): readonly Listener[] {
  return [entrance(node, scope), ...ports.flatMap((port) => listenersOf(port, node, scope))];
}

function entrance(node: MeshNode, scope: Scope): Listener {
  return create(ListenerSchema, {
    name: OUTBOUND_LISTENER,
    ...everywhere(node, node.outboundPort),
    trafficDirection: TrafficDirection.OUTBOUND,
    useOriginalDst: true,
    filterChains: [
      // Whoever connects to the entrance itself would be sent round in circles.
      {
        name: `${OUTBOUND_LISTENER}-blackhole`,
        filterChainMatch: { destinationPort: node.outboundPort },
        filters: [toCluster(BLACK_HOLE, scope, node)],
      },
      { name: `${OUTBOUND_LISTENER}-catchall-tcp`, filters: [toCluster(fallback(scope), scope, node)] },
    ],
  });
}

function fallback(scope: Scope): string {
  return scope.outboundPolicy === 'ALLOW_ANY' ? PASSTHROUGH : BLACK_HOLE;
}

function toCluster(cluster: string, scope: Scope, node: MeshNode): Filter {
  return tcpFilter({
    statPrefix: cluster,
    shares: [{ cluster, weight: 1 }],
    accessLog: accessLogs(scope, node, 'client'),
  });
}

/** One, or one for each family where a listener cannot have more than one address. */
function listenersOf(captured: CapturedPort, node: MeshNode, scope: Scope): readonly Listener[] {
  const all = captured.address === '' ? wildcards(node) : [captured.address];
  const [first = '', ...rest] = all;
  if (!node.abilities.addresses) return all.map((address) => listenerAt([address], captured, node, scope));
  return [listenerAt([first, ...rest], captured, node, scope)];
}

function listenerAt(addresses: readonly string[], captured: CapturedPort, node: MeshNode, scope: Scope): Listener {
  const { port, routes, chains } = captured;
  const [address = '', ...more] = addresses;
  const isWild = captured.address === '';
  const filterChains: FilterChain[] = [];
  if (routes !== '') filterChains.push(httpChain(routes, node, scope));
  filterChains.push(...chains.filter(hasCondition).map((chain) => tcpChain(chain, node, scope)));
  const rest = chains.find((chain) => !hasCondition(chain));
  const isTls = chains.some((chain) => chain.serverNames.length > 0);
  const listener = create(ListenerSchema, {
    name: `${address}_${port}`,
    address: socket(address, port),
    additionalAddresses: more.map((other) => also(other, port)),
    trafficDirection: TrafficDirection.OUTBOUND,
    bindToPort: false,
    filterChains,
  });
  if (rest !== undefined && filterChains.length === 0) listener.filterChains.push(tcpChain(rest, node, scope));
  else if (rest !== undefined) listener.defaultFilterChain = tcpChain(rest, node, scope);
  else if (isWild)
    listener.defaultFilterChain = create(FilterChainSchema, {
      name: 'PassthroughFilterChain',
      filters: [toCluster(fallback(scope), scope, node)],
    });
  if (routes !== '') listener.listenerFilters.push(...inspectors([]));
  else if (isTls) listener.listenerFilters.push(tlsInspector());
  if (listener.listenerFilters.length > 0) {
    listener.listenerFiltersTimeout = duration(scope.snapshot.mesh.detectionTimeoutMs ?? DETECTION_TIMEOUT_MS);
    listener.continueOnListenerFiltersTimeout = true;
  }
  return listener;
}

function hasCondition({ serverNames, ranges }: TcpChain): boolean {
  return serverNames.length > 0 || ranges.length > 0;
}

function httpChain(routes: string, node: MeshNode, scope: Scope): FilterChain {
  const manager = httpManager({
    node,
    scope,
    direction: 'client',
    statPrefix: `outbound_${routes}`,
    routes: {
      case: 'rds',
      value: {
        $typeName: 'envoy.extensions.filters.network.http_connection_manager.v3.Rds',
        routeConfigName: routes,
        configSource: adsSource(),
      },
    },
  });
  return create(FilterChainSchema, {
    filterChainMatch: { transportProtocol: 'raw_buffer', applicationProtocols: plaintextHttp(node) },
    filters: [manager],
  });
}

function tcpChain({ serverNames, ranges, shares, idleTimeoutMs }: TcpChain, node: MeshNode, scope: Scope): FilterChain {
  const chain = create(FilterChainSchema, {
    filters: [
      tcpFilter({
        statPrefix: shares[0]?.cluster ?? '',
        shares,
        accessLog: accessLogs(scope, node, 'client'),
        idleTimeoutMs,
      }),
    ],
  });
  if (serverNames.length > 0 || ranges.length > 0)
    chain.filterChainMatch = create(FilterChainMatchSchema, {
      serverNames: [...serverNames],
      prefixRanges: ranges.map((range) => {
        const [addressPrefix = '', length = ''] = range.split('/');
        return { addressPrefix, prefixLen: Number(length) };
      }),
    });
  return chain;
}
