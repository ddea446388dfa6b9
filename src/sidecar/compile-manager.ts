// Compiles an HttpConnectionManager: every field of HttpManager with Envoy's default, and the parts
// of a Plan that are the same for all its routes. Routes come by RDS or stand inside; either way
// they are compiled by ManagerRoutes, because a route's Plan holds this manager's own steps.
import { create } from '@bufbuild/protobuf';
import { routeId } from '../base/brand.ts';
import { error, refuses, warning } from '../base/problem.ts';
import { compileAccessLog } from '../observe/access-log.ts';
import { compileMetrics } from '../observe/request-metrics.ts';
import { compileTracing } from '../observe/tracing.ts';
import type { CompileEnv, Plan, PlanInit, PlanPart } from '../plan/plan.ts';
import { BODY_BYTES_MAX } from '../plan/retry-plan.ts';
import { NO_MIRRORS } from '../plan/plan.ts';
import { compileRouteTable } from '../routing/compile.ts';
import type { RouteTable } from '../routing/route-table.ts';
import { compileUpgrades } from '../routing/upgrade-rules.ts';
import {
  HttpProtocolOptions_HeadersWithUnderscoresAction as UnderscoresAction,
  type Http1ProtocolOptions,
} from '../xds/gen/envoy/config/core/v3/protocol_pb.js';
import type { Route, VirtualHost } from '../xds/gen/envoy/config/route/v3/route_components_pb.js';
import { RouteConfigurationSchema, type RouteConfiguration } from '../xds/gen/envoy/config/route/v3/route_pb.js';
import type { Router } from '../xds/gen/envoy/extensions/filters/http/router/v3/router_pb.js';
import {
  HttpConnectionManager_CodecType as CodecType,
  HttpConnectionManager_PathWithEscapedSlashesAction as EscapedSlashes,
  HttpConnectionManager_ServerHeaderTransformation as ServerHeader,
  type HttpConnectionManager,
} from '../xds/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js';
import { clientCertDetailsOf, clientCertOf } from './compile-client-cert.ts';
import { durationMs } from './compile-duration.ts';
import { compileInternalAddresses } from './compile-addresses.ts';
import { join, type CompileScope } from './compile-listener.ts';
import { FilterSettings } from './filter-settings.ts';
import { compileHttpFilters, type CompiledFilters } from './http-filters.ts';
import { compileRetryPart, type RetryScope } from './compile-retry.ts';
import { RoutesRef, type HttpManager } from './http-manager.ts';
import { EMPTY_PART, assemble, joinParts } from './pipeline.ts';

/** A compiled RouteConfiguration with the plans in it, for `/plan`. */
export interface CompiledRoutes {
  readonly table: RouteTable;
  readonly plans: readonly Plan[];
}

/** Where one manager gets its routes from, and how it compiles them. */
export interface ManagerRoutes {
  readonly ref: RoutesRef;
  /** The name to ask RDS for; null when the routes stand in the listener itself. */
  readonly rdsName: string | null;
  /** How long to wait for the first answer before going on without; 15000 by default, 0 is for ever. */
  readonly fetchTimeoutMs: number;
  readonly inline: RouteConfiguration | null;
  /** The path of the inline routes in the listener. */
  readonly path: string;
  readonly compile: (config: RouteConfiguration, env: CompileEnv, path: string) => CompiledRoutes | null;
  /** The plans of the newest compilation, for `/plan`. */
  plans: readonly Plan[];
}

export interface CompiledManager {
  readonly manager: HttpManager;
  readonly routes: ManagerRoutes;
}

const FETCH_TIMEOUT_MS = 15_000;
const STREAM_IDLE_TIMEOUT_MS = 300_000;
const IDLE_TIMEOUT_MS = 3_600_000;
const DELAYED_CLOSE_MS = 1000;
const DRAIN_MS = 5000;
const HEAD_KIB = 60;
const HEADER_COUNT = 100;
/** Runtime key: 0 leaves out the x-outrigger-error header. */
const EXPLAINS_ERRORS = 'outrigger.explains_errors';
/** Runtime key: 0 drops the trailers of requests and responses, as Envoy does unless told to keep them. */
const FORWARDS_TRAILERS = 'outrigger.trailers';

export function compileManager(
  config: HttpConnectionManager,
  scope: CompileScope,
  isInbound: boolean,
): CompiledManager | null {
  const chain = compileHttpFilters(config, scope, isInbound);
  const { router } = chain;
  const parts = compileParts(config, scope, { isInbound, chain });
  const routes = compileSource(config, scope, parts);
  if (router === null || routes === null || parts === null) return null;
  const miss: PlanInit = { route: routeId(''), origin: '', body: null, mirrors: NO_MIRRORS };
  const noSettings = new FilterSettings(chain.filters, create(RouteConfigurationSchema), scope.env);
  const missPlan = parts.finish(miss, EMPTY_PART, noSettings, null);
  const { isMesh } = chain;
  return {
    manager: Object.freeze({ ...settingsOf(config, router, scope), isMesh, routes: routes.ref, missPlan }),
    routes,
  };
}

/** Every field that is a plain value. Defaults: Envoy's HttpConnectionManager. */
function settingsOf(
  config: HttpConnectionManager,
  router: Router,
  { env, path, context }: CompileScope,
): Omit<HttpManager, 'routes' | 'missPlan' | 'isMesh'> {
  const common = config.commonHttpProtocolOptions;
  const http1 = readHttp1(config.httpProtocolOptions, env, join(path, 'http_protocol_options'));
  const headersMax = common?.maxHeadersCount ?? HEADER_COUNT;
  return {
    statPrefix: config.statPrefix,
    tally: context.stats.http(config.statPrefix),
    serverName: config.serverName === '' ? 'envoy' : config.serverName,
    serverHeader: serverHeaderOf(config.serverHeaderTransformation),
    useRemoteAddress: config.useRemoteAddress ?? false,
    xffTrustedHops: config.xffNumTrustedHops,
    skipXffAppend: config.skipXffAppend,
    internalAddresses: compileInternalAddresses(
      config.internalAddressConfig,
      env,
      join(path, 'internal_address_config'),
    ),
    addedUserAgent: config.addUserAgent === true ? context.node.cluster : null,
    generatesRequestId: config.generateRequestId ?? true,
    preservesExternalRequestId: config.preserveExternalRequestId,
    alwaysSetsRequestIdInResponse: config.alwaysSetRequestIdInResponse,
    via: config.via,
    schemeToOverwrite: readScheme(config, env, path),
    detectsHttp2: config.codecType === CodecType.AUTO,
    acceptsHttp10: http1.acceptsHttp10,
    defaultHostForHttp10: http1.defaultHost,
    allowsChunkedLength: http1.allowsChunkedLength,
    survivesInvalidMessages: http1.survivesInvalidMessages ?? config.streamErrorOnInvalidHttpMessage ?? false,
    clientCert: clientCertOf(config.forwardClientCertDetails),
    clientCertDetails: clientCertDetailsOf(config.setCurrentClientCertDetails),
    normalizesPath: config.normalizePath ?? env.runtimeNumber('http_connection_manager.normalize_path', 0) > 0,
    mergesSlashes: config.mergeSlashes,
    escapedSlashes: escapedSlashesOf(config.pathWithEscapedSlashesAction),
    stripsAnyHostPort: config.stripPortMode.case === 'stripAnyHostPort' && config.stripPortMode.value,
    stripsMatchingHostPort: config.stripMatchingHostPort,
    stripsTrailingHostDot: config.stripTrailingHostDot,
    underscoredHeaders: underscoredHeadersOf(common?.headersWithUnderscoresAction),
    explainsErrors: env.runtimeNumber(EXPLAINS_ERRORS, 1) !== 0,
    suppressesEnvoyHeaders: router.suppressEnvoyHeaders,
    respectsExpectedTimeout: router.respectExpectedRqTimeout,
    upgrades: compileUpgrades(config.upgradeConfigs, env.problems, join(path, 'upgrade_configs')),
    proxiesContinue: config.proxy100Continue,
    forwardsTrailers: env.runtimeNumber(FORWARDS_TRAILERS, 1) !== 0,
    delayedCloseMs: durationMs(config.delayedCloseTimeout, DELAYED_CLOSE_MS),
    drainMs: durationMs(config.drainTimeout, DRAIN_MS),
    requestHeadersTimeoutMs: durationMs(config.requestHeadersTimeout, 0),
    requestTimeoutMs: durationMs(config.requestTimeout, 0),
    streamIdleTimeoutMs: durationMs(config.streamIdleTimeout, STREAM_IDLE_TIMEOUT_MS),
    idleTimeoutMs: durationMs(common?.idleTimeout, IDLE_TIMEOUT_MS),
    maxConnectionDurationMs: durationMs(common?.maxConnectionDuration, 0),
    maxStreamDurationMs: durationMs(common?.maxStreamDuration, 0),
    maxRequestsPerConnection: common?.maxRequestsPerConnection ?? 0,
    headBytesMax: readHeadKib(config, env, path) * 1024,
    headerCountMax: headersMax === 0 ? HEADER_COUNT : headersMax,
  };
}

function readHeadKib(config: HttpConnectionManager, env: CompileEnv, path: string): number {
  const kib = config.maxRequestHeadersKb ?? HEAD_KIB;
  if (kib >= 1 && kib <= 8192) return kib;
  env.problems.push(error(join(path, 'max_request_headers_kb'), `${kib} is out of range`, 'write 1 to 8192'));
  return HEAD_KIB;
}

function readScheme(config: HttpConnectionManager, env: CompileEnv, path: string): string {
  const scheme = config.schemeHeaderTransformation?.transformation.value ?? '';
  if (scheme === '' || scheme === 'http' || scheme === 'https') return scheme;
  const at = join(path, 'scheme_header_transformation.scheme_to_overwrite');
  env.problems.push(error(at, `${scheme} is not a scheme that is spoken here`, 'write http or https'));
  return '';
}

interface Http1Settings {
  readonly acceptsHttp10: boolean;
  readonly defaultHost: string;
  readonly allowsChunkedLength: boolean;
  /** Null: as the manager says. */
  readonly survivesInvalidMessages: boolean | null;
}

function readHttp1(options: Http1ProtocolOptions | undefined, env: CompileEnv, path: string): Http1Settings {
  if (options?.allowAbsoluteUrl === false) {
    env.problems.push(warning(join(path, 'allow_absolute_url'), 'has no effect: absolute URLs are accepted'));
  }
  return {
    acceptsHttp10: options?.acceptHttp10 ?? false,
    defaultHost: options?.defaultHostForHttp10 ?? '',
    allowsChunkedLength: options?.allowChunkedLength ?? false,
    survivesInvalidMessages: options?.overrideStreamErrorOnInvalidHttpMessage ?? null,
  };
}

function serverHeaderOf(value: ServerHeader): HttpManager['serverHeader'] {
  if (value === ServerHeader.APPEND_IF_ABSENT) return 'append-if-absent';
  return value === ServerHeader.PASS_THROUGH ? 'pass-through' : 'overwrite';
}

function escapedSlashesOf(value: EscapedSlashes): HttpManager['escapedSlashes'] {
  switch (value) {
    case EscapedSlashes.REJECT_REQUEST:
      return 'reject';
    case EscapedSlashes.UNESCAPE_AND_REDIRECT:
      return 'unescape-redirect';
    case EscapedSlashes.UNESCAPE_AND_FORWARD:
      return 'unescape-forward';
    default:
      return 'keep';
  }
}

function underscoredHeadersOf(value: UnderscoresAction | undefined): HttpManager['underscoredHeaders'] {
  if (value === UnderscoresAction.REJECT_REQUEST) return 'reject';
  return value === UnderscoresAction.DROP_HEADER ? 'drop' : 'allow';
}

/** What stands around a route's own part: its place in the configuration, null for requests without a route. */
interface RoutePlace {
  readonly route: Route;
  readonly host: VirtualHost;
  readonly config: RouteConfiguration;
  readonly retryScope: RetryScope;
}

type Finish = (init: PlanInit, routePart: PlanPart, settings: FilterSettings, place: RoutePlace | null) => Plan;

interface ManagerParts {
  readonly finish: Finish;
  readonly chain: CompiledFilters;
}

/** The steps that every route of the manager shares; null when one of them is refused. */
function compileParts(
  config: HttpConnectionManager,
  scope: CompileScope,
  { isInbound, chain }: Omit<ManagerParts, 'finish'> & { readonly isInbound: boolean },
): ManagerParts | null {
  const { env, context, path } = scope;
  const accessLog = compileAccessLog(config.accessLog, env, join(path, 'access_log'), context.logFiles);
  const metrics = compileMetrics(
    {
      registry: context.registry,
      stats: context.stats,
      node: context.node,
      reporter: isInbound ? 'destination' : 'source',
      statPrefix: config.statPrefix,
    },
    env,
  );
  const { tracing } = config;
  const traceOf = (route: Route | null): PlanPart | null => {
    if (tracing === undefined) return EMPTY_PART;
    return compileTracing(tracing, env, {
      node: context.node,
      pipeline: context.spans,
      isInbound,
      path: join(path, 'tracing'),
      route: route === null ? null : { tracing: route.tracing ?? null, operation: route.decorator?.operation ?? '' },
    });
  };
  const trace = traceOf(null);
  if (accessLog === null || trace === null) return null;
  const finish: Finish = (init, routePart, settings, place) => {
    const route = place === null ? null : place.route;
    const isPlain = route === null || (route.tracing === undefined && route.decorator === undefined);
    const own = isPlain ? trace : (traceOf(route) ?? trace);
    const filters = joinParts(settings.partsOf(route, place === null ? null : place.host));
    const retry = place === null ? EMPTY_PART : compileRetryPart(place, init.origin, place.retryScope);
    return assemble(init, { trace: own, accessLog, metrics, filters, route: routePart, retry });
  };
  return { finish, chain };
}

function compileSource(
  config: HttpConnectionManager,
  scope: CompileScope,
  parts: ManagerParts | null,
): ManagerRoutes | null {
  const { env, path } = scope;
  const { routeSpecifier } = config;
  const compile = (routes: RouteConfiguration, routesEnv: CompileEnv, at: string): CompiledRoutes | null => {
    if (parts === null) return null;
    const plans: Plan[] = [];
    const own: CompileEnv = { ...routesEnv, problems: [] };
    const { router, filters } = parts.chain;
    const ofFilters: CompileEnv = { ...routesEnv, problems: [] };
    const settings = new FilterSettings(filters, routes, ofFilters);
    const hasInternal = config.internalAddressConfig !== undefined || parts.chain.trustsClient;
    const retryScope: RetryScope = { env: own, hasInternal, bufferBytesMax: scope.bufferBytesMax ?? BODY_BYTES_MAX };
    const finish = (init: PlanInit, routePart: PlanPart, route: Route, host: VirtualHost): Plan => {
      const plan = parts.finish(init, routePart, settings, { route, host, config: routes, retryScope });
      plans.push(plan);
      return plan;
    };
    const options = {
      origin: routes.name,
      finish,
      suppressesEnvoyHeaders: router?.suppressEnvoyHeaders ?? false,
      hasFilters: filters.length > 0,
    };
    const table = compileRouteTable(routes, own, options);
    for (const problem of [...ofFilters.problems, ...own.problems]) {
      routesEnv.problems.push({ ...problem, path: join(at, problem.path) });
    }
    return table === null || refuses(ofFilters.problems) ? null : { table, plans };
  };
  switch (routeSpecifier.case) {
    case 'rds': {
      const { routeConfigName: rdsName, configSource } = routeSpecifier.value;
      const specifier = configSource?.configSourceSpecifier.case;
      if (specifier !== 'ads' && specifier !== 'self') {
        const at = join(path, 'rds.config_source');
        env.problems.push(error(at, 'only ADS is supported as a source of routes', 'write ads: {}'));
      }
      const fetchTimeoutMs = durationMs(configSource?.initialFetchTimeout, FETCH_TIMEOUT_MS);
      return { ref: new RoutesRef(rdsName), rdsName, fetchTimeoutMs, inline: null, path: '', compile, plans: [] };
    }
    case 'routeConfig': {
      const inline = routeSpecifier.value;
      const ref = new RoutesRef(inline.name);
      const at = join(path, 'route_config');
      return { ref, rdsName: null, fetchTimeoutMs: 0, inline, path: at, compile, plans: [] };
    }
    default:
      env.problems.push(error(path, 'the manager has no routes', 'write route_config or rds'));
      return null;
  }
}
