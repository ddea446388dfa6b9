// What the sidecar does with the fields of clusters, their protocols and their endpoints: the table for
// unsupported.ts. The cluster compilers decide on values; here stands only which settings exist at all.
import type { MessageFields } from './unsupported.ts';

const NO_EFFECT_YET = 'has no effect yet';
const KERNEL = 'has no effect: the kernel default is used';
const ALL: MessageFields = { supported: '*' };
export const CLUSTER_FIELDS: Readonly<Record<string, MessageFields>> = {
  'envoy.config.cluster.v3.Cluster': {
    supported: `health_checks ignore_health_on_host_removal
      name type eds_cluster_config connect_timeout lb_policy load_assignment max_requests_per_connection
      common_http_protocol_options http_protocol_options http2_protocol_options typed_extension_protocol_options
      dns_resolvers dns_resolution_config dns_refresh_rate respect_dns_ttl dns_lookup_family least_request_lb_config round_robin_lb_config ring_hash_lb_config maglev_lb_config common_lb_config
      cluster_type lb_subset_config
      transport_socket transport_socket_matches upstream_http_protocol_options metadata alt_stat_name original_dst_lb_config cleanup_interval upstream_bind_config dns_failure_refresh_rate outlier_detection load_balancing_policy circuit_breakers close_connections_on_host_health_failure`,
    required: 'name',
    harmless: {
      per_connection_buffer_limit_bytes: NO_EFFECT_YET,
      upstream_connection_options: KERNEL,
      use_tcp_for_dns_lookups: "has no effect: the system's resolver is used",
      typed_dns_resolver_config: "has no effect: the system's resolver is used",
      wait_for_warm_on_init: NO_EFFECT_YET,
      lrs_server: NO_EFFECT_YET,
      lrs_report_endpoint_metrics: NO_EFFECT_YET,
      track_timeout_budgets: NO_EFFECT_YET,
      track_cluster_stats: NO_EFFECT_YET,
      preconnect_policy: NO_EFFECT_YET,
      filters: NO_EFFECT_YET,
    },
    refused: {
      protocol_selection: 'write typed_extension_protocol_options',
    },
    values: {
      type: 'STATIC STRICT_DNS LOGICAL_DNS EDS ORIGINAL_DST',
      lb_policy: 'ROUND_ROBIN LEAST_REQUEST RANDOM RING_HASH MAGLEV CLUSTER_PROVIDED LOAD_BALANCING_POLICY_CONFIG',
    },
  },
  'envoy.config.cluster.v3.CircuitBreakers': ALL,
  'envoy.config.cluster.v3.CircuitBreakers.Thresholds': ALL,
  'envoy.config.cluster.v3.CircuitBreakers.Thresholds.RetryBudget': ALL,
  'envoy.config.cluster.v3.Cluster.OriginalDstLbConfig': {
    supported: 'use_http_header http_header_name upstream_port_override',
    refused: { metadata_key: 'write use_http_header' },
  },
  'envoy.config.core.v3.BindConfig': {
    supported: 'source_address extra_source_addresses additional_source_addresses',
    harmless: { socket_options: KERNEL },
    refused: { freebind: 'write an address of this host', local_address_selector: 'write extra_source_addresses' },
  },
  'envoy.config.core.v3.ExtraSourceAddress': { supported: 'address', harmless: { socket_options: KERNEL } },
  'envoy.config.cluster.v3.Cluster.EdsClusterConfig': ALL,
  'envoy.config.cluster.v3.OutlierDetection': ALL,
  'envoy.config.cluster.v3.Cluster.RefreshRate': ALL,
  'envoy.config.cluster.v3.Cluster.TransportSocketMatch': ALL,
  'envoy.config.cluster.v3.Cluster.LeastRequestLbConfig': ALL,
  'envoy.config.cluster.v3.Cluster.RoundRobinLbConfig': ALL,
  'envoy.config.cluster.v3.Cluster.RingHashLbConfig': ALL,
  'envoy.config.cluster.v3.Cluster.MaglevLbConfig': ALL,
  'envoy.config.cluster.v3.Cluster.SlowStartConfig': ALL,
  'envoy.config.cluster.v3.Cluster.CommonLbConfig.ConsistentHashingLbConfig': ALL,
  'envoy.config.cluster.v3.Cluster.CommonLbConfig': {
    supported:
      'ignore_new_hosts_until_first_hc healthy_panic_threshold locality_weighted_lb_config zone_aware_lb_config override_host_status consistent_hashing_lb_config',
    harmless: {
      update_merge_window: NO_EFFECT_YET,
      close_connections_on_host_set_change: NO_EFFECT_YET,
    },
  },
  'envoy.config.cluster.v3.Cluster.CommonLbConfig.LocalityWeightedLbConfig': ALL,
  'envoy.config.cluster.v3.LoadBalancingPolicy': ALL,
  'envoy.config.cluster.v3.LoadBalancingPolicy.Policy': ALL,
  'envoy.extensions.load_balancing_policies.round_robin.v3.RoundRobin': ALL,
  'envoy.extensions.load_balancing_policies.least_request.v3.LeastRequest': {
    supported:
      'choice_count active_request_bias locality_lb_config selection_method enable_full_scan slow_start_config',
  },
  'envoy.extensions.load_balancing_policies.random.v3.Random': {
    supported: 'locality_lb_config',
  },
  'envoy.extensions.load_balancing_policies.wrr_locality.v3.WrrLocality': ALL,
  'envoy.extensions.load_balancing_policies.ring_hash.v3.RingHash': {
    supported: `hash_function minimum_ring_size maximum_ring_size use_hostname_for_hashing hash_balance_factor
      consistent_hashing_lb_config locality_weighted_lb_config`,
  },
  'envoy.extensions.load_balancing_policies.maglev.v3.Maglev': ALL,
  'envoy.extensions.load_balancing_policies.common.v3.ConsistentHashingLbConfig': {
    supported: 'use_hostname_for_hashing hash_balance_factor',
  },
  'envoy.extensions.load_balancing_policies.common.v3.SlowStartConfig': ALL,
  'envoy.extensions.load_balancing_policies.pick_first.v3.PickFirst': {
    supported: '',
    harmless: { shuffle_address_list: 'has no effect: the first endpoint of the list is used' },
  },
  'envoy.extensions.load_balancing_policies.common.v3.LocalityLbConfig': ALL,
  'envoy.extensions.load_balancing_policies.common.v3.LocalityLbConfig.LocalityWeightedLbConfig': ALL,
  'envoy.extensions.load_balancing_policies.common.v3.LocalityLbConfig.ZoneAwareLbConfig': ALL,
  'envoy.config.cluster.v3.Cluster.CommonLbConfig.ZoneAwareLbConfig': ALL,
  'envoy.config.cluster.v3.Cluster.LbSubsetConfig': ALL,
  'envoy.config.cluster.v3.Cluster.LbSubsetConfig.LbSubsetSelector': ALL,
  'envoy.config.core.v3.HealthStatusSet': ALL,
  'envoy.config.cluster.v3.Cluster.CustomClusterType': ALL,
  'envoy.extensions.clusters.aggregate.v3.ClusterConfig': ALL,
  'envoy.config.core.v3.TypedExtensionConfig': ALL,
  'envoy.config.core.v3.DnsResolutionConfig': ALL,
  'envoy.config.core.v3.DnsResolverOptions': ALL,
  'envoy.config.core.v3.RuntimeDouble': ALL,
  'envoy.config.core.v3.UpstreamHttpProtocolOptions': {
    supported: 'auto_sni auto_san_validation',
    refused: { override_auto_sni_header: 'the server name is the host of the request: remove it' },
  },
  'envoy.extensions.transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport': {
    supported: 'config transport_socket',
    required: 'transport_socket',
  },
  'envoy.config.core.v3.ProxyProtocolConfig': {
    supported: 'version',
    harmless: { pass_through_tlvs: 'has no effect yet: a PROXY header is sent without further values' },
  },
  'envoy.config.endpoint.v3.ClusterLoadAssignment': {
    supported: 'cluster_name endpoints policy',
    harmless: { named_endpoints: NO_EFFECT_YET },
  },
  'envoy.config.endpoint.v3.ClusterLoadAssignment.Policy': {
    supported: 'drop_overloads overprovisioning_factor weighted_priority_health',
    harmless: { endpoint_stale_after: NO_EFFECT_YET },
  },
  'envoy.config.endpoint.v3.ClusterLoadAssignment.Policy.DropOverload': ALL,
  'envoy.config.endpoint.v3.LocalityLbEndpoints': {
    supported: 'locality lb_endpoints load_balancing_weight priority metadata load_balancer_endpoints',
    harmless: { proximity: NO_EFFECT_YET },
    refused: { leds_cluster_locality_config: 'write lb_endpoints' },
  },
  'envoy.config.endpoint.v3.LocalityLbEndpoints.LbEndpointList': ALL,
  'envoy.config.endpoint.v3.LbEndpoint': {
    supported: 'endpoint health_status metadata load_balancing_weight',
    refused: { endpoint_name: 'write endpoint' },
  },
  'envoy.config.endpoint.v3.Endpoint.HealthCheckConfig': ALL,
  'envoy.config.endpoint.v3.Endpoint': {
    supported: 'address hostname health_check_config',
    required: 'address',
    harmless: { additional_addresses: NO_EFFECT_YET },
  },
  'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
    supported: `common_http_protocol_options explicit_http_config use_downstream_protocol_config
      upstream_http_protocol_options`,
    harmless: {
      header_validation_config: 'has no effect: headers are always validated',
    },
    refused: {
      auto_config: 'write explicit_http_config with http_protocol_options',
      http_filters: 'write http_filters in the connection manager',
    },
  },
  'envoy.extensions.upstreams.http.v3.HttpProtocolOptions.ExplicitHttpConfig': {
    supported: 'http_protocol_options http2_protocol_options',
    refused: { http3_protocol_options: 'HTTP/3 is not supported' },
  },
  'envoy.extensions.upstreams.http.v3.HttpProtocolOptions.UseDownstreamHttpConfig': {
    supported: 'http_protocol_options',
    harmless: {
      http2_protocol_options: 'has no effect: HTTP/1.1 is spoken',
      http3_protocol_options: 'has no effect: HTTP/1.1 is spoken',
    },
  },
};
