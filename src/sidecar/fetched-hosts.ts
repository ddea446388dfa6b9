// Virtual hosts that were fetched (VHDS), and the route configurations that they belong to: a configuration in force is the
// one that RDS told, with the hosts that were fetched for it. One host under several domains is there once. A host that
// is refused leaves its last good version in force.
import { create, fromBinary } from '@bufbuild/protobuf';
import { error, refuses, type Problem } from '../base/problem.ts';
import { VirtualHostSchema, type VirtualHost } from '../xds/gen/envoy/config/route/v3/route_components_pb.js';
import { RouteConfigurationSchema, type RouteConfiguration } from '../xds/gen/envoy/config/route/v3/route_pb.js';
import { VIRTUAL_HOST_TYPE, type TypeUrl } from '../xds/type-url.ts';
import { typeNameOf } from '../xds/unpack.ts';
import type { ReceivedResource, Refusal, Update } from '../xds/update.ts';
import { extensions } from './bootstrap-registry.ts';
import { HostDemand } from './host-demand.ts';
import { findUnsupported } from './unsupported.ts';

interface Fetched {
  readonly host: VirtualHost;
  readonly received: ReceivedResource;
}

export interface FetchedHostsOptions {
  readonly subscribe: (typeUrl: TypeUrl, names: ReadonlySet<string>) => void;
  /** Puts a whole configuration in force, unless it returns an error. */
  readonly install: (config: RouteConfiguration) => readonly Problem[];
}

export class FetchedHosts {
  readonly demand: HostDemand;
  readonly #install: (config: RouteConfiguration) => readonly Problem[];
  /** By configuration, then by the name that it was asked for under. */
  readonly #hosts = new Map<string, Map<string, Fetched>>();
  readonly #bases = new Map<string, RouteConfiguration>();

  constructor({ subscribe, install }: FetchedHostsOptions) {
    this.demand = new HostDemand({ onChange: (names) => subscribe(VIRTUAL_HOST_TYPE, names) });
    this.#install = install;
  }

  /** Puts a configuration in force as RDS told it, with what was fetched for it. */
  rebase(config: RouteConfiguration): readonly Problem[] {
    const problems = this.#install(this.whole(config));
    if (!refuses(problems)) this.#bases.set(config.name, config);
    return problems;
  }

  /** The configuration with the hosts that were fetched for it. */
  whole(config: RouteConfiguration): RouteConfiguration;
  whole(config: RouteConfiguration | undefined): RouteConfiguration | undefined;
  whole(config: RouteConfiguration | undefined): RouteConfiguration | undefined {
    if (config === undefined) return undefined;
    const hosts = this.#hosts.get(config.name);
    if (config.vhds === undefined || hosts === undefined || hosts.size === 0) return config;
    const fetched = new Map([...hosts.values()].map(({ host }) => [host.name, host]));
    return create(RouteConfigurationSchema, { ...config, virtualHosts: [...config.virtualHosts, ...fetched.values()] });
  }

  apply({ changed, removed }: Update): readonly Refusal[] {
    const refusals: Refusal[] = [];
    const byConfig = new Map<string, ReceivedResource[]>();
    const touch = (name: string): ReceivedResource[] => {
      const config = configOf(name);
      const list = byConfig.get(config) ?? [];
      byConfig.set(config, list);
      return list;
    };
    for (const name of removed) if (this.#hosts.get(configOf(name))?.delete(name) === true) touch(name);
    for (const received of changed) touch(received.name).push(received);
    for (const [config, list] of byConfig) refusals.push(...this.#put(config, list));
    const refused = new Set(refusals.map(({ name }) => name));
    const isThere = (name: string): boolean => this.#hosts.get(configOf(name))?.has(name) === true;
    const names = changed.map(({ name }) => name);
    this.demand.told(names.filter(isThere), [
      ...removed,
      ...names.filter((name) => refused.has(name) && !isThere(name)),
    ]);
    return refusals;
  }

  /** Forgets the hosts of configurations that are not among these. */
  keep(configurations: ReadonlySet<string>): void {
    for (const config of this.#hosts.keys()) if (!configurations.has(config)) this.#hosts.delete(config);
    for (const config of this.#bases.keys()) if (!configurations.has(config)) this.#bases.delete(config);
    this.demand.keep(configurations);
  }

  /** As they came, for who begins later. */
  received(): readonly ReceivedResource[] {
    return [...this.#hosts.values()].flatMap((hosts) => [...hosts.values()].map(({ received }) => received));
  }

  /** All of them at once; where that is refused, one after the other. */
  #put(config: string, list: readonly ReceivedResource[]): readonly Refusal[] {
    const refusals: Refusal[] = [];
    const sound: Fetched[] = [];
    for (const received of list) {
      const problems: Problem[] = [];
      const host = decode(received, problems);
      if (host === null || refuses(problems)) refusals.push({ name: received.name, problems });
      else sound.push({ host, received });
    }
    const problems = this.#try(config, sound);
    if (problems.length === 0) return refusals;
    for (const one of sound) {
      const own = sound.length === 1 ? problems : this.#try(config, [one]);
      if (own.length > 0) refusals.push({ name: one.received.name, problems: own });
    }
    return refusals;
  }

  /** Empty: they are in force. Else nothing has changed. */
  #try(config: string, list: readonly Fetched[]): readonly Problem[] {
    const before = this.#hosts.get(config);
    const next = new Map(before);
    for (const fetched of list) next.set(fetched.received.name, fetched);
    this.#hosts.set(config, next);
    const base = this.#bases.get(config);
    const problems = base === undefined ? [] : this.#install(this.whole(base));
    if (!refuses(problems)) return [];
    if (before === undefined) this.#hosts.delete(config);
    else this.#hosts.set(config, before);
    return problems;
  }
}

function configOf(name: string): string {
  return name.slice(0, name.lastIndexOf('/'));
}

function decode({ resource }: ReceivedResource, problems: Problem[]): VirtualHost | null {
  try {
    if (typeNameOf(resource) !== VirtualHostSchema.typeName) throw new TypeError(resource.typeUrl);
    const host = fromBinary(VirtualHostSchema, resource.value);
    findUnsupported(VirtualHostSchema, host, { registry: extensions, problems, path: '' });
    return host;
  } catch {
    problems.push(error('', 'the bytes are not a message of this type'));
    return null;
  }
}
