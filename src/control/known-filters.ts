// The HTTP filters that EnvoyFilters may patch: those that our sidecars run. A value is judged as a message of its type,
// so that what stands in it wrongly is refused here, with its path, and not by every sidecar.
import { createRegistry, fromJson, toBinary, create } from '@bufbuild/protobuf';
import type { DescMessage, JsonObject } from '@bufbuild/protobuf';
import { AnySchema, StructSchema } from '@bufbuild/protobuf/wkt';
import type { Any } from '@bufbuild/protobuf/wkt';
import { AdaptiveConcurrencySchema } from '../xds/gen/envoy/extensions/filters/http/adaptive_concurrency/v3/adaptive_concurrency_pb.js';
import { AdmissionControlSchema } from '../xds/gen/envoy/extensions/filters/http/admission_control/v3/admission_control_pb.js';
import { CorsSchema } from '../xds/gen/envoy/extensions/filters/http/cors/v3/cors_pb.js';
import { ExtAuthzSchema } from '../xds/gen/envoy/extensions/filters/http/ext_authz/v3/ext_authz_pb.js';
import { HTTPFaultSchema } from '../xds/gen/envoy/extensions/filters/http/fault/v3/fault_pb.js';
import { JwtAuthenticationSchema } from '../xds/gen/envoy/extensions/filters/http/jwt_authn/v3/config_pb.js';
import { LocalRateLimitSchema } from '../xds/gen/envoy/extensions/filters/http/local_ratelimit/v3/local_rate_limit_pb.js';
import { RateLimitSchema } from '../xds/gen/envoy/extensions/filters/http/ratelimit/v3/rate_limit_pb.js';
import { RBACSchema } from '../xds/gen/envoy/extensions/filters/http/rbac/v3/rbac_pb.js';
import { RouterSchema } from '../xds/gen/envoy/extensions/filters/http/router/v3/router_pb.js';
import { StatefulSessionSchema } from '../xds/gen/envoy/extensions/filters/http/stateful_session/v3/stateful_session_pb.js';
import { CookieBasedSessionStateSchema } from '../xds/gen/envoy/extensions/http/stateful_session/cookie/v3/cookie_pb.js';
import { HeaderBasedSessionStateSchema } from '../xds/gen/envoy/extensions/http/stateful_session/header/v3/header_pb.js';
import { TYPE_PREFIX } from '../xds/type-url.ts';

const FILTERS: readonly DescMessage[] = [
  AdaptiveConcurrencySchema,
  AdmissionControlSchema,
  CorsSchema,
  ExtAuthzSchema,
  HTTPFaultSchema,
  JwtAuthenticationSchema,
  LocalRateLimitSchema,
  RateLimitSchema,
  RBACSchema,
  RouterSchema,
  StatefulSessionSchema,
];
/** What Istio and Envoy call them. */
const NAMES: ReadonlyMap<string, string> = new Map([
  ['envoy.filters.http.adaptive_concurrency', AdaptiveConcurrencySchema.typeName],
  ['envoy.filters.http.admission_control', AdmissionControlSchema.typeName],
  ['envoy.filters.http.cors', CorsSchema.typeName],
  ['envoy.filters.http.ext_authz', ExtAuthzSchema.typeName],
  ['envoy.filters.http.fault', HTTPFaultSchema.typeName],
  ['envoy.filters.http.jwt_authn', JwtAuthenticationSchema.typeName],
  ['envoy.filters.http.local_ratelimit', LocalRateLimitSchema.typeName],
  ['envoy.filters.http.ratelimit', RateLimitSchema.typeName],
  ['envoy.filters.http.rbac', RBACSchema.typeName],
  ['envoy.filters.http.router', RouterSchema.typeName],
  ['envoy.filters.http.stateful_session', StatefulSessionSchema.typeName],
]);
const registry = createRegistry(...FILTERS, StructSchema, CookieBasedSessionStateSchema, HeaderBasedSessionStateSchema);
/** UDPA's and xDS' way to write a message as a Struct: `{ type_url, value }`. */
const TYPED_STRUCT = /(?:udpa|xds)\.type\.v[13]\.TypedStruct$/;

/** The configuration of a filter, or why it is none that we know: `at` is its path inside of `typed_config`. */
export function readFilterConfig(typed: JsonObject): Any | { readonly at: string; readonly reason: string } {
  const written = typed['@type'];
  if (typeof written !== 'string') return { at: '@type', reason: 'is missing: it says which filter it is' };
  if (TYPED_STRUCT.test(written)) {
    const { type_url: snake, typeUrl, value } = typed;
    const inner = typeof value === 'object' && value !== null && !Array.isArray(value) ? value : {};
    return readFilterConfig({ ...inner, '@type': snake ?? typeUrl ?? '' });
  }
  const name = written.slice(written.lastIndexOf('/') + 1);
  const schema = FILTERS.find(({ typeName }) => typeName === name);
  if (schema === undefined) return { at: '@type', reason: `${name} is not an HTTP filter that we know` };
  const { '@type': _type, ...fields } = typed;
  try {
    const message = fromJson(schema, fields, { registry });
    return create(AnySchema, { typeUrl: TYPE_PREFIX + name, value: toBinary(schema, message) });
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    return { at: '', reason: `is no ${schema.name}: ${reason.slice(0, 300)}` };
  }
}

/** The type of the filter that is called so; null when the name says nothing. */
export function typeOfFilter(name: string): string | null {
  return NAMES.get(name) ?? null;
}

/** As protobuf merges: what `patch` sets wins, lists are joined. Null when the two are of different types. */
export function mergeConfigs(base: Any, patch: Any): Any | null {
  if (typeOf(base) !== typeOf(patch)) return null;
  // Merging is concatenating the bytes (protobuf encoding, "Last One Wins").
  return create(AnySchema, { typeUrl: base.typeUrl, value: Buffer.concat([base.value, patch.value]) });
}

export function typeOf({ typeUrl }: Any): string {
  return typeUrl.slice(typeUrl.lastIndexOf('/') + 1);
}
