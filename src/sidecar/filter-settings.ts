// What a route configuration says of the manager's HTTP filters (typed_per_filter_config): settings by
// filter name, of which the most specific win: the entry of a weighted split, the route, the virtual host, the
// configuration. A filter may also be switched off there, or on where its manager has it switched off
// (FilterConfig.disabled, HttpFilter.disabled). Read once per configuration; each setting is compiled once, but
// for filters that look at the route too (HttpFilter.onRoute), which are asked for each route.
import type { Any } from '@bufbuild/protobuf/wkt';
import { error, warning } from '../base/problem.ts';
import type { HttpFilter, PlacedSettings, RoutePlace } from '../plan/http-filter.ts';
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

/** What one level says of one filter. */
interface Said {
  /** Its steps, or OFF. */
  readonly part: PlanPart;
  /** Null: it only switches the filter on or off. */
  readonly settings: PlacedSettings | null;
}

export class FilterSettings {
  readonly #filters: readonly NamedFilter[];
  readonly #env: CompileEnv;
  readonly #config: RouteConfiguration;
  /** By the message itself: hosts share theirs among many routes. */
  readonly #said = new Map<Any, Said>();
  readonly #places = new Map<Route, RoutePlace>();

  /** Reads and checks all settings of `config`; Problems have its paths. */
  constructor(filters: readonly NamedFilter[], config: RouteConfiguration, env: CompileEnv) {
    this.#filters = filters;
    this.#env = env;
    this.#config = config;
    this.#readAll(config.typedPerFilterConfig, '', config.name);
    for (const [i, host] of config.virtualHosts.entries()) this.#readHost(host, i);
  }

  #readHost(host: VirtualHost, index: number): void {
    const hostPath = `virtual_hosts[${index}]`;
    const fetches = this.#config.vhds === undefined ? null : this.#config.name;
    const hostPlace = `${this.#config.name}/${host.name}`;
    this.#readAll(host.typedPerFilterConfig, hostPath, hostPlace);
    for (const [j, route] of host.routes.entries()) {
      const path = `${hostPath}.routes[${j}]`;
      this.#places.set(route, { route, host, path, hostPath, fetches });
      this.#readRoute(route, path, `${hostPlace}/${route.name || j}`);
    }
  }

  #readRoute(route: Route, path: string, place: string): void {
    this.#readAll(route.typedPerFilterConfig, path, place);
    for (const [k, settings] of splitSettings(route).entries()) {
      this.#readAll(settings, `${path}.route.weighted_clusters.clusters[${k}]`, `${place}/${k}`);
    }
  }

  #readAll(settings: Settings, path: string, place: string): void {
    for (const [name, any] of Object.entries(settings)) {
      const at = `${path === '' ? '' : `${path}.`}typed_per_filter_config["${name}"]`;
      const named = this.#filters.find((candidate) => candidate.name === name);
      if (named === undefined) {
        this.#env.problems.push(warning(at, 'has no effect: the manager has no filter of this name'));
      } else {
        const said = this.#read(any, named.filter, { path: at, place });
        if (said !== null) this.#said.set(any, said);
      }
    }
  }

  #read(any: Any, filter: HttpFilter, at: { readonly path: string; readonly place: string }): Said | null {
    const { path, place } = at;
    const judge = (inner: Any, innerPath: string): Said | null => {
      const part = filter.withSettings(inner, this.#env, innerPath);
      return part === null ? null : { part, settings: { any: inner, place } };
    };
    if (typeNameOf(any) !== FilterConfigSchema.typeName) return judge(any, path);
    const wrapper = unpack(any, FilterConfigSchema);
    if (wrapper === null) {
      this.#env.problems.push(error(path, 'is no FilterConfig', 'write config or disabled'));
      return null;
    }
    if (wrapper.disabled) return { part: OFF, settings: null };
    if (wrapper.config !== undefined) return judge(wrapper.config, `${path}.config`);
    return { part: filter.part, settings: null };
  }

  /** The steps of the filters, in their order, for one route; null for what has no route. */
  partsOf(route: Route | null, host: VirtualHost | null): readonly PlanPart[] {
    return this.#filters.flatMap((named) => this.#partsOfFilter(named, route, host));
  }

  #partsOfFilter(named: NamedFilter, route: Route | null, host: VirtualHost | null): readonly PlanPart[] {
    const { name, filter, isOff } = named;
    const find = (settings: Settings | undefined): Said | undefined => {
      const any = settings?.[name];
      return any === undefined ? undefined : this.#said.get(any);
    };
    const outer = find(route?.typedPerFilterConfig) ??
      find(host?.typedPerFilterConfig) ??
      find(this.#config.typedPerFilterConfig) ?? { part: isOff ? OFF : filter.part, settings: null };
    const splits = route === null ? [] : splitSettings(route).map(find);
    const place = route === null ? undefined : this.#places.get(route);
    if (splits.every((said) => said === undefined)) return [this.#partOf(outer, filter, place)].filter(isOn);
    const chosen = splits.map((said) => said ?? outer);
    return [...new Set(chosen)].flatMap((said) => {
      const runsFor = chosen.map((candidate) => candidate === said);
      const part = this.#partOf(said, filter, place);
      return isOn(part) ? [onlyForSplit(part, runsFor)] : [];
    });
  }

  #partOf({ part, settings }: Said, filter: HttpFilter, place: RoutePlace | undefined): PlanPart {
    if (part === OFF || place === undefined || filter.onRoute === undefined) return part;
    return filter.onRoute(place, settings, this.#env) ?? OFF;
  }
}

function isOn(part: PlanPart): boolean {
  return part !== OFF;
}

function splitSettings(route: Route): readonly Settings[] {
  const { action } = route;
  if (action.case !== 'route' || action.value.clusterSpecifier.case !== 'weightedClusters') return [];
  return action.value.clusterSpecifier.value.clusters.map((entry) => entry.typedPerFilterConfig);
}
