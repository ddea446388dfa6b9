// Virtual hosts that a sidecar fetches when a request is for them, instead of having all of the mesh from the start: the
// route configuration keeps those that are for more than one host (wildcards, and what becomes of unknown hosts), and says
// that the others are to be had by VHDS, each under every domain that it answers to: `CONFIGURATION/DOMAIN`.
// Source: Envoy's RouteConfiguration.vhds and the delta protocol of VHDS.
import { create } from '@bufbuild/protobuf';
import {
  RouteConfigurationSchema,
  VhdsSchema,
  type RouteConfiguration,
} from '../../xds/gen/envoy/config/route/v3/route_pb.js';
import { VirtualHostSchema, type VirtualHost } from '../../xds/gen/envoy/config/route/v3/route_components_pb.js';
import type { NamedResources } from '../../xds/resource-change.ts';
import { encodeResource, type EncodedResource } from '../../xds/resource.ts';
import { adsSource } from './clusters.ts';
import type { Interner } from './interner.ts';

export interface OnDemandHosts {
  /** What is told at once. */
  readonly tables: readonly RouteConfiguration[];
  /** By `CONFIGURATION/DOMAIN`. */
  readonly hosts: NamedResources;
}

/** The same tables where nothing is fetched. */
export const NO_HOSTS: NamedResources = new Map();

export function onDemandHosts(tables: readonly RouteConfiguration[], interner: Interner): OnDemandHosts {
  const hosts = new Map<string, EncodedResource>();
  const kept = tables.map((table) => {
    const inline: VirtualHost[] = [];
    for (const host of table.virtualHosts) {
      if (host.domains.some((domain) => domain.includes('*'))) inline.push(host);
      else addHost(hosts, table.name, host, interner);
    }
    return create(RouteConfigurationSchema, {
      ...table,
      virtualHosts: inline,
      vhds: create(VhdsSchema, { configSource: adsSource() }),
    });
  });
  return { tables: kept, hosts };
}

/** Virtual hosts of the tables, whether they are told at once or fetched. */
export function hostCount(tables: readonly RouteConfiguration[]): number {
  return tables.reduce((sum, { virtualHosts }) => sum + virtualHosts.length, 0);
}

/** Those of the names that there are. */
export function hostsIn(hosts: NamedResources, names: ReadonlySet<string>): NamedResources {
  return new Map(
    [...names].flatMap((name) => {
      const host = hosts.get(name);
      return host === undefined ? [] : [[name, host]];
    }),
  );
}

function addHost(hosts: Map<string, EncodedResource>, table: string, host: VirtualHost, interner: Interner): void {
  const encoded = encodeResource(VirtualHostSchema, host.name, host);
  for (const domain of host.domains) {
    const name = `${table}/${domain.toLowerCase()}`;
    hosts.set(name, interner.intern({ ...encoded, name }));
  }
}
