// What the sidecar does with the fields of bootstraps, listeners and managers: the tables
// that unsupported.ts walks by. Adding a feature means moving its field to `supported` here. The
// reason of a harmless field is a whole message: it says what is done instead.
import type { MessageFields } from './unsupported.ts';

const NO_EFFECT_YET = 'has no effect yet';
const ONE_THREAD = 'has no effect: the sidecar runs one event loop';
const KERNEL = 'has no effect: the kernel default is used';
const ALL: MessageFields = { supported: '*' };

const BOOTSTRAP: Readonly<Record<string, MessageFields>> = {
  'envoy.config.bootstrap.v3.Bootstrap': {
    supported: 'node static_resources dynamic_resources cluster_manager layered_runtime admin default_regex_engine',
    // Its monitors are judged one by one where the limit of connections is compiled.
    opaque: 'overload_manager',
    harmless: {
      node_context_params: NO_EFFECT_YET,
      flags_path: NO_EFFECT_YET,
      stats_config: 'has no effect: statistics keep their own names',
      stats_flush_interval: 'has no effect: statistics are read when asked for',
      stats_flush_on_admin: 'has no effect: statistics are read when asked for',
      deferred_stat_options: NO_EFFECT_YET,
      watchdog: 'has no effect: there is no watchdog',
      watchdogs: 'has no effect: there is no watchdog',
      enable_dispatcher_stats: NO_EFFECT_YET,
      stats_server_version_override: NO_EFFECT_YET,
      use_tcp_for_dns_lookups: "has no effect: the system's resolver is used",
      dns_resolution_config: "has no effect: the system's resolver is used",
      typed_dns_resolver_config: "has no effect: the system's resolver is used",
      bootstrap_extensions: NO_EFFECT_YET,
      fatal_actions: NO_EFFECT_YET,
      default_socket_interface: KERNEL,
      inline_headers: 'has no effect: headers need no declaration',
      perf_tracing_file_path: NO_EFFECT_YET,
      application_log_config: 'has no effect: logs are JSON lines',
      grpc_async_client_manager_config: NO_EFFECT_YET,
      memory_allocator_manager: 'has no effect: V8 manages memory',
      stats_sinks: 'has no effect: scrape /stats/prometheus',
    },
    refused: { tracing: 'write tracing.provider in the HTTP connection manager' },
  },
  'envoy.config.bootstrap.v3.Bootstrap.StaticResources': {
    supported: 'listeners clusters secrets',
  },
  'envoy.config.bootstrap.v3.Bootstrap.DynamicResources': {
    supported: 'lds_config cds_config ads_config',
    refused: { lds_resources_locator: 'write lds_config', cds_resources_locator: 'write cds_config' },
  },
  'envoy.config.bootstrap.v3.ClusterManager.OutlierDetection': {
    supported: 'event_log_path',
    harmless: { event_service: NO_EFFECT_YET },
  },
  'envoy.config.bootstrap.v3.ClusterManager': {
    supported: 'local_cluster_name upstream_bind_config outlier_detection',
    harmless: {
      load_stats_config: NO_EFFECT_YET,
      enable_deferred_cluster_creation: NO_EFFECT_YET,
    },
  },
  'envoy.config.bootstrap.v3.LayeredRuntime': ALL,
  'envoy.config.bootstrap.v3.RuntimeLayer': {
    supported: 'name static_layer admin_layer',
    required: 'name',
    harmless: { disk_layer: 'has no effect: only static layers are read' },
    refused: { rtds_layer: 'write a static_layer' },
  },
  'envoy.config.bootstrap.v3.RuntimeLayer.AdminLayer': ALL,
  'envoy.config.bootstrap.v3.Admin': {
    supported: 'address',
    harmless: {
      access_log: 'has no effect: requests to the admin port are not logged',
      access_log_path: 'has no effect: requests to the admin port are not logged',
      profile_path: NO_EFFECT_YET,
      socket_options: KERNEL,
      ignore_global_conn_limit: NO_EFFECT_YET,
    },
  },
  'envoy.config.core.v3.Node': ALL,
  'envoy.config.core.v3.Locality': ALL,
  'envoy.config.core.v3.BuildVersion': ALL,
  'envoy.config.core.v3.Extension': ALL,
  'xds.core.v3.ContextParams': ALL,
  'envoy.config.core.v3.Metadata': { supported: 'filter_metadata', harmless: { typed_filter_metadata: NO_EFFECT_YET } },
  'envoy.config.core.v3.Address': {
    supported: 'socket_address pipe',
    refused: { envoy_internal_address: 'write a socket_address' },
  },
  'envoy.config.core.v3.SocketAddress': {
    supported: 'protocol address port_value',
    required: 'address',
    harmless: { ipv4_compat: KERNEL },
    refused: { named_port: 'write port_value', resolver_name: 'remove it' },
    values: { protocol: 'TCP' },
  },
  'envoy.config.core.v3.Pipe': { supported: 'path', required: 'path', harmless: { mode: KERNEL } },
  'envoy.config.core.v3.ConfigSource': {
    supported: 'ads self initial_fetch_timeout api_config_source path_config_source resource_api_version',
    refused: { path: 'files as a source are not supported: use ads' },
    values: { resource_api_version: 'V3 AUTO' },
  },
  'envoy.config.core.v3.PathConfigSource': { supported: 'path watched_directory', required: 'path' },
  'envoy.config.core.v3.AggregatedConfigSource': ALL,
  'envoy.config.core.v3.SelfConfigSource': ALL,
  'envoy.config.core.v3.ApiConfigSource': {
    supported: 'api_type grpc_services set_node_on_first_message_only transport_api_version request_timeout',
    harmless: { rate_limit_settings: NO_EFFECT_YET, refresh_delay: NO_EFFECT_YET },
    refused: { cluster_names: 'write grpc_services' },
    values: { transport_api_version: 'V3 AUTO', api_type: 'GRPC DELTA_GRPC AGGREGATED_GRPC AGGREGATED_DELTA_GRPC' },
  },
  'envoy.config.core.v3.GrpcService': {
    supported: 'envoy_grpc timeout initial_metadata',
    harmless: { retry_policy: NO_EFFECT_YET },
    refused: { google_grpc: 'write envoy_grpc with cluster_name' },
  },
  'envoy.config.core.v3.GrpcService.EnvoyGrpc': {
    supported: 'cluster_name authority',
    required: 'cluster_name',
    harmless: {
      retry_policy: NO_EFFECT_YET,
      max_receive_message_length: NO_EFFECT_YET,
      skip_envoy_headers: NO_EFFECT_YET,
    },
  },
};

const LISTENER: Readonly<Record<string, MessageFields>> = {
  'envoy.config.listener.v3.Listener': {
    supported: `name address filter_chains default_filter_chain per_connection_buffer_limit_bytes metadata
      traffic_direction listener_filters listener_filters_timeout continue_on_listener_filters_timeout use_original_dst
      bind_to_port stat_prefix access_log additional_addresses`,
    harmless: {
      drain_type: NO_EFFECT_YET,
      socket_options: KERNEL,
      tcp_fast_open_queue_length: KERNEL,
      connection_balance_config: ONE_THREAD,
      reuse_port: ONE_THREAD,
      enable_reuse_port: ONE_THREAD,
      tcp_backlog_size: KERNEL,
      max_connections_to_accept_per_socket_event: ONE_THREAD,
      enable_mptcp: KERNEL,
      ignore_global_conn_limit: NO_EFFECT_YET,
      bypass_overload_manager: NO_EFFECT_YET,
      freebind: KERNEL,
    },
    refused: {
      transparent: 'TPROXY is not supported: write use_original_dst and redirect with iptables',
      filter_chain_matcher: 'write filter_chains',
      udp_listener_config: 'UDP is not supported',
      api_listener: 'write an address',
      internal_listener: 'write an address',
      deprecated_v1: 'write bind_to_port',
    },
    values: { traffic_direction: 'UNSPECIFIED INBOUND OUTBOUND' },
  },
  'envoy.config.listener.v3.AdditionalAddress': { supported: 'address', harmless: { socket_options: KERNEL } },
  'envoy.config.listener.v3.ListenerFilter': {
    supported: 'name typed_config filter_disabled',
    required: 'name',
    refused: { config_discovery: 'write typed_config' },
  },
  'envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector': ALL,
  'envoy.extensions.filters.listener.http_inspector.v3.HttpInspector': ALL,
  'envoy.extensions.filters.listener.original_dst.v3.OriginalDst': ALL,
  'envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol': {
    supported: 'allow_requests_without_proxy_protocol disallowed_versions',
    harmless: {
      rules: 'has no effect: vectors of a PROXY header are not kept',
      pass_through_tlvs: 'has no effect: vectors of a PROXY header are not kept',
      stat_prefix: 'has no effect: PROXY headers are counted for all listeners together',
    },
  },
  'envoy.extensions.filters.network.connection_limit.v3.ConnectionLimit': {
    supported: '*',
    required: 'stat_prefix',
  },
  'envoy.config.core.v3.RuntimeFeatureFlag': ALL,
  'envoy.config.listener.v3.ListenerFilterChainMatchPredicate': ALL,
  'envoy.config.listener.v3.ListenerFilterChainMatchPredicate.MatchSet': ALL,
  'envoy.config.listener.v3.FilterChain': {
    supported: 'filters transport_socket transport_socket_connect_timeout name metadata filter_chain_match',
    harmless: { on_demand_configuration: NO_EFFECT_YET },
    refused: { use_proxy_proto: 'write the listener filter envoy.filters.listener.proxy_protocol' },
  },
  'envoy.config.listener.v3.FilterChainMatch': {
    supported: `destination_port prefix_ranges direct_source_prefix_ranges source_type source_prefix_ranges source_ports
      server_names transport_protocol application_protocols`,
    refused: { address_suffix: 'write prefix_ranges', suffix_len: 'write prefix_ranges' },
  },
  'envoy.config.core.v3.TransportSocket': { supported: 'name typed_config' },
  'envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer': ALL,
  'envoy.config.listener.v3.Filter': {
    supported: 'name typed_config',
    refused: { config_discovery: 'write typed_config' },
  },
  'envoy.type.v3.HashPolicy': {
    supported: 'source_ip',
    refused: { filter_state: 'write source_ip' },
  },
  'envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy': {
    supported: `stat_prefix cluster weighted_clusters idle_timeout max_connect_attempts access_log access_log_options
      access_log_flush_interval flush_access_log_on_connected max_downstream_connection_duration hash_policy`,
    required: 'stat_prefix',
    harmless: {
      downstream_idle_timeout: NO_EFFECT_YET,
      upstream_idle_timeout: NO_EFFECT_YET,
    },
    refused: {
      tunneling_config: 'tunnels are not supported',
      on_demand: 'write a cluster that is configured',
      metadata_match: 'subsets of endpoints are not supported: write a cluster of its own',
    },
  },
  'envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy.WeightedCluster': ALL,
  'envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy.WeightedCluster.ClusterWeight': {
    supported: 'name weight',
    required: 'name weight',
    refused: { metadata_match: 'subsets of endpoints are not supported: write a cluster of its own' },
  },
  'envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy.TcpAccessLogOptions': {
    supported: 'access_log_flush_interval flush_access_log_on_connected',
  },
  'envoy.config.core.v3.CidrRange': ALL,
};

const MANAGER: Readonly<Record<string, MessageFields>> = {
  'envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager': {
    supported: `codec_type stat_prefix rds route_config http_filters tracing common_http_protocol_options
      http_protocol_options server_name server_header_transformation max_request_headers_kb stream_idle_timeout
      request_timeout request_headers_timeout access_log use_remote_address xff_num_trusted_hops skip_xff_append via
      generate_request_id preserve_external_request_id always_set_request_id_in_response normalize_path merge_slashes
      path_with_escaped_slashes_action strip_matching_host_port strip_any_host_port strip_trailing_host_dot
      forward_client_cert_details access_log_options internal_address_config add_user_agent
      set_current_client_cert_details stream_error_on_invalid_http_message scheme_header_transformation
      upgrade_configs proxy_100_continue delayed_close_timeout drain_timeout`,
    required: 'stat_prefix',
    harmless: {
      http2_protocol_options: 'has no effect: HTTP/2 is not spoken on this listener yet',
      access_log_flush_interval: NO_EFFECT_YET,
      flush_access_log_on_new_request: NO_EFFECT_YET,
      request_id_extension: 'has no effect: request ids are UUIDs',
      proxy_status_config: NO_EFFECT_YET,
      append_local_overload: NO_EFFECT_YET,
      typed_header_validation_config: 'has no effect: headers are always validated',
      add_proxy_protocol_connection_state: NO_EFFECT_YET,
    },
    refused: {
      scoped_routes: 'write rds or route_config',
      http3_protocol_options: 'HTTP/3 is not supported',
      path_normalization_options: 'write normalize_path',
    },
    values: { codec_type: 'AUTO HTTP1' },
  },
  'envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.SetCurrentClientCertDetails': ALL,
  'envoy.config.core.v3.CidrRange': ALL,
  'envoy.config.core.v3.SchemeHeaderTransformation': {
    supported: 'scheme_to_overwrite',
    harmless: { match_upstream: NO_EFFECT_YET },
  },
  'envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.InternalAddressConfig': {
    supported: 'cidr_ranges',
    harmless: { unix_sockets: NO_EFFECT_YET },
  },
  'envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.HcmAccessLogOptions': {
    supported: '',
    harmless: {
      access_log_flush_interval: NO_EFFECT_YET,
      flush_access_log_on_new_request: NO_EFFECT_YET,
      flush_log_on_tunnel_successfully_established: NO_EFFECT_YET,
    },
  },
  'envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.UpgradeConfig': {
    supported: 'upgrade_type enabled',
    refused: { filters: 'the filters of the manager are used: leave it out' },
  },
  'envoy.extensions.filters.network.http_connection_manager.v3.Rds': {
    supported: 'config_source route_config_name',
    required: 'config_source route_config_name',
  },
  'envoy.extensions.filters.network.http_connection_manager.v3.HttpFilter': {
    supported: 'name typed_config is_optional disabled',
    required: 'name',
    refused: { config_discovery: 'write typed_config' },
  },
  'envoy.extensions.filters.http.router.v3.Router': {
    supported: 'suppress_envoy_headers respect_expected_rq_timeout',
    harmless: {
      dynamic_stats: NO_EFFECT_YET,
      start_child_span: 'has no effect: a client span is always made when a request is traced',
      upstream_log: NO_EFFECT_YET,
      upstream_log_options: NO_EFFECT_YET,
      strict_check_headers: NO_EFFECT_YET,
      suppress_grpc_request_failure_code_stats: NO_EFFECT_YET,
    },
    refused: { upstream_http_filters: 'write http_filters in the connection manager' },
  },
  'envoy.extensions.filters.http.grpc_stats.v3.FilterConfig': ALL,
  'envoy.extensions.filters.http.fault.v3.HTTPFault': {
    supported: `delay abort upstream_cluster headers downstream_nodes max_active_faults delay_percent_runtime
      abort_percent_runtime delay_duration_runtime abort_http_status_runtime max_active_faults_runtime
      response_rate_limit_percent_runtime abort_grpc_status_runtime disable_downstream_cluster_stats`,
    harmless: { filter_metadata: 'has no effect: nothing reads dynamic metadata' },
    refused: { response_rate_limit: 'write delay or abort' },
  },
  'envoy.extensions.filters.http.admission_control.v3.AdmissionControl': ALL,
  'envoy.extensions.filters.http.admission_control.v3.AdmissionControl.SuccessCriteria': ALL,
  'envoy.extensions.filters.http.admission_control.v3.AdmissionControl.SuccessCriteria.HttpCriteria': ALL,
  'envoy.extensions.filters.http.admission_control.v3.AdmissionControl.SuccessCriteria.GrpcCriteria': ALL,
  'envoy.extensions.filters.http.adaptive_concurrency.v3.AdaptiveConcurrency': ALL,
  'envoy.extensions.filters.http.adaptive_concurrency.v3.GradientControllerConfig': ALL,
  'envoy.extensions.filters.http.adaptive_concurrency.v3.GradientControllerConfig.ConcurrencyLimitCalculationParams':
    ALL,
  'envoy.extensions.filters.http.adaptive_concurrency.v3.GradientControllerConfig.MinimumRTTCalculationParams': ALL,
  'envoy.config.core.v3.RuntimePercent': ALL,
  // Their compiler judges every rule: one that is left out would change what the others say.
  'envoy.extensions.filters.http.rbac.v3.RBAC': {
    supported: 'rules_stat_prefix shadow_rules_stat_prefix track_per_rule_stats',
    opaque: 'rules shadow_rules',
    refused: { matcher: 'write rules', shadow_matcher: 'write shadow_rules' },
  },
  'envoy.extensions.filters.http.rbac.v3.RBACPerRoute': { supported: 'rbac' },
  'envoy.extensions.filters.network.rbac.v3.RBAC': {
    supported: 'stat_prefix shadow_rules_stat_prefix enforcement_type',
    opaque: 'rules shadow_rules',
    required: 'stat_prefix',
    refused: { matcher: 'write rules', shadow_matcher: 'write shadow_rules' },
  },
  'envoy.extensions.filters.http.stateful_session.v3.StatefulSession': ALL,
  'envoy.extensions.filters.http.stateful_session.v3.StatefulSessionPerRoute': ALL,
  'envoy.extensions.http.stateful_session.cookie.v3.CookieBasedSessionState': ALL,
  'envoy.extensions.http.stateful_session.header.v3.HeaderBasedSessionState': ALL,
  'envoy.extensions.filters.http.fault.v3.FaultAbort': ALL,
  'envoy.extensions.filters.http.fault.v3.FaultAbort.HeaderAbort': ALL,
  'envoy.extensions.filters.common.fault.v3.FaultDelay': ALL,
  'envoy.extensions.filters.common.fault.v3.FaultDelay.HeaderDelay': ALL,
  'envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.Tracing': {
    supported: `client_sampling random_sampling overall_sampling provider custom_tags spawn_upstream_span
      max_path_tag_length`,
    harmless: { verbose: NO_EFFECT_YET },
  },
  'envoy.config.trace.v3.Tracing.Http': { supported: 'name typed_config', required: 'name' },
  'envoy.config.trace.v3.OpenTelemetryConfig': {
    supported: 'grpc_service http_service service_name',
    harmless: { resource_detectors: NO_EFFECT_YET, sampler: NO_EFFECT_YET },
  },
  'envoy.config.core.v3.HttpService': {
    supported: 'http_uri request_headers_to_add',
  },
  'envoy.config.core.v3.HttpUri': ALL,
  'envoy.config.accesslog.v3.AccessLog': { supported: 'name typed_config filter' },
  'envoy.config.accesslog.v3.AccessLogFilter': ALL,
  'envoy.config.accesslog.v3.ComparisonFilter': ALL,
  'envoy.config.accesslog.v3.StatusCodeFilter': ALL,
  'envoy.config.accesslog.v3.DurationFilter': ALL,
  'envoy.config.accesslog.v3.NotHealthCheckFilter': ALL,
  'envoy.config.accesslog.v3.TraceableFilter': ALL,
  'envoy.config.accesslog.v3.RuntimeFilter': ALL,
  'envoy.config.accesslog.v3.AndFilter': ALL,
  'envoy.config.accesslog.v3.OrFilter': ALL,
  'envoy.config.accesslog.v3.HeaderFilter': ALL,
  'envoy.config.accesslog.v3.ResponseFlagFilter': ALL,
  'envoy.config.accesslog.v3.GrpcStatusFilter': ALL,
  'envoy.config.core.v3.RuntimeUInt32': ALL,
  'envoy.extensions.access_loggers.file.v3.FileAccessLog': { supported: '*', required: 'path' },
  'envoy.extensions.access_loggers.stream.v3.StdoutAccessLog': ALL,
  'envoy.extensions.access_loggers.stream.v3.StderrAccessLog': ALL,
  'envoy.config.core.v3.SubstitutionFormatString': {
    supported: 'text_format text_format_source json_format omit_empty_values content_type',
    harmless: { json_format_options: NO_EFFECT_YET },
    refused: { formatters: 'only the built-in commands are supported' },
  },
  'envoy.config.core.v3.DataSource': { supported: '*', harmless: { watched_directory: NO_EFFECT_YET } },
  'envoy.config.core.v3.HttpProtocolOptions': {
    supported: `idle_timeout max_connection_duration max_headers_count max_stream_duration max_requests_per_connection
      headers_with_underscores_action`,
  },
  // Only clusters of gRPC services may have these: compile.ts sees to it.
  'envoy.config.core.v3.Http2ProtocolOptions': ALL,
  'envoy.config.core.v3.KeepaliveSettings': ALL,
  'envoy.config.core.v3.Http2ProtocolOptions.SettingsParameter': ALL,
  'envoy.config.core.v3.Http1ProtocolOptions': {
    supported: `allow_absolute_url accept_http_10 default_host_for_http_10 allow_chunked_length
      override_stream_error_on_invalid_http_message enable_trailers`,
    harmless: {
      header_key_format: 'has no effect: header names keep the case they came in',
      use_balsa_parser: 'has no effect: there is one parser',
    },
  },
};

export const FIELDS: Readonly<Record<string, MessageFields>> = { ...BOOTSTRAP, ...LISTENER, ...MANAGER };
