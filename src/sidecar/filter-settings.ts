// What a route configuration says of the manager's HTTP filters (typed_per_filter_config): settings by
// filter name, of which the most specific win: the entry of a weighted split, the route, the virtual host, the
// configuration. A filter may also be switched off there, or on where its manager has it switched off
// (FilterConfig.disabled, HttpFilter.disabled). Read once per configuration; each setting is compiled once.
import type { Any } from '@bufbuild/protobuf/wkt';
import { error, warning } from '../base/problem.ts';
import type { HttpFilter } from '../plan/http-filter.ts';
import type { CompileEnv, PlanPart } from '../plan/plan.ts';
import { onlyForSplit } from '../plan/split-step.ts';
import type { Route, VirtualHost } from '../xds/gen/envoy/config/route/v3/route_components_pb.js';
import { FilterConfigSchema } from '../xds/gen/envoy/config/route/v3/route_components_pb.js';
import type { RouteConfiguration } from '../xds/gen/envoy/config/route/v3/route_pb.js';
import { typeNameOf, unpack } from '../xds/unpack.ts';

/** A filter of the manager's chain. */
export interface NamedFilter {
  readonly name: string;
  readonly filter: HttpFilter;
  /** HttpFilter.disabled: it runs only where a route says so. */
  readonly isOff: boolean;
}

type Settings = Readonly<Record<string, Any>>;
const OFF: PlanPart = Object.freeze({});

export class FilterSettings {
  readonly #filters: readonly NamedFilter[];
  readonly #env: CompileEnv;
  readonly #config: RouteConfiguration;
  /** By the message itself: hosts share theirs among many routes. */
  readonly #parts = new Map<Any, PlanPart>();

  /** Reads and checks all settings of `config`; Problems have its paths. */
  constructor(filters: readonly NamedFilter[], config: RouteConfiguration, env: CompileEnv) {
    this.#filters = filters;
    this.#env = env;
    this.#config = config;
    this.#readAll(config.typedPerFilterConfig, '');
    for (const [i, host] of config.virtualHosts.entries()) {
      const hostPath = `virtual_hosts[${i}]`;
      this.#readAll(host.typedPerFilterConfig, hostPath);
      for (const [j, route] of host.routes.entries()) this.#readRoute(route, `${hostPath}.routes[${j}]`);
    }
  }

  #readRoute(route: Route, path: string): void {
    this.#readAll(route.typedPerFilterConfig, path);
    for (const [k, settings] of splitSettings(route).entries()) {
      this.#readAll(settings, `${path}.route.weighted_clusters.clusters[${k}]`);
    }
  }

  #readAll(settings: Settings, path: string): void {
    for (const [name, any] of Object.entries(settings)) {
      const at = `${path === '' ? '' : `${path}.`}typed_per_filter_config["${name}"]`;
      const named = this.#filters.find((candidate) => candidate.name === name);
      if (named === undefined) {
        this.#env.problems.push(warning(at, 'has no effect: the manager has no filter of this name'));
      } else {
        const part = this.#read(any, named.filter, at);
        if (part !== null) this.#parts.set(any, part);
      }
    }
  }

  #read(any: Any, filter: HttpFilter, path: string): PlanPart | null {
    if (typeNameOf(any) !== FilterConfigSchema.typeName) return filter.withSettings(any, this.#env, path);
    const wrapper = unpack(any, FilterConfigSchema);
    if (wrapper === null) {
      this.#env.problems.push(error(path, 'is no FilterConfig', 'write config or disabled'));
      return null;
    }
    if (wrapper.disabled) return OFF;
    if (wrapper.config !== undefined) return filter.withSettings(wrapper.config, this.#env, `${path}.config`);
    return filter.part;
  }

  /** The steps of the filters, in their order, for one route; null for what has no route. */
  partsOf(route: Route | null, host: VirtualHost | null): readonly PlanPart[] {
    return this.#filters.flatMap((named) => this.#partsOfFilter(named, route, host));
  }

  #partsOfFilter(named: NamedFilter, route: Route | null, host: VirtualHost | null): readonly PlanPart[] {
    const { name, filter, isOff } = named;
    const find = (settings: Settings | undefined): PlanPart | undefined => {
      const any = settings?.[name];
      return any === undefined ? undefined : this.#parts.get(any);
    };
    const outer =
      find(route?.typedPerFilterConfig) ??
      find(host?.typedPerFilterConfig) ??
      find(this.#config.typedPerFilterConfig) ??
      (isOff ? OFF : filter.part);
    const splits = route === null ? [] : splitSettings(route).map(find);
    if (splits.every((part) => part === undefined)) return outer === OFF ? [] : [outer];
    const chosen = splits.map((part) => part ?? outer);
    const distinct = [...new Set(chosen)].filter((part) => part !== OFF);
    return distinct.map((part) =>
      onlyForSplit(
        part,
        chosen.map((candidate) => candidate === part),
      ),
    );
  }
}

function splitSettings(route: Route): readonly Settings[] {
  const { action } = route;
  if (action.case !== 'route' || action.value.clusterSpecifier.case !== 'weightedClusters') return [];
  return action.value.clusterSpecifier.value.clusters.map((entry) => entry.typedPerFilterConfig);
}
