// Builders of listeners, managers and compile contexts for tests of the compilers.
import { fromJson, type JsonObject, type JsonValue } from '@bufbuild/protobuf';
import { LogFiles } from '../../../src/observe/log-file.ts';
import { NO_IDENTITY } from '../../../src/observe/node-identity.ts';
import { ProxyStats } from '../../../src/observe/proxy-stats.ts';
import { Registry } from '../../../src/observe/registry.ts';
import { SpanPipeline } from '../../../src/observe/span-pipeline.ts';
import { clusterId } from '../../../src/base/brand.ts';
import { silentLog } from '../../../src/base/log.ts';
import { systemClock } from '../../../src/base/clock.ts';
import { LocalLimits } from '../../../src/base/shared-limits.ts';
import { ClusterRef } from '../../../src/plan/cluster.ts';
import { extensions } from '../../../src/sidecar/bootstrap-registry.ts';
import type { CompileContext } from '../../../src/sidecar/compile.ts';
import { ExtensionStore } from '../../../src/sidecar/extension-store.ts';
import { SecretStore } from '../../../src/sidecar/secrets.ts';
import { ListenerSchema, type Listener } from '../../../src/xds/gen/envoy/config/listener/v3/listener_pb.js';
import { BootstrapSchema, type Bootstrap } from '../../../src/xds/gen/envoy/config/bootstrap/v3/bootstrap_pb.js';
import { ClusterSchema, type Cluster } from '../../../src/xds/gen/envoy/config/cluster/v3/cluster_pb.js';
import { NO_REMOTE } from '../../support/no-remote.ts';

const TYPE = 'type.googleapis.com/envoy.extensions.filters';
export const ROUTER: JsonObject = {
  name: 'envoy.filters.http.router',
  typed_config: { '@type': `${TYPE}.http.router.v3.Router` },
};

export function aRouteConfig(cluster = 'web', name = 'routes'): JsonObject {
  const routes = [{ name: 'all', match: { prefix: '/' }, route: { cluster } }];
  return { name, virtual_hosts: [{ name: 'all', domains: ['*'], routes }] };
}

/** An HTTP manager filter; `extra` replaces fields. */
export function aManager(extra: JsonObject = {}): JsonObject {
  const hasRoutes = 'rds' in extra || 'route_config' in extra;
  return {
    name: 'http',
    typed_config: {
      '@type': `${TYPE}.network.http_connection_manager.v3.HttpConnectionManager`,
      stat_prefix: 'in',
      ...(hasRoutes ? {} : { route_config: aRouteConfig() }),
      http_filters: [ROUTER],
      ...extra,
    },
  };
}

export function aTcpProxy(extra: JsonObject): JsonObject {
  return {
    name: 'tcp',
    typed_config: { '@type': `${TYPE}.network.tcp_proxy.v3.TcpProxy`, stat_prefix: 'tcp', ...extra },
  };
}

export function aListenerJson(filters: JsonValue[], extra: JsonObject = {}): JsonObject {
  const address = { socket_address: { address: '127.0.0.1', port_value: 0 } };
  return { name: 'main', address, filter_chains: [{ filters }], ...extra };
}

export function aListener(filters: JsonValue[], extra: JsonObject = {}): Listener {
  return fromJson(ListenerSchema, aListenerJson(filters, extra), { registry: extensions });
}

export function aClusterJson(name: string, port = 1): JsonObject {
  const endpoint = { address: { socket_address: { address: '127.0.0.1', port_value: port } } };
  return {
    name,
    type: 'STATIC',
    load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: [{ endpoint }] }] },
  };
}

export function aCluster(json: JsonObject): Cluster {
  return fromJson(ClusterSchema, json, { registry: extensions });
}

export function aBootstrap(json: JsonObject = {}): Bootstrap {
  return fromJson(BootstrapSchema, json, { registry: extensions });
}

/** ADS by delta from a static cluster that nobody answers at; tests feed updates by hand. */
export function anAdsBootstrap(extra: JsonObject = {}): Bootstrap {
  const grpc_services = [{ envoy_grpc: { cluster_name: 'control' } }];
  return aBootstrap({
    static_resources: { clusters: [{ ...aClusterJson('control', 9), http2_protocol_options: {} }] },
    dynamic_resources: {
      ads_config: { api_type: 'DELTA_GRPC', grpc_services },
      cds_config: { ads: {} },
      lds_config: { ads: {} },
    },
    ...extra,
  });
}

export function aContext(runtime: Readonly<Record<string, number>> = {}): CompileContext {
  const registry = new Registry();
  const refs = new Map<string, ClusterRef>();
  return {
    clusterRef: (name) => {
      const ref = refs.get(name) ?? new ClusterRef(clusterId(name));
      refs.set(name, ref);
      return ref;
    },
    random: () => 0.5,
    runtime: new Map(Object.entries(runtime)),
    node: NO_IDENTITY,
    registry,
    stats: new ProxyStats(),
    logFiles: new LogFiles(),
    spans: new SpanPipeline({ registry }),
    secrets: new SecretStore(silentLog),
    extensions: new ExtensionStore([], silentLog),
    grpcClusters: new Set(),
    sourceAddresses: [],
    limits: new LocalLimits(),
    remote: NO_REMOTE,
    clock: systemClock,
  };
}
