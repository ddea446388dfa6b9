// Compiles an Envoy Cluster into ClusterSettings. Pure: no name is resolved and nothing is opened.
// Every mistake is a Problem with its field path; what we know but do not do yet is a warning where
// traffic still flows as meant, and an error where it would not (TLS asked for, plaintext sent).
import { anyIs, anyUnpack } from '@bufbuild/protobuf/wkt';
import { clusterId } from '../base/brand.ts';
import { error, refuses, warning } from '../base/problem.ts';
import type { CompileEnv } from '../plan/plan.ts';
import {
  Cluster_ClusterProtocolSelection,
  Cluster_DiscoveryType,
  type Cluster,
} from '../xds/gen/envoy/config/cluster/v3/cluster_pb.js';
import type { HttpProtocolOptions as CommonOptions } from '../xds/gen/envoy/config/core/v3/protocol_pb.js';
import { HttpProtocolOptionsSchema } from '../xds/gen/envoy/extensions/upstreams/http/v3/http_protocol_options_pb.js';
import { compileClusterType } from './aggregate-settings.ts';
import { compileAssignmentPolicy, DEFAULT_POLICY } from './assignment-policy.ts';
import { compileBalancing } from './balancing.ts';
import type { ClusterSettings, Discovery, EndpointTarget } from './cluster-settings.ts';
import { compileDns } from './dns-settings.ts';
import { durationMs } from './duration.ts';
import { compileHealthChecks } from './health-check-compile.ts';
import { compileHealth, compileLoadAssignment, type AddressKind } from './load-assignment.ts';
import { flattenClusterMetadata } from './metadata.ts';
import { compileOriginalDst } from './original-dst-settings.ts';
import { compileSubsets } from './subset-settings.ts';
import { warmingReturns } from './return-warmth.ts';
import { compileOutlier } from './outlier-settings.ts';
import { compileUpstreamBind } from './upstream-bind.ts';

const CONNECT_TIMEOUT_MS = 5000;
const IDLE_TIMEOUT_MS = 3_600_000;
const PANIC_THRESHOLD_PERCENT = 50;
const HTTP_OPTIONS = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions';

type Protocol = ClusterSettings['protocol'];

interface HttpOptions {
  readonly protocol: Protocol;
  readonly idleTimeoutMs: number;
  readonly maxRequestsPerConnection: number;
  readonly maxConnectionDurationMs: number;
}

/**
 * The settings of a cluster, or null when a Problem refuses it. `path` is where the cluster stands,
 * for example `static_resources.clusters[0]`.
 * Source: Envoy config.cluster.v3.Cluster and its validation rules.
 */
export function compileCluster(cluster: Cluster, env: CompileEnv, path: string): ClusterSettings | null {
  const local: CompileEnv = { ...env, problems: [] };
  if (cluster.name === '') local.problems.push(error(`${path}.name`, 'a cluster needs a name'));
  const discovery = compileDiscovery(cluster, local, path);
  const { balancing, weighsLocalities, zoneAware } = compileBalancing(cluster, local, path);
  const http = compileHttpOptions(cluster, local, path);
  const connectTimeoutMs = durationMs(
    cluster.connectTimeout,
    { absentMs: CONNECT_TIMEOUT_MS, aboveMs: 0 },
    local,
    `${path}.connect_timeout`,
  );
  checkTransport(cluster, local, path);
  noteLater(cluster, local, path);
  const sourceAddresses = compileUpstreamBind(
    cluster.upstreamBindConfig,
    local.problems,
    `${path}.upstream_bind_config`,
  );
  const panicThresholdPercent = compilePanicThreshold(cluster, local, path);
  const subsets = compileSubsets(cluster.lbSubsetConfig, local, `${path}.lb_subset_config`);
  const at = `${path}.load_assignment.policy`;
  const assignmentPolicy =
    cluster.loadAssignment === undefined
      ? DEFAULT_POLICY
      : compileAssignmentPolicy(cluster.loadAssignment, local.problems, at);
  const healthChecks = compileHealthChecks(cluster, local, path);
  if (healthChecks.length > 0 && discovery?.kind === 'original-dst') {
    local.problems.push(warning(`${path}.health_checks`, 'has no effect: destinations come with their connections'));
  }
  const outlier = compileOutlier(cluster.outlierDetection, local, `${path}.outlier_detection`);
  env.problems.push(...local.problems);
  if (discovery === null || refuses(local.problems)) return null;
  return Object.freeze({
    name: clusterId(cluster.name),
    statName: cluster.altStatName === '' ? cluster.name : cluster.altStatName,
    discovery,
    balancing: warmingReturns(balancing, outlier),
    weighsLocalities,
    zoneAware,
    assignmentPolicy,
    ...compileSessionHealths(cluster),
    ...(subsets === null ? {} : { subsets }),
    panicThresholdPercent,
    connectTimeoutMs,
    ...http,
    sourceAddresses,
    endsTcpOnFailure: cluster.closeConnectionsOnHostHealthFailure,
    metadata: flattenClusterMetadata(cluster.metadata),
    source: cluster,
    ...(outlier === null ? {} : { outlier }),
    ...(healthChecks.length === 0 ? {} : { healthChecks }),
  });
}

function compileDiscovery(cluster: Cluster, env: CompileEnv, path: string): Discovery | null {
  if (cluster.clusterDiscoveryType.case === 'clusterType') return compileClusterType(cluster, env, path);
  const type = cluster.clusterDiscoveryType.value ?? Cluster_DiscoveryType.STATIC;
  if (type !== Cluster_DiscoveryType.EDS && cluster.edsClusterConfig !== undefined) {
    const remedy = 'remove it, or set type EDS';
    env.problems.push(error(`${path}.eds_cluster_config`, 'set in a cluster that is not EDS', remedy));
  }
  switch (type) {
    case Cluster_DiscoveryType.STATIC: {
      const targets = compileTargets(cluster, 'ip', env, path);
      return targets === null ? null : { kind: 'static', targets };
    }
    case Cluster_DiscoveryType.STRICT_DNS: {
      const targets = compileTargets(cluster, 'name', env, path);
      const dns = compileDns(cluster, env, path);
      return targets === null ? null : { kind: 'strict-dns', targets, dns };
    }
    case Cluster_DiscoveryType.LOGICAL_DNS:
      return compileLogicalDns(cluster, env, path);
    case Cluster_DiscoveryType.EDS:
      return compileEds(cluster, env, path);
    case Cluster_DiscoveryType.ORIGINAL_DST:
      return compileOriginalDst(cluster, env, path);
    default:
      env.problems.push(error(`${path}.type`, `unknown type ${String(type)}`));
      return null;
  }
}

function compileTargets(
  cluster: Cluster,
  kind: AddressKind,
  env: CompileEnv,
  path: string,
): readonly EndpointTarget[] | null {
  if (cluster.loadAssignment === undefined) {
    env.problems.push(warning(`${path}.load_assignment`, 'the cluster has no endpoints', 'add load_assignment'));
    return [];
  }
  return compileLoadAssignment(cluster.loadAssignment, kind, env.problems, `${path}.load_assignment`);
}

function compileLogicalDns(cluster: Cluster, env: CompileEnv, path: string): Discovery | null {
  const targets = compileTargets(cluster, 'name', env, path);
  const dns = compileDns(cluster, env, path);
  if (targets === null) return null;
  const target = targets[0];
  if (target === undefined || targets.length > 1 || cluster.loadAssignment?.endpoints.length !== 1) {
    const message = 'a LOGICAL_DNS cluster has exactly one locality with one endpoint';
    env.problems.push(error(`${path}.load_assignment.endpoints`, message, 'use STRICT_DNS for several names'));
    return null;
  }
  return { kind: 'logical-dns', target, dns };
}

function compileEds(cluster: Cluster, env: CompileEnv, path: string): Discovery {
  const config = cluster.edsClusterConfig;
  if (config?.edsConfig === undefined) {
    const remedy = 'add eds_cluster_config.eds_config, for example { ads: {} }';
    env.problems.push(error(`${path}.eds_cluster_config`, 'an EDS cluster does not say where to ask', remedy));
  }
  if (cluster.loadAssignment !== undefined) {
    env.problems.push(warning(`${path}.load_assignment`, 'is ignored in an EDS cluster'));
  }
  const serviceName = config === undefined || config.serviceName === '' ? cluster.name : config.serviceName;
  return { kind: 'eds', serviceName };
}

function compileHttpOptions(cluster: Cluster, env: CompileEnv, path: string): HttpOptions {
  const at = `${path}.typed_extension_protocol_options["${HTTP_OPTIONS}"]`;
  for (const name of Object.keys(cluster.typedExtensionProtocolOptions)) {
    if (name === HTTP_OPTIONS) continue;
    env.problems.push(warning(`${path}.typed_extension_protocol_options["${name}"]`, 'is not known and has no effect'));
  }
  const any = cluster.typedExtensionProtocolOptions[HTTP_OPTIONS];
  if (any === undefined) return compileDeprecatedOptions(cluster, env, path);
  const options = anyIs(any, HttpProtocolOptionsSchema) ? anyUnpack(any, HttpProtocolOptionsSchema) : undefined;
  if (options === undefined) {
    env.problems.push(error(at, `is not an HttpProtocolOptions but ${any.typeUrl}`));
    return compileDeprecatedOptions(cluster, env, path);
  }
  const { case: kind, value } = options.upstreamProtocolOptions;
  let protocol: Protocol = 'http1';
  if (kind === undefined) {
    const remedy = 'add explicit_http_config: { http_protocol_options: {} }';
    env.problems.push(error(at, 'does not say which protocol the upstream speaks', remedy));
  } else if (kind === 'useDownstreamProtocolConfig') {
    protocol = 'downstream';
  } else if (kind === 'autoConfig') {
    protocol = 'auto';
  } else if (value.protocolConfig.case === 'http2ProtocolOptions') {
    protocol = 'http2';
  } else if (value.protocolConfig.case === 'http3ProtocolOptions') {
    env.problems.push(error(`${at}.explicit_http_config.http3_protocol_options`, 'HTTP/3 is not supported'));
  }
  for (const [index, filter] of options.httpFilters.entries()) {
    if (filter.name === 'envoy.filters.http.upstream_codec') continue;
    env.problems.push(error(`${at}.http_filters[${index}]`, `upstream filter ${filter.name} is not supported`));
  }
  return { protocol, ...compileCommon(options.commonHttpProtocolOptions, env, `${at}.common_http_protocol_options`) };
}

/** The fields of the Cluster itself that HttpProtocolOptions replaced. */
function compileDeprecatedOptions(cluster: Cluster, env: CompileEnv, path: string): HttpOptions {
  const common = compileCommon(cluster.commonHttpProtocolOptions, env, `${path}.common_http_protocol_options`);
  const maxRequestsPerConnection = cluster.maxRequestsPerConnection ?? common.maxRequestsPerConnection;
  let protocol: Protocol = 'http1';
  if (cluster.protocolSelection === Cluster_ClusterProtocolSelection.USE_DOWNSTREAM_PROTOCOL) {
    protocol = 'downstream';
  } else if (cluster.http2ProtocolOptions !== undefined) {
    protocol = 'http2';
  }
  return { ...common, protocol, maxRequestsPerConnection };
}

function compileCommon(
  common: CommonOptions | undefined,
  env: CompileEnv,
  path: string,
): Omit<HttpOptions, 'protocol'> {
  const rule = { absentMs: IDLE_TIMEOUT_MS, aboveMs: null };
  const idleTimeoutMs = durationMs(common?.idleTimeout, rule, env, `${path}.idle_timeout`);
  const ageRule = { absentMs: 0, aboveMs: null };
  const maxConnectionDurationMs = durationMs(
    common?.maxConnectionDuration,
    ageRule,
    env,
    `${path}.max_connection_duration`,
  );
  if (common?.maxStreamDuration !== undefined) {
    env.problems.push(warning(`${path}.max_stream_duration`, 'has no effect yet'));
  }
  if (common?.maxHeadersCount !== undefined) {
    if (common.maxHeadersCount === 0) env.problems.push(error(`${path}.max_headers_count`, 'must be at least 1'));
    else env.problems.push(warning(`${path}.max_headers_count`, 'has no effect yet'));
  }
  const maxRequestsPerConnection = common?.maxRequestsPerConnection ?? 0;
  return { idleTimeoutMs, maxRequestsPerConnection, maxConnectionDurationMs };
}

const RAW_BUFFER = 'envoy.transport_sockets.raw_buffer';
/** Raw, and TLS, which the sidecar compiles. */
const SOCKET_TYPES: readonly string[] = [
  'envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer',
  'envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext',
  'envoy.extensions.transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport',
];

/** Plaintext must never be sent where something else was asked for, so anything else is refused. */
function checkTransport(cluster: Cluster, env: CompileEnv, path: string): void {
  const sockets = [
    { at: `${path}.transport_socket`, socket: cluster.transportSocket },
    ...cluster.transportSocketMatches.map((match, index) => ({
      at: `${path}.transport_socket_matches[${index}].transport_socket`,
      socket: match.transportSocket,
    })),
  ];
  for (const { at, socket } of sockets) {
    if (socket === undefined || socket.name === RAW_BUFFER) continue;
    const any = socket.configType.value;
    if (any !== undefined && SOCKET_TYPES.some((type) => any.typeUrl.endsWith(`/${type}`))) continue;
    env.problems.push(error(at, `transport socket ${socket.name} is not supported`, `use ${RAW_BUFFER}`));
  }
}

/** Warns of each field that is understood but comes with a later version. */
function noteLater(cluster: Cluster, env: CompileEnv, path: string): void {
  const later: readonly (readonly [string, boolean])[] = [
    ['upstream_connection_options', cluster.upstreamConnectionOptions !== undefined],
    ['per_connection_buffer_limit_bytes', cluster.perConnectionBufferLimitBytes !== undefined],
    ['preconnect_policy', cluster.preconnectPolicy !== undefined],
    ['upstream_config', cluster.upstreamConfig !== undefined],
    ['lrs_server', cluster.lrsServer !== undefined],
    ['track_cluster_stats', cluster.trackClusterStats !== undefined],
    ['connection_pool_per_downstream_connection', cluster.connectionPoolPerDownstreamConnection],
    ['common_lb_config.update_merge_window', cluster.commonLbConfig?.updateMergeWindow !== undefined],
  ];
  for (const [field, isSet] of later) {
    if (isSet) env.problems.push(warning(`${path}.${field}`, 'has no effect yet'));
  }
  cluster.filters.forEach((filter, index) => {
    env.problems.push(error(`${path}.filters[${index}]`, `upstream network filter ${filter.name} is not supported`));
  });
}

/** CommonLbConfig.healthy_panic_threshold, cut to a whole percent as Envoy does. */
function compilePanicThreshold(cluster: Cluster, env: CompileEnv, path: string): number {
  const percent = cluster.commonLbConfig?.healthyPanicThreshold?.value ?? PANIC_THRESHOLD_PERCENT;
  if (percent >= 0 && percent <= 100) {
    return Math.min(100, env.runtimeNumber('upstream.healthy_panic_threshold', Math.floor(percent)));
  }
  const at = `${path}.common_lb_config.healthy_panic_threshold`;
  env.problems.push(error(at, `${percent} is not a percentage`, 'write a value from 0 to 100'));
  return PANIC_THRESHOLD_PERCENT;
}

/** CommonLbConfig.override_host_status; nothing when it is not there. */
function compileSessionHealths(cluster: Cluster): Pick<ClusterSettings, 'sessionHealths'> {
  const wanted = cluster.commonLbConfig?.overrideHostStatus;
  return wanted === undefined ? {} : { sessionHealths: new Set(wanted.statuses.map(compileHealth)) };
}
