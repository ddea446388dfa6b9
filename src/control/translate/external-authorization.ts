// The filters that ask an extension provider about a request or a connection, for AuthorizationPolicies of action CUSTOM. It asks only
// where the rules of these policies hold, which the shadow RBAC before it has found out (authorization.ts). A
// provider that is not there, or whose service is not, makes no filter: whoever needs it must deny.
// Source: istio pilot/pkg/security/authz/builder/extauthz.go.
import { create, fromJson } from '@bufbuild/protobuf';
import type { Duration } from '@bufbuild/protobuf/wkt';
import type { Problem } from '../../base/problem.ts';
import type { AuthorizationProvider } from '../../config/external-authorization.ts';
import { FilterSchema, type Filter } from '../../xds/gen/envoy/config/listener/v3/listener_components_pb.js';
import { GrpcServiceSchema, type GrpcService } from '../../xds/gen/envoy/config/core/v3/grpc_service_pb.js';
import { ApiVersion } from '../../xds/gen/envoy/config/core/v3/config_source_pb.js';
import { HeaderValueSchema } from '../../xds/gen/envoy/config/core/v3/base_pb.js';
import {
  ExtAuthzSchema,
  HttpServiceSchema,
  type ExtAuthz,
} from '../../xds/gen/envoy/extensions/filters/http/ext_authz/v3/ext_authz_pb.js';
import { ExtAuthzSchema as NetworkExtAuthzSchema } from '../../xds/gen/envoy/extensions/filters/network/ext_authz/v3/ext_authz_pb.js';
import {
  HttpFilterSchema,
  type HttpFilter,
} from '../../xds/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js';
import { MetadataMatcherSchema, type MetadataMatcher } from '../../xds/gen/envoy/type/matcher/v3/metadata_pb.js';
import {
  ListStringMatcherSchema,
  StringMatcherSchema,
  type ListStringMatcher,
  type StringMatcher,
} from '../../xds/gen/envoy/type/matcher/v3/string_pb.js';
import { RegexMatcherSchema } from '../../xds/gen/envoy/type/matcher/v3/regex_pb.js';
import { HttpStatusSchema } from '../../xds/gen/envoy/type/v3/http_status_pb.js';
import { ValueMatcherSchema } from '../../xds/gen/envoy/type/matcher/v3/value_pb.js';
import type { Snapshot } from '../snapshot.ts';
import { EXT_AUTHZ_KEY, extAuthzName, HTTP_RBAC, NETWORK_RBAC } from './authorization.ts';
import { duration, pack } from './proto.ts';
import { providerCluster } from './provider-cluster.ts';

const NAME = 'envoy.filters.http.ext_authz';
const NETWORK_NAME = 'envoy.filters.network.ext_authz';
const NETWORK_STAT_PREFIX = 'tcp';
const TIMEOUT_MS = 600_000;
const FORBIDDEN = 403;
const EVERY_NAME = create(RegexMatcherSchema, { regex: '.*' });

/** Null when there is no such provider, or no such service. */
export function externalAuthorization(snapshot: Snapshot, provider: string): HttpFilter | null {
  const found = snapshot.mesh.providers.find(({ name }) => name === provider);
  if (found?.kind !== 'authorization') return null;
  const cluster = providerCluster(found, snapshot);
  if (cluster === null) return null;
  const value = pack(ExtAuthzSchema, extAuthz(found, cluster));
  return create(HttpFilterSchema, { name: NAME, configType: { case: 'typedConfig', value } });
}

/** The filter that asks about connections; null also for a provider that is asked over HTTP, and so about requests alone. */
export function externalNetworkAuthorization(snapshot: Snapshot, provider: string): Filter | null {
  const found = snapshot.mesh.providers.find(({ name }) => name === provider);
  if (found?.kind !== 'authorization') return null;
  const cluster = providerCluster(found, snapshot);
  if (cluster === null || found.protocol !== 'grpc') return null;
  const config = create(NetworkExtAuthzSchema, {
    statPrefix: NETWORK_STAT_PREFIX,
    grpcService: grpcServiceOf(found, cluster),
    failureModeAllow: found.isFailOpen,
    transportApiVersion: ApiVersion.V3,
    filterEnabledMetadata: gateMatcher(NETWORK_RBAC, provider),
  });
  const value = pack(NetworkExtAuthzSchema, config);
  return create(FilterSchema, { name: NETWORK_NAME, configType: { case: 'typedConfig', value } });
}

/** The names of those providers that can be asked about connections: they speak gRPC. */
export function connectionProviders(snapshot: Snapshot): ReadonlySet<string> {
  const { providers } = snapshot.mesh;
  return new Set(
    providers.flatMap((one) => (one.kind === 'authorization' && one.protocol === 'grpc' ? [one.name] : [])),
  );
}

/** The names of providers that decide for CUSTOM policies. */
export function authorizationProviders(snapshot: Snapshot): ReadonlySet<string> {
  return new Set(snapshot.mesh.providers.flatMap(({ kind, name }) => (kind === 'authorization' ? [name] : [])));
}

/** Providers that policies name and whose service is not known. */
export function checkExternalAuthorization(snapshot: Snapshot): readonly Problem[] {
  const { mesh, authorizationPolicies } = snapshot;
  return authorizationPolicies.flatMap(({ spec, source }) => {
    const provider = spec.action === 'CUSTOM' ? mesh.providers.find(({ name }) => name === spec.provider) : undefined;
    if (provider?.kind !== 'authorization' || providerCluster(provider, snapshot) !== null) return [];
    const path = 'spec.provider.name';
    const message = `the service of ${provider.name} is not known, or has no such port; what it should decide is denied`;
    const remedy = 'add a Service or ServiceEntry for it';
    return [{ severity: 'warning', path, message, remedy, place: source.locate(path) }];
  });
}

/** Clusters of providers that are asked over gRPC: they are HTTP/2. */
export function authorizationClusters(snapshot: Snapshot): readonly string[] {
  return snapshot.mesh.providers.flatMap((provider) => {
    if (provider.kind !== 'authorization' || provider.protocol !== 'grpc') return [];
    const cluster = providerCluster(provider, snapshot);
    return cluster === null ? [] : [cluster];
  });
}

function extAuthz(provider: AuthorizationProvider, cluster: string): ExtAuthz {
  const { body, statusOnError, requestHeaders } = provider;
  return create(ExtAuthzSchema, {
    services: serviceOf(provider, cluster),
    transportApiVersion: ApiVersion.V3,
    failureModeAllow: provider.isFailOpen,
    clearRouteCache: provider.clearsRouteCache,
    statusOnError: fromJson(HttpStatusSchema, { code: statusOnError ?? FORBIDDEN }),
    filterEnabledMetadata: gateMatcher(HTTP_RBAC, provider.name),
    ...(requestHeaders.length === 0 ? {} : { allowedHeaders: names(requestHeaders) }),
    ...(body === null
      ? {}
      : {
          withRequestBody: {
            maxRequestBytes: body.bytesMax,
            allowPartialMessage: body.allowsPartial,
            packAsBytes: body.packsAsBytes,
          },
        }),
  });
}

function serviceOf(provider: AuthorizationProvider, cluster: string): ExtAuthz['services'] {
  if (provider.protocol === 'grpc') return { case: 'grpcService', value: grpcServiceOf(provider, cluster) };
  const headersToAdd = [...provider.additionalHeaders]
    .toSorted(([one], [two]) => (one < two ? -1 : 1))
    .map(([key, value]) => create(HeaderValueSchema, { key, value: value.replaceAll('%', '%%') }));
  const value = create(HttpServiceSchema, {
    serverUri: {
      uri: `http://${hostOf(provider)}`,
      httpUpstreamType: { case: 'cluster', value: cluster },
      timeout: timeoutOf(provider),
    },
    pathPrefix: provider.pathPrefix,
    ...(headersToAdd.length === 0 ? {} : { authorizationRequest: { headersToAdd } }),
  });
  const { toUpstreamOnAllow, toDownstreamOnAllow, toDownstreamOnDeny } = provider;
  if (toUpstreamOnAllow.length + toDownstreamOnAllow.length + toDownstreamOnDeny.length > 0) {
    value.authorizationResponse = {
      $typeName: 'envoy.extensions.filters.http.ext_authz.v3.AuthorizationResponse',
      ...(toUpstreamOnAllow.length === 0 ? {} : { allowedUpstreamHeaders: names(toUpstreamOnAllow) }),
      ...(toDownstreamOnDeny.length === 0 ? {} : { allowedClientHeaders: names(toDownstreamOnDeny) }),
      ...(toDownstreamOnAllow.length === 0 ? {} : { allowedClientHeadersOnSuccess: names(toDownstreamOnAllow) }),
    };
  }
  return { case: 'httpService', value };
}

function grpcServiceOf(provider: AuthorizationProvider, cluster: string): GrpcService {
  return create(GrpcServiceSchema, {
    targetSpecifier: {
      case: 'envoyGrpc',
      value: {
        $typeName: 'envoy.config.core.v3.GrpcService.EnvoyGrpc',
        clusterName: cluster,
        authority: hostOf(provider),
        skipEnvoyHeaders: false,
      },
    },
    timeout: timeoutOf(provider),
  });
}

function hostOf({ service }: AuthorizationProvider): string {
  return service.slice(service.indexOf('/') + 1);
}

function timeoutOf({ timeoutMs }: AuthorizationProvider): Duration {
  return duration(timeoutMs ?? TIMEOUT_MS);
}

function names(list: readonly string[]): ListStringMatcher {
  return create(ListStringMatcherSchema, { patterns: list.map(nameMatcher) });
}

function nameMatcher(name: string): StringMatcher {
  if (name === '*') return create(StringMatcherSchema, { matchPattern: { case: 'safeRegex', value: EVERY_NAME } });
  if (name.startsWith('*')) return literalMatcher({ case: 'suffix', value: name.slice(1) });
  if (name.endsWith('*')) return literalMatcher({ case: 'prefix', value: name.slice(0, -1) });
  return literalMatcher({ case: 'exact', value: name });
}

function literalMatcher(matchPattern: StringMatcher['matchPattern']): StringMatcher {
  return create(StringMatcherSchema, { matchPattern, ignoreCase: true });
}

/** Holds where the shadow rules of the provider did, as the RBAC filter of that name tells. */
function gateMatcher(filter: string, provider: string): MetadataMatcher {
  const starts = create(StringMatcherSchema, { matchPattern: { case: 'prefix', value: extAuthzName(provider) } });
  return create(MetadataMatcherSchema, {
    filter,
    path: [{ segment: { case: 'key', value: EXT_AUTHZ_KEY } }],
    value: create(ValueMatcherSchema, { matchPattern: { case: 'stringMatch', value: starts } }),
  });
}
