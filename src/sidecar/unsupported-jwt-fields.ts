// What the JWT filter does not do, field by field. See unsupported.ts.
import type { MessageFields } from './unsupported.ts';

const ALL: MessageFields = { supported: '*' };
const NAMESPACE = 'envoy.extensions.filters.http.jwt_authn.v3';

export const JWT_FIELDS: Readonly<Record<string, MessageFields>> = {
  [`${NAMESPACE}.JwtAuthentication`]: {
    supported: 'providers rules bypass_cors_preflight requirement_map strip_failure_response',
    refused: { filter_state_rules: 'nothing here writes filter state: write rules' },
  },
  [`${NAMESPACE}.PerRouteConfig`]: ALL,
  [`${NAMESPACE}.RequirementRule`]: ALL,
  [`${NAMESPACE}.JwtRequirement`]: ALL,
  [`${NAMESPACE}.JwtRequirementOrList`]: ALL,
  [`${NAMESPACE}.JwtRequirementAndList`]: ALL,
  [`${NAMESPACE}.ProviderWithAudiences`]: ALL,
  [`${NAMESPACE}.JwtProvider`]: {
    supported: `issuer audiences subjects require_expiration max_lifetime remote_jwks local_jwks forward from_headers
      from_params from_cookies forward_payload_header pad_forward_payload_header payload_in_metadata
      normalize_payload_in_metadata header_in_metadata failed_status_in_metadata clock_skew_seconds jwt_cache_config
      claim_to_headers clear_route_cache`,
  },
  [`${NAMESPACE}.JwtProvider.NormalizePayload`]: ALL,
  [`${NAMESPACE}.JwtHeader`]: { supported: '*', required: 'name' },
  [`${NAMESPACE}.JwtClaimToHeader`]: { supported: '*', required: 'header_name claim_name' },
  [`${NAMESPACE}.JwtCacheConfig`]: ALL,
  [`${NAMESPACE}.RemoteJwks`]: { supported: '*', required: 'http_uri' },
  [`${NAMESPACE}.JwksAsyncFetch`]: ALL,
  'google.protobuf.Empty': ALL,
  'envoy.config.core.v3.RetryPolicy': {
    supported: 'retry_back_off num_retries',
    harmless: {
      retry_on: 'has no effect: every failure is tried again',
      retry_priority: 'has no effect',
      retry_host_predicate: 'has no effect',
      host_selection_retry_max_attempts: 'has no effect',
    },
  },
  'envoy.config.core.v3.BackoffStrategy': ALL,
};
