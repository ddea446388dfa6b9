// The whole translation without a service: files in, Problems and the view of any sidecar out. `check`,
// `translate` and the golden tests run on it, so what they show is what the control service does.
import { createRegistry, fromBinary, toJson } from '@bufbuild/protobuf';
import { StructSchema } from '@bufbuild/protobuf/wkt';
import type { JsonValue } from '@bufbuild/protobuf';
import type { Problem } from '../base/problem.ts';
import { parseFile, type ParsedFile } from '../config/parse.ts';
import { file_envoy_config_cluster_v3_cluster, ClusterSchema } from '../xds/gen/envoy/config/cluster/v3/cluster_pb.js';
import { ClusterLoadAssignmentSchema } from '../xds/gen/envoy/config/endpoint/v3/endpoint_pb.js';
import { ListenerSchema } from '../xds/gen/envoy/config/listener/v3/listener_pb.js';
import { RouteConfigurationSchema } from '../xds/gen/envoy/config/route/v3/route_pb.js';
import { file_envoy_config_trace_v3_opentelemetry } from '../xds/gen/envoy/config/trace/v3/opentelemetry_pb.js';
import { file_envoy_extensions_access_loggers_file_v3_file } from '../xds/gen/envoy/extensions/access_loggers/file/v3/file_pb.js';
import { AdaptiveConcurrencySchema } from '../xds/gen/envoy/extensions/filters/http/adaptive_concurrency/v3/adaptive_concurrency_pb.js';
import { AdmissionControlSchema } from '../xds/gen/envoy/extensions/filters/http/admission_control/v3/admission_control_pb.js';
import { LocalRateLimitSchema } from '../xds/gen/envoy/extensions/filters/http/local_ratelimit/v3/local_rate_limit_pb.js';
import { CorsPolicySchema, CorsSchema } from '../xds/gen/envoy/extensions/filters/http/cors/v3/cors_pb.js';
import { ExtAuthzSchema } from '../xds/gen/envoy/extensions/filters/http/ext_authz/v3/ext_authz_pb.js';
import { HTTPFaultSchema } from '../xds/gen/envoy/extensions/filters/http/fault/v3/fault_pb.js';
import { file_envoy_extensions_clusters_aggregate_v3_cluster } from '../xds/gen/envoy/extensions/clusters/aggregate/v3/cluster_pb.js';
import { file_envoy_extensions_filters_http_rbac_v3_rbac } from '../xds/gen/envoy/extensions/filters/http/rbac/v3/rbac_pb.js';
import { file_envoy_extensions_filters_http_jwt_authn_v3_config } from '../xds/gen/envoy/extensions/filters/http/jwt_authn/v3/config_pb.js';
import { file_envoy_extensions_filters_http_router_v3_router } from '../xds/gen/envoy/extensions/filters/http/router/v3/router_pb.js';
import { file_envoy_extensions_filters_listener_http_inspector_v3_http_inspector } from '../xds/gen/envoy/extensions/filters/listener/http_inspector/v3/http_inspector_pb.js';
import { file_envoy_extensions_filters_listener_original_dst_v3_original_dst } from '../xds/gen/envoy/extensions/filters/listener/original_dst/v3/original_dst_pb.js';
import { file_envoy_extensions_filters_listener_tls_inspector_v3_tls_inspector } from '../xds/gen/envoy/extensions/filters/listener/tls_inspector/v3/tls_inspector_pb.js';
import { file_envoy_extensions_filters_network_http_connection_manager_v3_http_connection_manager } from '../xds/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js';
import { ExtAuthzSchema as NetworkExtAuthzSchema } from '../xds/gen/envoy/extensions/filters/network/ext_authz/v3/ext_authz_pb.js';
import { file_envoy_extensions_filters_network_rbac_v3_rbac } from '../xds/gen/envoy/extensions/filters/network/rbac/v3/rbac_pb.js';
import { file_envoy_extensions_filters_network_tcp_proxy_v3_tcp_proxy } from '../xds/gen/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy_pb.js';
import { file_envoy_extensions_path_match_uri_template_v3_uri_template_match } from '../xds/gen/envoy/extensions/path/match/uri_template/v3/uri_template_match_pb.js';
import { file_envoy_extensions_retry_host_previous_hosts_v3_previous_hosts } from '../xds/gen/envoy/extensions/retry/host/previous_hosts/v3/previous_hosts_pb.js';
import { file_envoy_extensions_filters_http_stateful_session_v3_stateful_session } from '../xds/gen/envoy/extensions/filters/http/stateful_session/v3/stateful_session_pb.js';
import { file_envoy_extensions_http_stateful_session_cookie_v3_cookie } from '../xds/gen/envoy/extensions/http/stateful_session/cookie/v3/cookie_pb.js';
import { file_envoy_extensions_http_stateful_session_header_v3_header } from '../xds/gen/envoy/extensions/http/stateful_session/header/v3/header_pb.js';
import { file_envoy_extensions_retry_priority_previous_priorities_v3_previous_priorities_config } from '../xds/gen/envoy/extensions/retry/priority/previous_priorities/v3/previous_priorities_config_pb.js';
import { file_envoy_extensions_transport_sockets_proxy_protocol_v3_upstream_proxy_protocol } from '../xds/gen/envoy/extensions/transport_sockets/proxy_protocol/v3/upstream_proxy_protocol_pb.js';
import { file_envoy_extensions_transport_sockets_raw_buffer_v3_raw_buffer } from '../xds/gen/envoy/extensions/transport_sockets/raw_buffer/v3/raw_buffer_pb.js';
import { file_envoy_extensions_transport_sockets_tls_v3_tls } from '../xds/gen/envoy/extensions/transport_sockets/tls/v3/tls_pb.js';
import { file_envoy_extensions_upstreams_http_v3_http_protocol_options } from '../xds/gen/envoy/extensions/upstreams/http/v3/http_protocol_options_pb.js';
import { CLUSTER_TYPE, ENDPOINT_TYPE, LISTENER_TYPE, ROUTE_TYPE } from '../xds/type-url.ts';
import type { EncodedResource } from '../xds/resource.ts';
import type { View } from './flow.ts';
import { ALL_ABILITIES, readNode } from './mesh-node.ts';
import { localityOf } from './mesh-service.ts';
import type { MeshMode, MeshNode } from './mesh-node.ts';
import { ResourceIndex } from './resource-index.ts';
import { IDENTITY_CLUSTER } from './translate/mesh-tls.ts';
import { Translator } from './translator.ts';
import { LeastRequestSchema } from '../xds/gen/envoy/extensions/load_balancing_policies/least_request/v3/least_request_pb.js';
import { TypedStructSchema } from '../xds/gen/xds/type/v3/typed_struct_pb.js';

export interface OfflineOptions {
  readonly domain?: string;
  readonly workloads?: readonly MeshNode[];
}

export interface Offline {
  readonly problems: readonly Problem[];
  readonly viewOf: (node: MeshNode) => View;
}

export function translateFiles(
  files: readonly { readonly file: string; readonly text: string }[],
  options: OfflineOptions = {},
): Offline {
  return translateParsed(
    files.map(({ file, text }) => [file, parseFile(file, text)]),
    options,
  );
}

/** Of what has been read already, wherever it came from; each under a name of its own. */
export function translateParsed(
  sources: readonly (readonly [string, ParsedFile])[],
  { domain = 'cluster.local', workloads = [] }: OfflineOptions = {},
): Offline {
  const index = new ResourceIndex();
  for (const [name, parsed] of sources) index.apply(name, parsed);
  const translator = new Translator({ domain, providers: [], services: [] });
  const resources = index.resources();
  const namespaces = new Set([...resources.values()].map((resource) => resource.meta.namespace || 'default'));
  const { problems } = translator.translate(resources, workloads, () => [...namespaces].map(someNode));
  return {
    problems: [...index.problems(), ...problems],
    viewOf: (node) => translator.translate(resources, workloads, () => [node], true).builder.build(node, null),
  };
}

/** Any sidecar of a namespace: what cannot be translated for it is a Problem. */
function someNode(namespace: string): MeshNode {
  const node = readNode({ id: `sidecar~127.0.0.1~x.${namespace}~x`, cluster: '', metadata: { NAMESPACE: namespace } });
  if (typeof node === 'string') throw new Error(node);
  return node;
}

export interface OfflineNode {
  /** `name` or `name.namespace`. */
  readonly service: string;
  readonly version: string;
  /** `port` or `port/protocol`. */
  readonly apps: readonly string[];
  readonly isEnvoy: boolean;
  /** `explicit` by default. */
  readonly mode?: MeshMode;
  /** Of the workload; 127.0.0.1 by default. */
  readonly address?: string;
  /** `REGION/ZONE/SUBZONE`; empty, the default: not known. */
  readonly locality?: string;
  /** It has an identity of the mesh; false by default. */
  readonly isMeshed?: boolean;
}

/** A sidecar that is not there, or what is wrong with its description. */
export function offlineNode({
  service,
  version,
  apps,
  isEnvoy,
  mode = 'explicit',
  address = '127.0.0.1',
  locality = '',
  isMeshed = false,
}: OfflineNode): MeshNode | string {
  const [name = '', namespace = 'default'] = service.split('.');
  const described: unknown[] = [];
  for (const [index, app] of apps.entries()) {
    const [port = '', protocol = 'http'] = app.split('/');
    described.push({ port: Number(port), protocol, inboundPort: 15_006 + index });
  }
  const metadata = {
    NAMESPACE: namespace,
    WORKLOAD_NAME: name,
    INSTANCE_IPS: address,
    ...(isMeshed ? { LABELS: { 'security.istio.io/tlsMode': 'istio' } } : {}),
    OUTRIGGER: { service: name, version, apps: described, outboundPort: 15_001, mode },
  };
  const node = readNode({
    id: `sidecar~${address}~${name}.${namespace}~${namespace}.svc.cluster.local`,
    cluster: service,
    metadata,
    locality: localityOf(locality),
  });
  return typeof node === 'string' || !isEnvoy ? node : { ...node, abilities: { ...ALL_ABILITIES, mtls: isMeshed } };
}

const registry = createRegistry(
  TypedStructSchema,
  LeastRequestSchema,
  StructSchema,
  AdaptiveConcurrencySchema,
  AdmissionControlSchema,
  LocalRateLimitSchema,
  CorsSchema,
  CorsPolicySchema,
  ExtAuthzSchema,
  NetworkExtAuthzSchema,
  HTTPFaultSchema,
  file_envoy_config_cluster_v3_cluster,
  file_envoy_config_trace_v3_opentelemetry,
  file_envoy_extensions_access_loggers_file_v3_file,
  file_envoy_extensions_clusters_aggregate_v3_cluster,
  file_envoy_extensions_filters_http_rbac_v3_rbac,
  file_envoy_extensions_filters_network_rbac_v3_rbac,
  file_envoy_extensions_path_match_uri_template_v3_uri_template_match,
  file_envoy_extensions_filters_http_jwt_authn_v3_config,
  file_envoy_extensions_filters_http_router_v3_router,
  file_envoy_extensions_filters_listener_http_inspector_v3_http_inspector,
  file_envoy_extensions_filters_listener_original_dst_v3_original_dst,
  file_envoy_extensions_filters_listener_tls_inspector_v3_tls_inspector,
  file_envoy_extensions_filters_network_http_connection_manager_v3_http_connection_manager,
  file_envoy_extensions_filters_network_tcp_proxy_v3_tcp_proxy,
  file_envoy_extensions_retry_host_previous_hosts_v3_previous_hosts,
  file_envoy_extensions_filters_http_stateful_session_v3_stateful_session,
  file_envoy_extensions_http_stateful_session_cookie_v3_cookie,
  file_envoy_extensions_http_stateful_session_header_v3_header,
  file_envoy_extensions_retry_priority_previous_priorities_v3_previous_priorities_config,
  file_envoy_extensions_transport_sockets_proxy_protocol_v3_upstream_proxy_protocol,
  file_envoy_extensions_transport_sockets_raw_buffer_v3_raw_buffer,
  file_envoy_extensions_transport_sockets_tls_v3_tls,
  file_envoy_extensions_upstreams_http_v3_http_protocol_options,
);

function printed({ typeUrl, bytes }: EncodedResource): JsonValue {
  const options = { registry, useProtoFieldName: true };
  switch (typeUrl) {
    case CLUSTER_TYPE:
      return toJson(ClusterSchema, fromBinary(ClusterSchema, bytes), options);
    case ENDPOINT_TYPE:
      return toJson(ClusterLoadAssignmentSchema, fromBinary(ClusterLoadAssignmentSchema, bytes), options);
    case LISTENER_TYPE:
      return toJson(ListenerSchema, fromBinary(ListenerSchema, bytes), options);
    default:
      return toJson(RouteConfigurationSchema, fromBinary(RouteConfigurationSchema, bytes), options);
  }
}

export interface PrintedView {
  readonly listeners: readonly JsonValue[];
  readonly routes: readonly JsonValue[];
  readonly clusters: readonly JsonValue[];
  readonly endpoints: readonly JsonValue[];
}

/** The resources as the JSON that Envoy reads, with the field names of the protos. */
export function printedView(view: View): PrintedView {
  const all = (type: string): readonly JsonValue[] =>
    [...(view.resources.get(type)?.values() ?? [])].map((resource) => printed(resource));
  return {
    listeners: all(LISTENER_TYPE),
    routes: all(ROUTE_TYPE),
    clusters: all(CLUSTER_TYPE),
    endpoints: all(ENDPOINT_TYPE),
  };
}

/** One bootstrap with everything inline: EDS clusters become static, and RDS an inline table. */
export function staticBootstrap(view: View): JsonValue {
  const { listeners, routes, clusters, endpoints } = printedView(view);
  const assignments = new Map(endpoints.map((assignment) => [fieldOf(assignment, 'cluster_name'), assignment]));
  const tables = new Map(routes.map((table) => [fieldOf(table, 'name'), table]));
  const inlined = JSON.parse(JSON.stringify(listeners), (_, value: unknown) => {
    if (!isObject(value) || value['rds'] === undefined) return value;
    const { rds, ...rest } = value;
    const table = tables.get(isObject(rds) ? rds['route_config_name'] : undefined);
    return { ...rest, route_config: { ...(isObject(table) ? table : {}), validate_clusters: false } };
  });
  const fixed = clusters.map((cluster) => {
    if (!isObject(cluster) || cluster['type'] !== 'EDS') return cluster;
    const { eds_cluster_config: _eds, ...rest } = cluster;
    return {
      ...rest,
      type: 'STATIC',
      load_assignment: assignments.get(fieldOf(cluster, 'name')) ?? { cluster_name: cluster['name'] },
    };
  });
  const own = JSON.stringify([inlined, fixed]).includes(`"cluster_name":"${IDENTITY_CLUSTER}"`)
    ? [identityCluster()]
    : [];
  return JSON.parse(
    JSON.stringify({
      node: { id: 'translate', cluster: 'translate' },
      static_resources: { listeners: inlined, clusters: [...fixed, ...own] },
    }),
  );
}

/** Who gives the certificates of the mesh: `outrigger agent`, or Istio's, on the socket that Istio has for it. */
function identityCluster(): unknown {
  const http = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions';
  const options = { '@type': `type.googleapis.com/${http}`, explicit_http_config: { http2_protocol_options: {} } };
  const endpoint = { address: { pipe: { path: './var/run/secrets/workload-spiffe-uds/socket' } } };
  return {
    name: IDENTITY_CLUSTER,
    type: 'STATIC',
    typed_extension_protocol_options: { [http]: options },
    load_assignment: { cluster_name: IDENTITY_CLUSTER, endpoints: [{ lb_endpoints: [{ endpoint }] }] },
  };
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function fieldOf(value: JsonValue, name: string): unknown {
  return isObject(value) ? value[name] : undefined;
}
