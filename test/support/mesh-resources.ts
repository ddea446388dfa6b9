// Resources with which a proxy really routes: one HTTP listener, routes by RDS, clusters by CDS and EDS.
import { create } from '@bufbuild/protobuf';
import { anyPack } from '@bufbuild/protobuf/wkt';

import { ClusterSchema, Cluster_DiscoveryType } from '../../src/xds/gen/envoy/config/cluster/v3/cluster_pb.js';
import { ApiVersion } from '../../src/xds/gen/envoy/config/core/v3/config_source_pb.js';
import { ListenerSchema } from '../../src/xds/gen/envoy/config/listener/v3/listener_pb.js';
import { RouteConfigurationSchema } from '../../src/xds/gen/envoy/config/route/v3/route_pb.js';
import { RouterSchema } from '../../src/xds/gen/envoy/extensions/filters/http/router/v3/router_pb.js';
import { HttpConnectionManagerSchema } from '../../src/xds/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js';
import { encodeResource, type EncodedResource } from '../../src/xds/resource.ts';
import { anAssignment, socketAddress } from './xds-builders.ts';

const ADS = { resourceApiVersion: ApiVersion.V3, configSourceSpecifier: { case: 'ads', value: {} } } as const;

/** A listener on 127.0.0.1 whose routes come by RDS under the name `routes`. */
export function httpListener(name: string, port: number): EncodedResource {
  const router = anyPack(RouterSchema, create(RouterSchema));
  const manager = create(HttpConnectionManagerSchema, {
    statPrefix: name,
    routeSpecifier: { case: 'rds', value: { configSource: ADS, routeConfigName: 'routes' } },
    httpFilters: [{ name: 'envoy.filters.http.router', configType: { case: 'typedConfig', value: router } }],
  });
  const typedConfig = anyPack(HttpConnectionManagerSchema, manager);
  const filter = { name: 'http', configType: { case: 'typedConfig', value: typedConfig } } as const;
  const message = create(ListenerSchema, {
    name,
    address: socketAddress(port),
    filterChains: [{ filters: [filter] }],
  });
  return encodeResource(ListenerSchema, name, message);
}

/** Sends everything to `cluster`. */
export function routesTo(cluster: string): EncodedResource {
  const action = { case: 'route', value: { clusterSpecifier: { case: 'cluster', value: cluster } } } as const;
  const match = { pathSpecifier: { case: 'prefix', value: '/' } } as const;
  const message = create(RouteConfigurationSchema, {
    name: 'routes',
    virtualHosts: [{ name: 'all', domains: ['*'], routes: [{ match, action }] }],
  });
  return encodeResource(RouteConfigurationSchema, 'routes', message);
}

/** A cluster whose endpoints come by EDS, and those endpoints. `connectSeconds` makes versions differ. */
export function clusterAt(name: string, port: number, connectSeconds = 1): EncodedResource[] {
  const message = create(ClusterSchema, {
    name,
    connectTimeout: { seconds: BigInt(connectSeconds) },
    clusterDiscoveryType: { case: 'type', value: Cluster_DiscoveryType.EDS },
    edsClusterConfig: { edsConfig: ADS },
  });
  return [encodeResource(ClusterSchema, name, message), anAssignment(name, port)];
}
