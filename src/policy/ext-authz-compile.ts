// Compiles Envoy's ExtAuthz filter and its settings by route (ExtAuthzPerRoute) into the steps of ext-authz.ts.
// What is not there is named in sidecar/unsupported-policy-fields.ts.
import type { Any } from '@bufbuild/protobuf/wkt';
import { error } from '../base/problem.ts';
import type { Exchange } from '../plan/exchange.ts';
import { compileMetadataMatcher } from '../plan/dynamic-metadata.ts';
import { compileFraction } from '../plan/fraction.ts';
import type { FilterScope, HttpFilter } from '../plan/http-filter.ts';
import type { CompileEnv, PlanPart } from '../plan/plan.ts';
import { step } from '../plan/step.ts';
import { waitingSteps } from '../plan/waiting-step.ts';
import {
  ExtAuthzPerRouteSchema,
  ExtAuthzSchema,
  type BufferSettings,
  type ExtAuthz,
  type ExtAuthzPerRoute,
} from '../xds/gen/envoy/extensions/filters/http/ext_authz/v3/ext_authz_pb.js';
import { unpack } from '../xds/unpack.ts';
import { PendingResponses } from './pending-response.ts';
import { AUTHZ_POLICY, endAuthz, runOnResponse } from './ext-authz.ts';
import { compileAuthzService } from './ext-authz-service.ts';
import {
  AUTHZ_CLUSTER_STATS,
  AUTHZ_STATS,
  type AuthzBody,
  type AuthzSettings,
  type AuthzState,
  type NamePredicate,
} from './ext-authz-settings.ts';
import { holdForAuthz } from './held-request.ts';
import { compileMutationRules } from './mutation-rules.ts';
import { anyName, compileNames } from './name-list.ts';

const NAME = 'ext_authz';

/** As a CompileHttpFilter. */
export function compileExtAuthz(config: Any, scope: FilterScope): HttpFilter | null {
  const message = unpack(config, ExtAuthzSchema);
  if (message === null) {
    scope.env.problems.push(error(scope.path, 'is no ExtAuthz', 'write its fields'));
    return null;
  }
  const settings = compileSettings(message, scope);
  if (settings === null) return null;
  return {
    part: partOf(settings, scope.name),
    withSettings: (any, env, path) => {
      const own = unpack(any, ExtAuthzPerRouteSchema);
      if (own === null) return null;
      const changed = forRoute(settings, own, env, path);
      return changed === null ? null : partOf(changed, scope.name);
    },
  };
}

const OFF: PlanPart = Object.freeze({});

function partOf(settings: AuthzSettings | 'off', name: string): PlanPart {
  if (settings === 'off') return OFF;
  const waiting = waitingSteps(NAME, name, AUTHZ_POLICY, settings);
  const held = settings.body === null ? [] : [step('ext_authz body', name, holdForAuthz, settings)];
  return {
    movesRoute: settings.clearsRoute,
    onRequest: [...held, ...waiting.onRequest],
    onResponse: [step('ext_authz response', name, runOnResponse, settings)],
    onEnd: [...waiting.onEnd, step('ext_authz end', name, endAuthz, settings)],
  };
}

/** Null after reporting why the settings of a route are refused. */
function forRoute(
  settings: AuthzSettings,
  { override }: ExtAuthzPerRoute,
  env: CompileEnv,
  path: string,
): AuthzSettings | 'off' | null {
  if (override.case === 'disabled') return 'off';
  if (override.case === undefined) {
    env.problems.push(error(path, 'says nothing', 'write disabled: true, or check_settings'));
    return null;
  }
  const { contextExtensions, disableRequestBodyBuffering, withRequestBody } = override.value;
  const at = `${path}.check_settings`;
  if (disableRequestBodyBuffering && withRequestBody !== undefined) {
    env.problems.push(
      error(at, 'disable_request_body_buffering and with_request_body exclude each other', 'write one of them'),
    );
    return null;
  }
  const body = withRequestBody === undefined ? settings.body : compileBody(withRequestBody, env, at);
  if (withRequestBody !== undefined && body === null) return null;
  return Object.freeze({
    ...settings,
    contextExtensions: { ...settings.contextExtensions, ...contextExtensions },
    body: disableRequestBodyBuffering ? null : body,
  });
}

function compileBody(
  { maxRequestBytes, allowPartialMessage, packAsBytes }: BufferSettings,
  env: CompileEnv,
  path: string,
): AuthzBody | null {
  if (maxRequestBytes === 0) {
    const at = `${path}.with_request_body.max_request_bytes`;
    env.problems.push(error(at, 'must be more than 0', 'write how many bytes the service may see'));
    return null;
  }
  return { bytesMax: maxRequestBytes, allowsPartial: allowPartialMessage, packsAsBytes: packAsBytes };
}

function compileSettings(message: ExtAuthz, scope: FilterScope): AuthzSettings | null {
  const { env, path, remote, clock } = scope;
  const before = env.problems.length;
  const service = compileAuthzService(message, env, path);
  const body = message.withRequestBody === undefined ? null : compileBody(message.withRequestBody, env, path);
  const rulesPath = `${path}.decoder_header_mutation_rules`;
  const rules =
    message.decoderHeaderMutationRules === undefined
      ? null
      : compileMutationRules(message.decoderHeaderMutationRules, env.problems, rulesPath);
  const isEnabled = compileEnabled(message, env, path);
  const allowed = allowedNames(message, env, path);
  const disallowed = compileNames(message.disallowedHeaders, env.problems, `${path}.disallowed_headers`);
  const statName = message.statPrefix === '' ? NAME : `${NAME}.${message.statPrefix}`;
  const state: AuthzState = Object.freeze({
    tally: scope.tally(statName, AUTHZ_STATS),
    tallyOf: (value: string) =>
      scope.tally(statName, AUTHZ_CLUSTER_STATS, { label: 'envoy_cluster_name', value, root: 'cluster.' }),
    remote,
    clock,
    pending: new PendingResponses(),
    toJSON: () => ({}),
  });
  if (env.problems.slice(before).some(({ severity }) => severity === 'error') || service === null) return null;
  return Object.freeze({
    state,
    service,
    allowed,
    disallowed,
    encodesRaw: message.encodeRawHeaders,
    isEnabled,
    deniesWhenOff: deniesWhenOff(message, env),
    allowsOnFailure: message.failureModeAllow,
    marksFailure: message.failureModeAllowHeaderAdd,
    statusOnError: statusOf(message, env, path),
    chargesCluster: message.chargeClusterResponseStats ?? true,
    clearsRoute: message.clearRouteCache,
    validates: message.validateMutations,
    rules,
    takesMetadata: message.enableDynamicMetadataIngestion ?? true,
    metadataNamespaces: message.metadataContextNamespaces,
    routeMetadataNamespaces: message.routeMetadataContextNamespaces,
    includesCertificate: message.includePeerCertificate,
    includesTlsSession: message.includeTlsSession,
    destinationLabels: {},
    contextExtensions: {},
    body,
  });
}

/** HTTP services see few fields unless more are named, gRPC services all of them. */
function allowedNames(message: ExtAuthz, env: CompileEnv, path: string): NamePredicate | null {
  const own = compileNames(message.allowedHeaders, env.problems, `${path}.allowed_headers`);
  if (message.services.case !== 'httpService') return own;
  const older = message.services.value.authorizationRequest?.allowedHeaders;
  const at = `${path}.http_service.authorization_request.allowed_headers`;
  const named = own ?? compileNames(older, env.problems, at);
  return anyName([':authority', ':method', ':path', 'authorization'], named);
}

function compileEnabled(message: ExtAuthz, env: CompileEnv, path: string): ((x: Exchange) => boolean) | null {
  const { filterEnabled, filterEnabledMetadata } = message;
  const share = filterEnabled === undefined ? null : compileFraction(filterEnabled, env, `${path}.filter_enabled`);
  const at = `${path}.filter_enabled_metadata`;
  const matches =
    filterEnabledMetadata === undefined ? null : compileMetadataMatcher(filterEnabledMetadata, env.problems, at);
  if (share === null) return matches;
  return matches === null ? share : (x) => share(x) && matches(x);
}

function deniesWhenOff({ denyAtDisable }: ExtAuthz, env: CompileEnv): boolean {
  if (denyAtDisable === undefined) return false;
  const fallback = denyAtDisable.defaultValue === true ? 1 : 0;
  return env.runtimeNumber(denyAtDisable.runtimeKey, fallback) !== 0;
}

function statusOf({ statusOnError }: ExtAuthz, env: CompileEnv, path: string): number {
  const status: number = statusOnError?.code ?? 403;
  if (status >= 200 && status < 600) return status;
  env.problems.push(error(`${path}.status_on_error.code`, `${status} is no status`, 'write 200 to 599'));
  return 403;
}
