// The extension types that may stand in an Any of a bootstrap or of a resource and that the sidecar
// can read. Every other type is "not supported", so the list stays as short as what we do: loading
// descriptors is most of the time that a sidecar takes to start.
import { createRegistry, type Registry } from '@bufbuild/protobuf';
import { EmptySchema, StructSchema } from '@bufbuild/protobuf/wkt';
import { FilterConfigSchema as RouteFilterConfigSchema } from '../xds/gen/envoy/config/route/v3/route_components_pb.js';
import { RetryPolicySchema } from '../xds/gen/envoy/config/route/v3/route_components_pb.js';
import { OpenTelemetryConfigSchema } from '../xds/gen/envoy/config/trace/v3/opentelemetry_pb.js';
import { FileAccessLogSchema } from '../xds/gen/envoy/extensions/access_loggers/file/v3/file_pb.js';
import {
  StderrAccessLogSchema,
  StdoutAccessLogSchema,
} from '../xds/gen/envoy/extensions/access_loggers/stream/v3/stream_pb.js';
import { ClusterConfigSchema as AggregateSchema } from '../xds/gen/envoy/extensions/clusters/aggregate/v3/cluster_pb.js';
import { AdaptiveConcurrencySchema } from '../xds/gen/envoy/extensions/filters/http/adaptive_concurrency/v3/adaptive_concurrency_pb.js';
import { AdmissionControlSchema } from '../xds/gen/envoy/extensions/filters/http/admission_control/v3/admission_control_pb.js';
import { CorsPolicySchema, CorsSchema } from '../xds/gen/envoy/extensions/filters/http/cors/v3/cors_pb.js';
import {
  ExtAuthzPerRouteSchema,
  ExtAuthzSchema,
} from '../xds/gen/envoy/extensions/filters/http/ext_authz/v3/ext_authz_pb.js';
import { HTTPFaultSchema } from '../xds/gen/envoy/extensions/filters/http/fault/v3/fault_pb.js';
import { LocalRateLimitSchema } from '../xds/gen/envoy/extensions/filters/http/local_ratelimit/v3/local_rate_limit_pb.js';
import {
  JwtAuthenticationSchema,
  PerRouteConfigSchema as JwtPerRouteSchema,
} from '../xds/gen/envoy/extensions/filters/http/jwt_authn/v3/config_pb.js';
import {
  RateLimitPerRouteSchema,
  RateLimitSchema,
} from '../xds/gen/envoy/extensions/filters/http/ratelimit/v3/rate_limit_pb.js';
import { FilterConfigSchema as GrpcStatsSchema } from '../xds/gen/envoy/extensions/filters/http/grpc_stats/v3/config_pb.js';
import { OnDemandSchema } from '../xds/gen/envoy/extensions/filters/http/on_demand/v3/on_demand_pb.js';
import { RBACPerRouteSchema, RBACSchema } from '../xds/gen/envoy/extensions/filters/http/rbac/v3/rbac_pb.js';
import { RouterSchema } from '../xds/gen/envoy/extensions/filters/http/router/v3/router_pb.js';
import {
  StatefulSessionPerRouteSchema,
  StatefulSessionSchema,
} from '../xds/gen/envoy/extensions/filters/http/stateful_session/v3/stateful_session_pb.js';
import { HttpInspectorSchema } from '../xds/gen/envoy/extensions/filters/listener/http_inspector/v3/http_inspector_pb.js';
import { OriginalDstSchema } from '../xds/gen/envoy/extensions/filters/listener/original_dst/v3/original_dst_pb.js';
import { ProxyProtocolSchema } from '../xds/gen/envoy/extensions/filters/listener/proxy_protocol/v3/proxy_protocol_pb.js';
import { TlsInspectorSchema } from '../xds/gen/envoy/extensions/filters/listener/tls_inspector/v3/tls_inspector_pb.js';
import { ConnectionLimitSchema } from '../xds/gen/envoy/extensions/filters/network/connection_limit/v3/connection_limit_pb.js';
import { HttpConnectionManagerSchema } from '../xds/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js';
import { ExtAuthzSchema as NetworkExtAuthzSchema } from '../xds/gen/envoy/extensions/filters/network/ext_authz/v3/ext_authz_pb.js';
import { RBACSchema as NetworkRbacSchema } from '../xds/gen/envoy/extensions/filters/network/rbac/v3/rbac_pb.js';
import { TcpProxySchema } from '../xds/gen/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy_pb.js';
import { HealthCheckEventFileSinkSchema } from '../xds/gen/envoy/extensions/health_check/event_sinks/file/v3/file_pb.js';
import { CookieBasedSessionStateSchema } from '../xds/gen/envoy/extensions/http/stateful_session/cookie/v3/cookie_pb.js';
import { HeaderBasedSessionStateSchema } from '../xds/gen/envoy/extensions/http/stateful_session/header/v3/header_pb.js';
import { LeastRequestSchema } from '../xds/gen/envoy/extensions/load_balancing_policies/least_request/v3/least_request_pb.js';
import { MaglevSchema } from '../xds/gen/envoy/extensions/load_balancing_policies/maglev/v3/maglev_pb.js';
import { PickFirstSchema } from '../xds/gen/envoy/extensions/load_balancing_policies/pick_first/v3/pick_first_pb.js';
import { RandomSchema } from '../xds/gen/envoy/extensions/load_balancing_policies/random/v3/random_pb.js';
import { RingHashSchema } from '../xds/gen/envoy/extensions/load_balancing_policies/ring_hash/v3/ring_hash_pb.js';
import { RoundRobinSchema } from '../xds/gen/envoy/extensions/load_balancing_policies/round_robin/v3/round_robin_pb.js';
import { WrrLocalitySchema } from '../xds/gen/envoy/extensions/load_balancing_policies/wrr_locality/v3/wrr_locality_pb.js';
import { UriTemplateMatchConfigSchema } from '../xds/gen/envoy/extensions/path/match/uri_template/v3/uri_template_match_pb.js';
import { UriTemplateRewriteConfigSchema } from '../xds/gen/envoy/extensions/path/rewrite/uri_template/v3/uri_template_rewrite_pb.js';
import { DownstreamConnectionsConfigSchema } from '../xds/gen/envoy/extensions/resource_monitors/downstream_connections/v3/downstream_connections_pb.js';
import { OmitCanaryHostsPredicateSchema } from '../xds/gen/envoy/extensions/retry/host/omit_canary_hosts/v3/omit_canary_hosts_pb.js';
import { OmitHostMetadataConfigSchema } from '../xds/gen/envoy/extensions/retry/host/omit_host_metadata/v3/omit_host_metadata_config_pb.js';
import { PreviousHostsPredicateSchema } from '../xds/gen/envoy/extensions/retry/host/previous_hosts/v3/previous_hosts_pb.js';
import { PreviousPrioritiesConfigSchema } from '../xds/gen/envoy/extensions/retry/priority/previous_priorities/v3/previous_priorities_config_pb.js';
import { ProxyProtocolUpstreamTransportSchema } from '../xds/gen/envoy/extensions/transport_sockets/proxy_protocol/v3/upstream_proxy_protocol_pb.js';
import { RawBufferSchema } from '../xds/gen/envoy/extensions/transport_sockets/raw_buffer/v3/raw_buffer_pb.js';
import {
  DownstreamTlsContextSchema,
  UpstreamTlsContextSchema,
} from '../xds/gen/envoy/extensions/transport_sockets/tls/v3/tls_pb.js';
import { HttpProtocolOptionsSchema } from '../xds/gen/envoy/extensions/upstreams/http/v3/http_protocol_options_pb.js';
import { TypedStructSchema } from '../xds/gen/xds/type/v3/typed_struct_pb.js';

export const extensions: Registry = createRegistry(
  EmptySchema,
  StructSchema,
  OpenTelemetryConfigSchema,
  FileAccessLogSchema,
  StderrAccessLogSchema,
  StdoutAccessLogSchema,
  GrpcStatsSchema,
  HTTPFaultSchema,
  CorsSchema,
  CorsPolicySchema,
  ExtAuthzSchema,
  ExtAuthzPerRouteSchema,
  AdaptiveConcurrencySchema,
  AdmissionControlSchema,
  RBACSchema,
  RBACPerRouteSchema,
  NetworkRbacSchema,
  NetworkExtAuthzSchema,
  OnDemandSchema,
  LocalRateLimitSchema,
  JwtAuthenticationSchema,
  JwtPerRouteSchema,
  RateLimitSchema,
  RateLimitPerRouteSchema,
  StatefulSessionSchema,
  StatefulSessionPerRouteSchema,
  CookieBasedSessionStateSchema,
  HeaderBasedSessionStateSchema,
  AggregateSchema,
  RouteFilterConfigSchema,
  RouterSchema,
  HttpInspectorSchema,
  TlsInspectorSchema,
  OriginalDstSchema,
  ProxyProtocolSchema,
  ConnectionLimitSchema,
  DownstreamConnectionsConfigSchema,
  HttpConnectionManagerSchema,
  TcpProxySchema,
  HealthCheckEventFileSinkSchema,
  LeastRequestSchema,
  MaglevSchema,
  PickFirstSchema,
  RandomSchema,
  TypedStructSchema,
  RingHashSchema,
  RoundRobinSchema,
  WrrLocalitySchema,
  UriTemplateMatchConfigSchema,
  UriTemplateRewriteConfigSchema,
  // In every route of a mesh with retries: a dump could not show the routes without it.
  PreviousHostsPredicateSchema,
  OmitCanaryHostsPredicateSchema,
  OmitHostMetadataConfigSchema,
  PreviousPrioritiesConfigSchema,
  RetryPolicySchema,
  RawBufferSchema,
  ProxyProtocolUpstreamTransportSchema,
  DownstreamTlsContextSchema,
  UpstreamTlsContextSchema,
  HttpProtocolOptionsSchema,
);
