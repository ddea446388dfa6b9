// What the sidecar does with the fields of filters that ask other services or answer browsers: the table for
// unsupported.ts.
import type { MessageFields } from './unsupported.ts';

const NO_EFFECT_YET = 'has no effect yet';
const ALL: MessageFields = { supported: '*' };

export const POLICY_FIELDS: Readonly<Record<string, MessageFields>> = {
  'envoy.extensions.filters.http.ext_authz.v3.ExtAuthz': {
    supported: `grpc_service http_service transport_api_version failure_mode_allow failure_mode_allow_header_add with_request_body
      clear_route_cache status_on_error validate_mutations metadata_context_namespaces route_metadata_context_namespaces
      filter_enabled filter_enabled_metadata deny_at_disable include_peer_certificate stat_prefix
      allowed_headers disallowed_headers include_tls_session encode_raw_headers
      charge_cluster_response_stats decoder_header_mutation_rules enable_dynamic_metadata_ingestion`,
    harmless: {
      typed_metadata_context_namespaces: 'has no effect: there is no typed metadata',
      route_typed_metadata_context_namespaces: 'has no effect: there is no typed metadata',
      bootstrap_metadata_labels_key: NO_EFFECT_YET,
    },
    values: { transport_api_version: 'V3 AUTO' },
  },
  'envoy.extensions.filters.network.ext_authz.v3.ExtAuthz': {
    supported: `stat_prefix grpc_service failure_mode_allow include_peer_certificate transport_api_version
      filter_enabled_metadata include_tls_session`,
    required: 'stat_prefix',
    harmless: { bootstrap_metadata_labels_key: NO_EFFECT_YET },
    values: { transport_api_version: 'V3 AUTO' },
  },
  'envoy.extensions.filters.http.ext_authz.v3.BufferSettings': { supported: '*', required: 'max_request_bytes' },
  'envoy.extensions.filters.http.ext_authz.v3.HttpService': {
    supported: '*',
    required: 'server_uri',
  },
  'envoy.extensions.filters.http.ext_authz.v3.AuthorizationRequest': ALL,
  'envoy.extensions.filters.http.ext_authz.v3.AuthorizationResponse': ALL,
  'envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute': ALL,
  'envoy.extensions.filters.http.ext_authz.v3.CheckSettings': ALL,
  'envoy.config.common.mutation_rules.v3.HeaderMutationRules': ALL,
  'envoy.type.matcher.v3.ListStringMatcher': ALL,
  'envoy.type.v3.HttpStatus': ALL,
  'envoy.extensions.filters.http.on_demand.v3.OnDemand': {
    supported: '',
    refused: { odcds: 'leave it out: clusters come with the hosts that need them' },
  },
  'envoy.extensions.filters.http.cors.v3.Cors': ALL,
  'envoy.extensions.filters.http.cors.v3.CorsPolicy': ALL,
  'envoy.config.route.v3.CorsPolicy': {
    supported: `allow_origin_string_match allow_methods allow_headers expose_headers max_age allow_credentials
      filter_enabled shadow_enabled allow_private_network_access forward_not_matching_preflights`,
  },
};
