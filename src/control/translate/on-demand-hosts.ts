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
  readonly hosts: FetchedHosts;
}

/** A host that was taken over from the table before is not encoded again. */
const bytesOf = new WeakMap<VirtualHost, EncodedResource>();

export const NO_HOSTS: NamedResources = new Map();

/** Hosts by `CONFIGURATION/DOMAIN`. Of thousands few are ever asked for, so each is encoded when it is. */
export class FetchedHosts {
  readonly #interner: Interner;
  /** By configuration, then by domain. */
  readonly #hosts = new Map<string, Map<string, VirtualHost>>();
  readonly #encoded = new Map<string, EncodedResource>();

  constructor(interner: Interner) {
    this.#interner = interner;
  }

  add(table: string, host: VirtualHost): void {
    const hosts = this.#hosts.get(table) ?? new Map<string, VirtualHost>();
    this.#hosts.set(table, hosts);
    for (const domain of host.domains) hosts.set(domain.toLowerCase(), host);
  }

  /** Those of the names that there are. */
  among(names: ReadonlySet<string>): NamedResources {
    const found = new Map<string, EncodedResource>();
    for (const name of names) {
      const host = this.#get(name);
      if (host !== null) found.set(name, host);
    }
    return found;
  }

  #get(name: string): EncodedResource | null {
    const known = this.#encoded.get(name);
    if (known !== undefined) return known;
    const slash = name.lastIndexOf('/');
    const host = this.#hosts.get(name.slice(0, slash))?.get(name.slice(slash + 1));
    if (host === undefined) return null;
    const encoded = bytesOf.get(host) ?? encodeResource(VirtualHostSchema, host.name, host);
    bytesOf.set(host, encoded);
    const made = this.#interner.intern({ ...encoded, name });
    this.#encoded.set(name, made);
    return made;
  }
}

export function onDemandHosts(tables: readonly RouteConfiguration[], interner: Interner): OnDemandHosts {
  const hosts = new FetchedHosts(interner);
  const kept = tables.map((table) => {
    const inline: VirtualHost[] = [];
    for (const host of table.virtualHosts) {
      if (host.domains.some((domain) => domain.includes('*'))) inline.push(host);
      else hosts.add(table.name, host);
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
