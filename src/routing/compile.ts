// Compiles an Envoy RouteConfiguration into a RouteTable. Every Problem is collected, with its field
// path; one error refuses the whole table, and the caller keeps its last good one. Fields that are
// accepted but have no effect yet are named in warnings: never silence.
import { create } from '@bufbuild/protobuf';
import { routeId } from '../base/brand.ts';
import { error, refuses, type Problem } from '../base/problem.ts';
import type { CompileEnv, Origin, Plan, PlanInit, PlanPart } from '../plan/plan.ts';
import {
  RouteSchema,
  VirtualHost_TlsRequirementType as TlsRequirement,
  type Route,
  type VirtualHost,
} from '../xds/gen/envoy/config/route/v3/route_components_pb.js';
import type { RouteConfiguration } from '../xds/gen/envoy/config/route/v3/route_pb.js';
import { headerSource } from '../plan/header-source.ts';
import { DIRECT_BODY_BYTES_MAX } from './direct-response.ts';
import type { HeaderEdits } from '../plan/header-edits.ts';
import { compileHeaderEdits } from '../plan/header-edits-compile.ts';
import { HostIndex } from './host-index.ts';
import { HostRoutes, type HostRoute } from './host-routes.ts';
import { HostTable, type TableHost } from './host-table.ts';
import { compileRoutePart, redirectPart, type RouteContext } from './route-part.ts';
import { compileRouteMatch } from './route-match.ts';
import { compileMirrors } from './mirror.ts';
import { originOf } from './route-origin.ts';
import { compileUpgrades } from './upgrade-rules.ts';
import { warnOfConfig, warnOfHost, warnOfRoute } from './unsupported.ts';

export interface RouteTableOptions {
  /** Where the configuration came from; a route's own metadata (`istio.config`) wins. */
  readonly origin: Origin;
  /** Wraps a route's part with what surrounds every route, and makes its Plan. */
  readonly finish: (init: PlanInit, part: PlanPart, route: Route, host: VirtualHost) => Plan;
  /** True leaves x-envoy-original-path out (Router.suppress_envoy_headers). */
  readonly suppressesEnvoyHeaders?: boolean;
  /** True when HTTP filters stand between the choice of a cluster and the rest: they run even if there is no such cluster. */
  readonly hasFilters?: boolean;
}

/** Null when an error was added to `env.problems`. */
export function compileRouteTable(
  config: RouteConfiguration,
  env: CompileEnv,
  options: RouteTableOptions,
): HostTable | null {
  // Problems of this table alone decide, whatever the caller has collected before.
  const problems: Problem[] = [];
  const own: CompileEnv = { ...env, problems };
  const levels = {
    request: levelEdits(config, 'request', problems),
    response: levelEdits(config, 'response', problems),
  };
  warnOfConfig(config, problems);
  const index = new HostIndex<TableHost>();
  const hosts: TableHost[] = [];
  const compiler: HostCompiler = { config, env: own, options, levels };
  for (const [i, virtualHost] of config.virtualHosts.entries()) {
    const path = `virtual_hosts[${i}]`;
    const host = compileHost(virtualHost, compiler, path);
    hosts.push(host);
    addDomains(virtualHost, host, index, { problems, path });
  }
  env.problems.push(...problems);
  if (refuses(problems)) return null;
  return new HostTable({
    name: config.name,
    hosts,
    index,
    ignoresPort: config.ignorePortInHostMatching,
    hostSource: config.vhostHeader === '' ? null : headerSource(config.vhostHeader),
  });
}

interface HostCompiler {
  readonly config: RouteConfiguration;
  readonly env: CompileEnv;
  readonly options: RouteTableOptions;
  readonly levels: { readonly request: HeaderEdits | null; readonly response: HeaderEdits | null };
}

function levelEdits(
  config: RouteConfiguration,
  direction: 'request' | 'response',
  problems: Problem[],
): HeaderEdits | null {
  return compileHeaderEdits(config, direction, problems, '');
}

interface Report {
  readonly problems: Problem[];
  readonly path: string;
}

function addDomains(
  virtualHost: VirtualHost,
  host: TableHost,
  index: HostIndex<TableHost>,
  { problems, path }: Report,
): void {
  if (virtualHost.domains.length === 0)
    problems.push(error(`${path}.domains`, 'must not be empty', "use '*' for every host"));
  for (const [i, domain] of virtualHost.domains.entries()) {
    if (index.add(domain, host)) continue;
    const message =
      domain === '*' ? "only one virtual host may have the domain '*'" : `the domain '${domain}' is taken`;
    problems.push(error(`${path}.domains[${i}]`, message, 'name each domain once in the whole route configuration'));
  }
}

function compileHost(virtualHost: VirtualHost, compiler: HostCompiler, path: string): TableHost {
  const { env, options, config, levels } = compiler;
  const { problems } = env;
  if (virtualHost.name === '') problems.push(error(`${path}.name`, 'must not be empty', 'name the virtual host'));
  warnOfHost(virtualHost, problems, path);
  const request = compileHeaderEdits(virtualHost, 'request', problems, path);
  const response = compileHeaderEdits(virtualHost, 'response', problems, path);
  const mirrors = compileMirrors(virtualHost.requestMirrorPolicies, env, path);
  const fallbackMirrors = mirrors.length > 0 ? mirrors : compileMirrors(config.requestMirrorPolicies, env, '');
  const context: HostContext = {
    ...compiler,
    virtualHost,
    mirrors: fallbackMirrors,
    outer: { request: [request, levels.request], response: [response, levels.response] },
  };
  const routes: HostRoute[] = [];
  for (const [i, route] of virtualHost.routes.entries()) {
    const compiled = compileRoute(route, context, `${path}.routes[${i}]`);
    if (compiled !== null) routes.push(compiled);
  }
  return {
    name: virtualHost.name,
    domains: virtualHost.domains,
    tls: tlsOf(virtualHost, problems, path),
    tlsPlan: tlsPlan(context, options),
    routes: new HostRoutes(routes, config.ignorePathParametersInPathMatching),
  };
}

interface HostContext extends HostCompiler {
  readonly virtualHost: VirtualHost;
  readonly mirrors: PlanInit['mirrors'];
  /** The levels around a route, from the more specific outwards. */
  readonly outer: RouteContext['outer'];
}

function tlsOf(virtualHost: VirtualHost, problems: Problem[], path: string): TableHost['tls'] {
  switch (virtualHost.requireTls) {
    case TlsRequirement.NONE:
      return 'none';
    case TlsRequirement.EXTERNAL_ONLY:
      return 'external';
    case TlsRequirement.ALL:
      return 'all';
    default:
      problems.push(error(`${path}.require_tls`, `has no meaning for ${String(virtualHost.requireTls)}`));
      return 'none';
  }
}

function tlsPlan(context: HostContext, options: RouteTableOptions): Plan | null {
  if (context.virtualHost.requireTls === TlsRequirement.NONE) return null;
  const init: PlanInit = { route: routeId(''), origin: options.origin, body: null, mirrors: [] };
  return options.finish(init, redirectPart(options.origin), create(RouteSchema), context.virtualHost);
}

function compileRoute(route: Route, context: HostContext, path: string): HostRoute | null {
  const { env, options, config, virtualHost } = context;
  const { problems } = env;
  warnOfRoute(route, problems, path);
  const match = route.match === undefined ? null : compileRouteMatch(route.match, env, `${path}.match`);
  if (route.match === undefined)
    problems.push(error(`${path}.match`, 'is required', 'match every path with { prefix: / }'));
  const origin = originOf(route, options.origin);
  const compiled = compileRoutePart(
    route,
    {
      env,
      origin,
      rule: match?.path ?? null,
      outer: context.outer,
      virtualHost,
      mostSpecificWins: config.mostSpecificHeaderMutationsWins,
      hasFilters: options.hasFilters === true,
      keepsOriginalPath: options.suppressesEnvoyHeaders !== true,
      directBodyBytesMax: config.maxDirectResponseBodySizeBytes ?? DIRECT_BODY_BYTES_MAX,
    },
    path,
  );
  if (match === null || compiled === null) return null;
  const own =
    route.action.case === 'route' ? compileMirrors(route.action.value.requestMirrorPolicies, env, `${path}.route`) : [];
  const upgrades =
    route.action.case === 'route'
      ? compileUpgrades(route.action.value.upgradeConfigs, env.problems, `${path}.route.upgrade_configs`)
      : null;
  const init: PlanInit = {
    route: routeId(route.name),
    origin,
    body: null,
    mirrors: own.length > 0 ? own : context.mirrors,
    ...metadataOf(route, virtualHost),
    ...(upgrades === null ? {} : { upgrades }),
  };
  return { name: route.name, match, plan: options.finish(init, compiled, route, virtualHost) };
}

function metadataOf(route: Route, virtualHost: VirtualHost): Pick<PlanInit, 'metadata'> {
  const own = route.metadata?.filterMetadata ?? {};
  const ofHost = virtualHost.metadata?.filterMetadata ?? {};
  if (Object.keys(own).length + Object.keys(ofHost).length === 0) return {};
  return { metadata: { route: own, virtualHost: ofHost } };
}
