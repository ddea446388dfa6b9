// What the sidecar does with the fields of rate limits, of the filters and of routes: a table for unsupported.ts. Values
// are judged by policy/*rate*-compile.ts.
import type { MessageFields } from './unsupported.ts';

const ALL: MessageFields = { supported: '*' };
const ROUTE = 'envoy.config.route.v3.RateLimit';

export const RATE_FIELDS: Readonly<Record<string, MessageFields>> = {
  [ROUTE]: { supported: '*', required: 'actions' },
  [`${ROUTE}.Action`]: {
    supported: `source_cluster destination_cluster request_headers remote_address generic_key header_value_match
      dynamic_metadata metadata masked_remote_address query_parameter_value_match`,
    refused: { extension: 'use another action' },
  },
  [`${ROUTE}.Action.SourceCluster`]: ALL,
  [`${ROUTE}.Action.DestinationCluster`]: ALL,
  [`${ROUTE}.Action.RequestHeaders`]: ALL,
  [`${ROUTE}.Action.RemoteAddress`]: ALL,
  [`${ROUTE}.Action.MaskedRemoteAddress`]: ALL,
  [`${ROUTE}.Action.GenericKey`]: ALL,
  [`${ROUTE}.Action.HeaderValueMatch`]: ALL,
  [`${ROUTE}.Action.DynamicMetaData`]: ALL,
  [`${ROUTE}.Action.MetaData`]: ALL,
  [`${ROUTE}.Action.QueryParameterValueMatch`]: ALL,
  [`${ROUTE}.Override`]: ALL,
  [`${ROUTE}.Override.DynamicMetadata`]: ALL,
  'envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit': ALL,
  'envoy.extensions.filters.http.ratelimit.v3.RateLimit': ALL,
  'envoy.extensions.filters.http.ratelimit.v3.RateLimitPerRoute': {
    supported: 'vh_rate_limits domain',
    values: { vh_rate_limits: 'OVERRIDE INCLUDE IGNORE' },
    refused: { rate_limits: 'write rate_limits of the route', override_option: 'write vh_rate_limits' },
  },
  'envoy.config.ratelimit.v3.RateLimitServiceConfig': {
    supported: 'grpc_service transport_api_version',
    required: 'grpc_service',
    values: { transport_api_version: 'AUTO V3' },
  },
  'envoy.extensions.common.ratelimit.v3.LocalRateLimitDescriptor': ALL,
  'envoy.extensions.common.ratelimit.v3.RateLimitDescriptor.Entry': ALL,
  'envoy.extensions.common.ratelimit.v3.LocalClusterRateLimit': ALL,
};
