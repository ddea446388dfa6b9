// The HTTP filters that a connection manager may have, by the type of their configuration, and how a list of
// them is compiled: in their order, with the router as the last. A filter of a type that is not here is refused,
// unless it is optional or switched off.
import { findUnsupported } from './unsupported.ts';
import type { DescMessage } from '@bufbuild/protobuf';
import { StructSchema, type Any } from '@bufbuild/protobuf/wkt';
import { error, refuses, warning, type Problem } from '../base/problem.ts';
import type { CompileHttpFilter, FilterScope, HttpFilter } from '../plan/http-filter.ts';
import type { CompileEnv, PlanPart } from '../plan/plan.ts';
import { compileAdaptive } from '../policy/adaptive-compile.ts';
import { compileAdmission } from '../policy/admission-compile.ts';
import { compileAttemptFault } from '../policy/attempt-fault.ts';
import { compileCors } from '../policy/cors-compile.ts';
import { compileExtAuthz } from '../policy/ext-authz-compile.ts';
import { compileFault } from '../policy/fault-compile.ts';
import { compileRbac } from '../policy/rbac-compile.ts';
import { compileGlobalLimit } from '../policy/global-rate-limit-compile.ts';
import { compileLocalLimit } from '../policy/local-rate-limit-compile.ts';
import { compileJwt } from '../policy/jwt-compile.ts';
import { compileOnDemand } from '../policy/on-demand-compile.ts';
import { compileOwnLimits } from '../policy/own-rate-limit-compile.ts';
import { compileSession } from '../policy/session-compile.ts';
import { compileShedding } from '../policy/shedding-compile.ts';
import { compileLoneMatch } from '../routing/lone-match.ts';
import { AdaptiveConcurrencySchema } from '../xds/gen/envoy/extensions/filters/http/adaptive_concurrency/v3/adaptive_concurrency_pb.js';
import { AdmissionControlSchema } from '../xds/gen/envoy/extensions/filters/http/admission_control/v3/admission_control_pb.js';
import { CorsPolicySchema, CorsSchema } from '../xds/gen/envoy/extensions/filters/http/cors/v3/cors_pb.js';
import {
  ExtAuthzPerRouteSchema,
  ExtAuthzSchema,
} from '../xds/gen/envoy/extensions/filters/http/ext_authz/v3/ext_authz_pb.js';
import { HTTPFaultSchema } from '../xds/gen/envoy/extensions/filters/http/fault/v3/fault_pb.js';
import { LocalRateLimitSchema } from '../xds/gen/envoy/extensions/filters/http/local_ratelimit/v3/local_rate_limit_pb.js';
import {
  JwtAuthenticationSchema,
  PerRouteConfigSchema as JwtPerRouteSchema,
} from '../xds/gen/envoy/extensions/filters/http/jwt_authn/v3/config_pb.js';
import {
  RateLimitPerRouteSchema,
  RateLimitSchema,
} from '../xds/gen/envoy/extensions/filters/http/ratelimit/v3/rate_limit_pb.js';
import { FilterConfigSchema as GrpcStatsSchema } from '../xds/gen/envoy/extensions/filters/http/grpc_stats/v3/config_pb.js';
import {
  StatefulSessionPerRouteSchema,
  StatefulSessionSchema,
} from '../xds/gen/envoy/extensions/filters/http/stateful_session/v3/stateful_session_pb.js';
import { OnDemandSchema } from '../xds/gen/envoy/extensions/filters/http/on_demand/v3/on_demand_pb.js';
import { RBACPerRouteSchema, RBACSchema } from '../xds/gen/envoy/extensions/filters/http/rbac/v3/rbac_pb.js';
import { RouterSchema, type Router } from '../xds/gen/envoy/extensions/filters/http/router/v3/router_pb.js';
import type {
  HttpConnectionManager,
  HttpFilter as HttpFilterProto,
} from '../xds/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js';
import { typeNameOf, unpack } from '../xds/unpack.ts';
import { extensions } from './bootstrap-registry.ts';
import { join, type CompileScope } from './compile-listener.ts';
import { compileExtension, EXTENSION_PREFIX } from './extension-compile.ts';
import type { ExtensionStore } from './extension-store.ts';
import type { NamedFilter } from './filter-settings.ts';

interface FilterKind {
  readonly compile: CompileHttpFilter;
  /** The types of settings by route. */
  readonly settings: readonly DescMessage[];
}

const KINDS: ReadonlyMap<string, FilterKind> = new Map([
  [HTTPFaultSchema.typeName, { compile: compileFault, settings: [HTTPFaultSchema] }],
  [CorsSchema.typeName, { compile: compileCors, settings: [CorsPolicySchema] }],
  [ExtAuthzSchema.typeName, { compile: compileExtAuthz, settings: [ExtAuthzPerRouteSchema] }],
  [AdmissionControlSchema.typeName, { compile: compileAdmission, settings: [] }],
  [AdaptiveConcurrencySchema.typeName, { compile: compileAdaptive, settings: [] }],
  [RBACSchema.typeName, { compile: compileRbac, settings: [RBACPerRouteSchema] }],
  [LocalRateLimitSchema.typeName, { compile: compileLocalLimit, settings: [LocalRateLimitSchema] }],
  [JwtAuthenticationSchema.typeName, { compile: compileJwt, settings: [JwtPerRouteSchema] }],
  [RateLimitSchema.typeName, { compile: compileGlobalLimit, settings: [RateLimitPerRouteSchema] }],
  [OnDemandSchema.typeName, { compile: compileOnDemand, settings: [] }],
  [StatefulSessionSchema.typeName, { compile: compileSession, settings: [StatefulSessionPerRouteSchema] }],
]);

/** By name: filters of ours that take what a filter of Envoy takes, and do another thing with it. */
const OWN_KINDS: ReadonlyMap<string, FilterKind> = new Map([
  ['outrigger.fault', { compile: compileAttemptFault, settings: [HTTPFaultSchema] }],
  ['outrigger.ratelimit', { compile: compileOwnLimits, settings: [StructSchema] }],
  ['outrigger.shedding', { compile: compileShedding, settings: [] }],
]);

/** Says that the manager is one of our mesh's; an empty Struct configures it (src/control/translate/http-manager.ts). */
const MESH_FILTER = 'outrigger.mesh';

/** Bits of Exchange.held. */
const FILTERS_MAX = 30;

export interface CompiledFilters {
  /** Null after reporting that there is none. */
  readonly router: Router | null;
  readonly filters: readonly NamedFilter[];
  /** HttpManager.isMesh. */
  readonly isMesh: boolean;
  /** The client is the app of a mesh: its control fields count. */
  readonly trustsClient: boolean;
}

export function compileHttpFilters(
  config: HttpConnectionManager,
  scope: CompileScope,
  isInbound: boolean,
): CompiledFilters {
  const { env, path } = scope;
  const filters: NamedFilter[] = [];
  let router: Router | null = null;
  let isMesh = false;
  for (const [index, proto] of config.httpFilters.entries()) {
    const at = join(path, `http_filters[${index}]`);
    if (router !== null) {
      env.problems.push(error(at, 'a filter stands after the router', 'make the router the last filter'));
      continue;
    }
    if (proto.configType.case !== 'typedConfig') {
      const text = `typed_config of ${proto.name} is missing`;
      env.problems.push(error(at, text, 'write typed_config with an @type'));
      continue;
    }
    const any = proto.configType.value;
    if (proto.name === MESH_FILTER) {
      isMesh = true;
      continue;
    }
    const found = proto.disabled ? null : unpack(any, RouterSchema);
    if (found !== null) router = found;
    else {
      const filter = compileOne(
        proto,
        any,
        scopeOf(config, scope, { at, name: proto.name, isInbound, isMesh, index }),
        scope.context.extensions,
      );
      if (filter !== null) filters.push({ name: proto.name, filter, isOff: proto.disabled });
    }
  }
  if (router === null) {
    const remedy = 'end the list with envoy.extensions.filters.http.router.v3.Router';
    env.problems.push(error(join(path, 'http_filters'), 'there is no router', remedy));
  }
  if (filters.length > FILTERS_MAX) {
    env.problems.push(error(join(path, 'http_filters'), 'are too many', `write at most ${FILTERS_MAX}`));
  }
  return { router, filters, isMesh, trustsClient: isMesh && !isInbound };
}

interface FilterPlace {
  readonly at: string;
  readonly name: string;
  readonly index: number;
  readonly isInbound: boolean;
  readonly isMesh: boolean;
}

function scopeOf(config: HttpConnectionManager, scope: CompileScope, place: FilterPlace): FilterScope {
  const { env, context } = scope;
  return {
    env,
    path: join(place.at, 'typed_config'),
    name: place.name,
    bit: 1 << (place.index % FILTERS_MAX),
    statPrefix: config.statPrefix,
    place: `${scope.place ?? scope.path} ${config.statPrefix} ${place.name}`,
    serviceCluster: context.node.cluster,
    ...localClusterOf(scope),
    isInbound: place.isInbound,
    isMesh: place.isMesh,
    routeMatch: (match, problems, path) => compileLoneMatch(match, env, problems, path),
    clock: context.clock,
    limits: context.limits,
    remote: context.remote,
    ...(context.hosts === undefined ? {} : { hosts: context.hosts }),
    tally: (name, stats, part) => context.stats.filter(config.statPrefix, name, stats, part ?? null),
  };
}

function localClusterOf({ context }: CompileScope): Pick<FilterScope, 'localCluster'> {
  const { localCluster = '', clusterRef } = context;
  return localCluster === '' ? {} : { localCluster: clusterRef(localCluster) };
}

function compileOne(proto: HttpFilterProto, any: Any, scope: FilterScope, store: ExtensionStore): HttpFilter | null {
  const { env, path } = scope;
  if (proto.name.startsWith(EXTENSION_PREFIX)) return compileExtension(any, scope, store);
  const kind = OWN_KINDS.get(proto.name) ?? KINDS.get(typeNameOf(any));
  if (kind !== undefined) {
    const filter = kind.compile(any, scope);
    return filter === null ? null : checked(filter, kind);
  }
  if (proto.disabled || proto.isOptional) return null;
  const at = path.slice(0, -'.typed_config'.length);
  if (typeNameOf(any) === GrpcStatsSchema.typeName) {
    env.problems.push(warning(at, `${proto.name} has no effect yet`));
  } else env.problems.push(error(at, `${typeNameOf(any)} is not an HTTP filter`, 'remove it'));
  return null;
}

/** Looks into the settings by route before the filter does: what we do not have is named there too. */
function checked(filter: HttpFilter, kind: FilterKind): HttpFilter {
  const withSettings = (settings: Any, env: CompileEnv, path: string): PlanPart | null => {
    const schema = kind.settings.find((candidate) => candidate.typeName === typeNameOf(settings));
    const message = schema === undefined ? null : unpack(settings, schema);
    if (schema === undefined || message === null) {
      const names = kind.settings.map(({ typeName }) => typeName).join(' or ');
      env.problems.push(error(path, `${typeNameOf(settings)} does not fit this filter`, `write ${names}`));
      return null;
    }
    const problems: Problem[] = [];
    findUnsupported(schema, message, { registry: extensions, problems, path });
    env.problems.push(...problems);
    return refuses(problems) ? null : filter.withSettings(settings, env, path);
  };
  return { ...filter, withSettings };
}
