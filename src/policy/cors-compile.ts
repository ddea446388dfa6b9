// Compiles Envoy's CORS filter: the policies of a route, of its virtual host and of the route configuration, as
// typed_per_filter_config, or as the older `cors` fields where none of those is there. Each setting is that of the
// innermost policy that has it; whether the filter works at all is said by the innermost policy alone.
import { isMessage } from '@bufbuild/protobuf';
import type { Any } from '@bufbuild/protobuf/wkt';
import { error } from '../base/problem.ts';
import { compileFraction } from '../plan/fraction.ts';
import type { FilterScope, HttpFilter, PlacedSettings, RoutePlace } from '../plan/http-filter.ts';
import type { Exchange } from '../plan/exchange.ts';
import type { CompileEnv, PlanPart } from '../plan/plan.ts';
import { step } from '../plan/step.ts';
import { compileStringMatch, type StringPredicate } from '../plan/string-match.ts';
import { wireText } from '../plan/wire-text.ts';
import type { RuntimeFractionalPercent } from '../xds/gen/envoy/config/core/v3/base_pb.js';
import {
  FilterConfigSchema,
  type CorsPolicy as RouteCors,
} from '../xds/gen/envoy/config/route/v3/route_components_pb.js';
import {
  CorsPolicySchema,
  CorsSchema,
  type CorsPolicy,
} from '../xds/gen/envoy/extensions/filters/http/cors/v3/cors_pb.js';
import { unpack } from '../xds/unpack.ts';
import { CORS_STATS, endCors, runCors, type CorsSettings } from './cors.ts';

const NAME = 'cors';
const NONE: PlanPart = Object.freeze({});

/** A policy where it was written. */
interface Placed {
  readonly policy: CorsPolicy | RouteCors;
  readonly path: string;
}

/** As a CompileHttpFilter. */
export function compileCors(config: Any, scope: FilterScope): HttpFilter | null {
  if (unpack(config, CorsSchema) === null) {
    scope.env.problems.push(error(scope.path, 'is no Cors', 'write the type alone'));
    return null;
  }
  return {
    part: NONE,
    withSettings: (any, env, path) => {
      const policy = unpack(any, CorsPolicySchema);
      return policy === null ? null : partOf([{ policy, path }], scope, env);
    },
    onRoute: (place, settings, env) => partOf(policiesOf(place, settings, scope.name), scope, env),
  };
}

/** Innermost first. */
function policiesOf(place: RoutePlace, settings: PlacedSettings | null, name: string): readonly Placed[] {
  const { route, host, path, hostPath } = place;
  // Redirects and direct responses have none, as in Envoy.
  if (route.action.case !== 'route') return [];
  if (settings !== null) {
    const at = (where: string): string => `${where}.typed_per_filter_config["${name}"]`;
    const known: readonly (readonly [Any | undefined, string])[] = [
      [settings.any, settings.place],
      [route.typedPerFilterConfig[name], at(path)],
      [host.typedPerFilterConfig[name], at(hostPath)],
    ];
    const seen = new Set<Any>();
    return known.flatMap(([any, where]) => {
      if (any === undefined || seen.has(any)) return [];
      seen.add(any);
      const inner = unpack(any, FilterConfigSchema)?.config ?? any;
      const policy = unpack(inner, CorsPolicySchema);
      return policy === null ? [] : [{ policy, path: where }];
    });
  }
  const own = route.action.value.cors;
  return [
    ...(own === undefined ? [] : [{ policy: own, path: `${path}.route.cors` }]),
    ...(host.cors === undefined ? [] : [{ policy: host.cors, path: `${hostPath}.cors` }]),
  ];
}

function partOf(policies: readonly Placed[], scope: FilterScope, env: CompileEnv): PlanPart | null {
  const [inner] = policies;
  if (inner === undefined) return NONE;
  const before = env.problems.length;
  const settings = compileSettings(policies, inner, scope, env);
  if (env.problems.slice(before).some(({ severity }) => severity === 'error')) return null;
  return {
    onRequest: [step(NAME, scope.name, runCors, settings)],
    onResponse: [step(NAME, scope.name, endCors, settings)],
  };
}

function compileSettings(
  policies: readonly Placed[],
  inner: Placed,
  scope: FilterScope,
  env: CompileEnv,
): CorsSettings {
  const text = (read: (policy: CorsPolicy | RouteCors) => string): string =>
    wireText(policies.map(({ policy }) => read(policy)).find((value) => value !== '') ?? '');
  const flag = (read: (policy: CorsPolicy | RouteCors) => boolean | undefined, fallback: boolean): boolean =>
    policies.map(({ policy }) => read(policy)).find((value) => value !== undefined) ?? fallback;
  const { enabled, shadow } = fractionsOf(inner.policy);
  return Object.freeze({
    tally: scope.tally(NAME, CORS_STATS),
    isEnabled: fractionOf(enabled, true, env, `${inner.path}.filter_enabled`),
    isShadow: fractionOf(shadow, false, env, `${inner.path}.shadow_enabled`),
    origins: compileOrigins(policies, env),
    methods: text(({ allowMethods }) => allowMethods),
    headers: text(({ allowHeaders }) => allowHeaders),
    exposed: text(({ exposeHeaders }) => exposeHeaders),
    maxAge: text(({ maxAge }) => maxAge),
    allowsCredentials: flag(({ allowCredentials }) => allowCredentials, false),
    allowsPrivateNetwork: flag(({ allowPrivateNetworkAccess }) => allowPrivateNetworkAccess, false),
    forwardsOthers: flag(({ forwardNotMatchingPreflights }) => forwardNotMatchingPreflights, true),
    bit: scope.bit,
  });
}

interface Fractions {
  readonly enabled: RuntimeFractionalPercent | undefined;
  readonly shadow: RuntimeFractionalPercent | undefined;
}

function fractionsOf(policy: CorsPolicy | RouteCors): Fractions {
  if (isMessage(policy, CorsPolicySchema)) return { enabled: policy.filterEnabled, shadow: policy.shadowEnabled };
  const { enabledSpecifier: specifier, shadowEnabled: shadow } = policy;
  return { enabled: specifier.case === 'filterEnabled' ? specifier.value : undefined, shadow };
}

function fractionOf(
  config: RuntimeFractionalPercent | undefined,
  otherwise: boolean,
  env: CompileEnv,
  path: string,
): (x: Exchange) => boolean {
  return (config === undefined ? null : compileFraction(config, env, path)) ?? (() => otherwise);
}

/** Of the innermost policy that names any. */
function compileOrigins(policies: readonly Placed[], env: CompileEnv): readonly StringPredicate[] {
  const naming = policies.find(({ policy }) => policy.allowOriginStringMatch.length > 0);
  if (naming === undefined) return [];
  return naming.policy.allowOriginStringMatch.flatMap((matcher, i) => {
    const at = `${naming.path}.allow_origin_string_match[${i}]`;
    const matches = compileStringMatch(matcher, env.problems, at);
    return matches === null ? [] : [matches];
  });
}
