// What the sidecar does with the fields of route configurations: the table for unsupported.ts. The
// routing compilers decide on values; here stands only which settings exist at all.
import type { MessageFields } from './unsupported.ts';

const NO_EFFECT_YET = 'has no effect yet';
const ALL: MessageFields = { supported: '*' };

export const ROUTE_FIELDS: Readonly<Record<string, MessageFields>> = {
  'envoy.config.route.v3.RouteConfiguration': {
    supported: `name virtual_hosts internal_only_headers response_headers_to_add response_headers_to_remove
      request_headers_to_add request_headers_to_remove most_specific_header_mutations_wins request_mirror_policies
      ignore_port_in_host_matching ignore_path_parameters_in_path_matching max_direct_response_body_size_bytes vhost_header metadata vhds validate_clusters`,
    opaque: 'typed_per_filter_config',
    refused: { cluster_specifier_plugins: 'write cluster or weighted_clusters' },
  },
  'envoy.config.route.v3.Vhds': { supported: 'config_source', required: 'config_source' },
  'envoy.config.route.v3.VirtualHost': {
    supported: `name domains routes require_tls request_headers_to_add request_headers_to_remove response_headers_to_add
      response_headers_to_remove include_request_attempt_count include_attempt_count_in_response
      request_mirror_policies metadata retry_policy retry_policy_typed_config hedge_policy include_is_timeout_retry_header
      per_request_buffer_limit_bytes request_body_buffer_limit rate_limits cors`,
    opaque: 'typed_per_filter_config',
    required: 'name domains',
    harmless: {
      virtual_clusters: NO_EFFECT_YET,
    },
    refused: { matcher: 'write routes' },
  },
  'envoy.config.route.v3.Route': {
    supported: `name match route redirect direct_response metadata decorator request_headers_to_add
      request_headers_to_remove response_headers_to_add response_headers_to_remove tracing stat_prefix
      non_forwarding_action per_request_buffer_limit_bytes request_body_buffer_limit`,
    opaque: 'typed_per_filter_config',
    required: 'match',
    refused: { filter_action: 'write route, redirect or direct_response' },
  },
  'envoy.config.route.v3.RetryPolicy': {
    supported: `retry_on num_retries per_try_timeout per_try_idle_timeout retry_priority retry_host_predicate
      host_selection_retry_max_attempts retriable_status_codes retry_back_off rate_limited_retry_back_off
      retriable_headers retriable_request_headers`,
    refused: { retry_options_predicates: 'remove them: there are none of that kind' },
  },
  'envoy.config.route.v3.RetryPolicy.RetryPriority': ALL,
  'envoy.config.route.v3.RetryPolicy.RetryHostPredicate': ALL,
  'envoy.config.route.v3.RetryPolicy.RetryBackOff': ALL,
  'envoy.config.route.v3.RetryPolicy.RateLimitedRetryBackOff': ALL,
  'envoy.config.route.v3.RetryPolicy.ResetHeader': ALL,
  'envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate': ALL,
  'envoy.extensions.retry.host.omit_canary_hosts.v3.OmitCanaryHostsPredicate': ALL,
  'envoy.extensions.retry.host.omit_host_metadata.v3.OmitHostMetadataConfig': ALL,
  'envoy.extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig': ALL,
  'envoy.config.route.v3.HedgePolicy': {
    supported: 'hedge_on_per_try_timeout initial_requests additional_request_chance',
  },
  'envoy.config.route.v3.Decorator': ALL,
  'envoy.config.route.v3.Tracing': ALL,
  'envoy.config.route.v3.NonForwardingAction': ALL,
  'envoy.config.route.v3.RouteMatch': {
    supported: `prefix path safe_regex path_separated_prefix path_match_policy case_sensitive runtime_fraction headers
      query_parameters cookies grpc connect_matcher dynamic_metadata`,
    refused: {
      tls_context: 'TLS is not supported yet',
    },
  },
  'envoy.config.route.v3.RouteMatch.GrpcRouteMatchOptions': ALL,
  'envoy.type.matcher.v3.MetadataMatcher': ALL,
  'envoy.type.matcher.v3.MetadataMatcher.PathSegment': ALL,
  'envoy.type.matcher.v3.ValueMatcher': ALL,
  'envoy.type.matcher.v3.ValueMatcher.NullMatch': ALL,
  'envoy.type.matcher.v3.ListMatcher': ALL,
  'envoy.type.matcher.v3.OrMatcher': ALL,
  'envoy.type.matcher.v3.DoubleMatcher': ALL,
  'envoy.type.v3.DoubleRange': ALL,
  'envoy.config.core.v3.RuntimeFractionalPercent': ALL,
  'envoy.config.route.v3.HeaderMatcher': { supported: '*', required: 'name' },
  'envoy.config.route.v3.CookieMatcher': { supported: '*', required: 'name string_match' },
  'envoy.config.route.v3.QueryParameterMatcher': { supported: '*', required: 'name' },
  'envoy.config.route.v3.RouteAction': {
    supported: `cluster cluster_header weighted_clusters metadata_match cluster_not_found_response_code prefix_rewrite regex_rewrite
      path_rewrite_policy path_rewrite host_rewrite_literal host_rewrite auto_host_rewrite host_rewrite_header host_rewrite_path_regex
      append_x_forwarded_host timeout idle_timeout retry_policy retry_policy_typed_config hedge_policy request_mirror_policies max_stream_duration upgrade_configs
      max_grpc_timeout grpc_timeout_offset priority hash_policy rate_limits include_vh_rate_limits cors`,
    harmless: {
      early_data_policy: 'has no effect without TLS',
    },
    refused: {
      cluster_specifier_plugin: 'write cluster or weighted_clusters',
      inline_cluster_specifier_plugin: 'write cluster or weighted_clusters',
      internal_redirect_policy: 'redirects are passed to the client',
      internal_redirect_action: 'redirects are passed to the client',
    },
  },
  'envoy.config.route.v3.RouteAction.HashPolicy': {
    supported: 'header cookie connection_properties query_parameter terminal',
    refused: { filter_state: 'hash a header or a cookie' },
  },
  'envoy.config.route.v3.RouteAction.HashPolicy.Header': ALL,
  'envoy.config.route.v3.RouteAction.HashPolicy.Cookie': ALL,
  'envoy.config.route.v3.RouteAction.HashPolicy.CookieAttribute': ALL,
  'envoy.config.route.v3.RouteAction.HashPolicy.ConnectionProperties': ALL,
  'envoy.config.route.v3.RouteAction.HashPolicy.QueryParameter': ALL,
  'envoy.config.route.v3.RouteMatch.ConnectMatcher': ALL,
  'envoy.config.route.v3.RouteAction.UpgradeConfig': ALL,
  'envoy.config.route.v3.RouteAction.UpgradeConfig.ConnectConfig': {
    supported: '',
    refused: {
      proxy_protocol_config: 'a PROXY header before the tunnel is not supported',
      allow_post: 'only CONNECT opens a tunnel',
    },
  },
  'envoy.config.route.v3.RouteAction.MaxStreamDuration': {
    supported: 'max_stream_duration grpc_timeout_header_max grpc_timeout_header_offset',
  },
  'envoy.config.route.v3.RouteAction.RequestMirrorPolicy': {
    supported: 'cluster runtime_fraction disable_shadow_host_suffix_append host_rewrite_literal',
    harmless: { trace_sampled: NO_EFFECT_YET },
    refused: {
      cluster_header: 'write cluster',
    },
  },
  'envoy.config.route.v3.WeightedCluster': {
    supported: 'clusters total_weight runtime_key_prefix header_name use_hash_policy',
  },
  'envoy.config.route.v3.WeightedCluster.ClusterWeight': {
    supported: `name cluster_header weight request_headers_to_add request_headers_to_remove response_headers_to_add
      response_headers_to_remove host_rewrite_literal metadata_match`,
    opaque: 'typed_per_filter_config',
  },
  'envoy.config.route.v3.RedirectAction': ALL,
  'envoy.config.route.v3.DirectResponseAction': { supported: 'status body body_format', required: 'status' },
  'envoy.config.core.v3.HeaderValueOption': ALL,
  'envoy.config.core.v3.HeaderValue': { supported: '*', required: 'key' },
  'envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig': ALL,
  'envoy.extensions.path.rewrite.uri_template.v3.UriTemplateRewriteConfig': ALL,
};
