// The parts that listeners are put together from: addresses, TCP proxies, and the listener filters that find out
// what a captured connection speaks.
import { create } from '@bufbuild/protobuf';
import { AddressSchema } from '../../xds/gen/envoy/config/core/v3/address_pb.js';
import type { Address } from '../../xds/gen/envoy/config/core/v3/address_pb.js';
import {
  FilterSchema,
  ListenerFilterChainMatchPredicateSchema,
  ListenerFilterSchema,
} from '../../xds/gen/envoy/config/listener/v3/listener_components_pb.js';
import type {
  Filter,
  ListenerFilter,
  ListenerFilterChainMatchPredicate,
} from '../../xds/gen/envoy/config/listener/v3/listener_components_pb.js';
import { HttpInspectorSchema } from '../../xds/gen/envoy/extensions/filters/listener/http_inspector/v3/http_inspector_pb.js';
import { OriginalDstSchema } from '../../xds/gen/envoy/extensions/filters/listener/original_dst/v3/original_dst_pb.js';
import { TlsInspectorSchema } from '../../xds/gen/envoy/extensions/filters/listener/tls_inspector/v3/tls_inspector_pb.js';
import {
  TcpProxySchema,
  TcpProxy_WeightedClusterSchema,
} from '../../xds/gen/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy_pb.js';
import type { AccessLog } from '../../xds/gen/envoy/config/accesslog/v3/accesslog_pb.js';
import { duration, pack } from './proto.ts';
import type { TcpShare } from './tcp-chains.ts';

const TCP_IDLE_MS = 3_600_000;
/** How long a connection may keep what it speaks to itself, unless MeshConfig says otherwise. */
export const DETECTION_TIMEOUT_MS = 5000;

export function socket(address: string, port: number): Address {
  return create(AddressSchema, {
    address: { case: 'socketAddress', value: { address, portSpecifier: { case: 'portValue', value: port } } },
  });
}

export interface TcpParts {
  readonly statPrefix: string;
  readonly shares: readonly TcpShare[];
  readonly accessLog: AccessLog[];
  /** Null or absent is an hour; 0 is never. */
  readonly idleTimeoutMs?: number | null;
}

export function tcpFilter({ statPrefix, shares, accessLog, idleTimeoutMs }: TcpParts): Filter {
  const proxy = create(TcpProxySchema, { statPrefix, idleTimeout: duration(idleTimeoutMs ?? TCP_IDLE_MS), accessLog });
  const [only] = shares;
  if (shares.length === 1 && only !== undefined) proxy.clusterSpecifier = { case: 'cluster', value: only.cluster };
  else
    proxy.clusterSpecifier = {
      case: 'weightedClusters',
      value: create(TcpProxy_WeightedClusterSchema, {
        clusters: shares.map(({ cluster, weight }) => ({ name: cluster, weight })),
      }),
    };
  return create(FilterSchema, {
    name: 'envoy.filters.network.tcp_proxy',
    configType: { case: 'typedConfig', value: pack(TcpProxySchema, proxy) },
  });
}

export function originalDestination(): ListenerFilter {
  return create(ListenerFilterSchema, {
    name: 'envoy.filters.listener.original_dst',
    configType: { case: 'typedConfig', value: pack(OriginalDstSchema, create(OriginalDstSchema)) },
  });
}

/**
 * The inspectors of TLS and of HTTP. Connections to the ports of `exceptTls` and `exceptHttp` are not looked at: there the
 * server may speak first, and nothing would come to look at.
 */
export function inspectors(exceptTls: readonly number[], exceptHttp = exceptTls): readonly ListenerFilter[] {
  return [disabledFor(tlsInspector(), exceptTls), disabledFor(httpInspector(), exceptHttp)];
}

function disabledFor(filter: ListenerFilter, ports: readonly number[]): ListenerFilter {
  const disabled = anyPort(ports);
  if (disabled !== null) filter.filterDisabled = disabled;
  return filter;
}

export function tlsInspector(): ListenerFilter {
  return create(ListenerFilterSchema, {
    name: 'envoy.filters.listener.tls_inspector',
    configType: { case: 'typedConfig', value: pack(TlsInspectorSchema, create(TlsInspectorSchema)) },
  });
}

function httpInspector(): ListenerFilter {
  return create(ListenerFilterSchema, {
    name: 'envoy.filters.listener.http_inspector',
    configType: { case: 'typedConfig', value: pack(HttpInspectorSchema, create(HttpInspectorSchema)) },
  });
}

function anyPort(ports: readonly number[]): ListenerFilterChainMatchPredicate | null {
  const rules = ports.map((port) =>
    create(ListenerFilterChainMatchPredicateSchema, {
      rule: {
        case: 'destinationPortRange',
        value: { $typeName: 'envoy.type.v3.Int32Range', start: port, end: port + 1 },
      },
    }),
  );
  const [only] = rules;
  if (only === undefined || rules.length === 1) return only ?? null;
  return create(ListenerFilterChainMatchPredicateSchema, {
    rule: {
      case: 'orMatch',
      value: {
        $typeName: 'envoy.config.listener.v3.ListenerFilterChainMatchPredicate.MatchSet',
        rules,
      },
    },
  });
}
