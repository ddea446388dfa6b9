// Compiles which service an ext_authz filter asks, and how: over HTTP (server_uri) or gRPC (envoy_grpc).
import type { Duration } from '@bufbuild/protobuf/wkt';
import { error } from '../base/problem.ts';
import { compileFormat, type Format } from '../plan/format.ts';
import type { CompileEnv } from '../plan/plan.ts';
import type { HeaderValue } from '../xds/gen/envoy/config/core/v3/base_pb.js';
import type { GrpcService } from '../xds/gen/envoy/config/core/v3/grpc_service_pb.js';
import type { ExtAuthz, HttpService } from '../xds/gen/envoy/extensions/filters/http/ext_authz/v3/ext_authz_pb.js';
import type { ListStringMatcher } from '../xds/gen/envoy/type/matcher/v3/string_pb.js';
import type { AuthzGrpcService, AuthzHttpService, NamePredicate } from './ext-authz-settings.ts';
import { anyName, compileNames } from './name-list.ts';

const TIMEOUT_MS = 200;

/** Null after reporting why the service is refused. */
export function compileAuthzService(
  { services }: ExtAuthz,
  env: CompileEnv,
  path: string,
): AuthzHttpService | AuthzGrpcService | null {
  if (services.case === 'httpService') return compileHttp(services.value, env, `${path}.http_service`);
  if (services.case === 'grpcService') return compileAuthzGrpc(services.value, env, `${path}.grpc_service`);
  env.problems.push(error(path, 'names no service', 'write http_service or grpc_service'));
  return null;
}

/** Null after reporting why the service is refused. */
export function compileAuthzGrpc(
  { targetSpecifier, timeout, initialMetadata }: GrpcService,
  env: CompileEnv,
  path: string,
): AuthzGrpcService | null {
  if (targetSpecifier.case !== 'envoyGrpc') {
    env.problems.push(error(path, 'names no cluster', 'write envoy_grpc with cluster_name'));
    return null;
  }
  const { clusterName, authority } = targetSpecifier.value;
  return {
    kind: 'grpc',
    cluster: clusterName,
    timeoutMs: milliseconds(timeout),
    authority: authority === '' ? undefined : authority,
    initialMetadata: compileFields(initialMetadata, env, `${path}.initial_metadata`),
  };
}

function compileHttp(config: HttpService, env: CompileEnv, path: string): AuthzHttpService | null {
  const { serverUri, pathPrefix, authorizationRequest, authorizationResponse: answer } = config;
  const cluster = serverUri?.httpUpstreamType.case === 'cluster' ? serverUri.httpUpstreamType.value : '';
  if (cluster === '') {
    env.problems.push(error(`${path}.server_uri.cluster`, 'must be set', 'name the cluster of the service'));
    return null;
  }
  if (pathPrefix !== '' && !pathPrefix.startsWith('/')) {
    env.problems.push(error(`${path}.path_prefix`, 'does not begin with a slash', `write /${pathPrefix}`));
    return null;
  }
  const at = `${path}.authorization_response`;
  const names = (list: ListStringMatcher | undefined, name: string): NamePredicate =>
    compileNames(list, env.problems, `${at}.${name}`) ?? nothing;
  return {
    kind: 'http',
    cluster,
    timeoutMs: milliseconds(serverUri?.timeout),
    pathPrefix,
    headersToAdd: compileFields(
      authorizationRequest?.headersToAdd ?? [],
      env,
      `${path}.authorization_request.headers_to_add`,
    ),
    upstreamSet: names(answer?.allowedUpstreamHeaders, 'allowed_upstream_headers'),
    upstreamAppend: names(answer?.allowedUpstreamHeadersToAppend, 'allowed_upstream_headers_to_append'),
    clientOnDeny: clientNames(answer?.allowedClientHeaders, env, `${at}.allowed_client_headers`),
    clientOnAllow: names(answer?.allowedClientHeadersOnSuccess, 'allowed_client_headers_on_success'),
    metadata: names(answer?.dynamicMetadataFromHeaders, 'dynamic_metadata_from_headers'),
  };
}

/** Without a list everything passes; with one, what it names and what a client cannot do without. */
function clientNames(list: ListStringMatcher | undefined, env: CompileEnv, path: string): NamePredicate {
  if (list === undefined || list.patterns.length === 0) return (name) => name !== 'host';
  return anyName(['content-length', 'www-authenticate', 'location'], compileNames(list, env.problems, path));
}

function compileFields(
  fields: readonly HeaderValue[],
  env: CompileEnv,
  path: string,
): readonly { readonly name: string; readonly value: Format }[] {
  return fields.flatMap(({ key, value }, i) => {
    const format = compileFormat(value, env.problems, `${path}[${i}].value`, '');
    return format === null ? [] : [{ name: key.toLowerCase(), value: format }];
  });
}

function milliseconds(duration: Duration | undefined): number {
  if (duration === undefined) return TIMEOUT_MS;
  return Math.ceil(Number(duration.seconds) * 1000 + duration.nanos / 1_000_000);
}

function nothing(): boolean {
  return false;
}
