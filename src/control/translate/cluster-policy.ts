// What a DestinationRule's traffic policy changes in a cluster: balancer, limits, ejection, TLS.
import { create } from '@bufbuild/protobuf';
import type { ConnectionPool } from '../../config/connection-pool.ts';
import type { EffectivePolicy } from '../../config/destination-rule.ts';
import type { LoadBalancer, Warmup } from '../../config/load-balancer.ts';
import type { Outlier } from '../../config/outlier.ts';
import { OutlierDetectionSchema } from '../../xds/gen/envoy/config/cluster/v3/outlier_detection_pb.js';
import {
  Cluster_CommonLbConfigSchema,
  Cluster_LbPolicy,
  Cluster_RingHashLbConfigSchema,
  Cluster_SlowStartConfigSchema,
  UpstreamConnectionOptionsSchema,
} from '../../xds/gen/envoy/config/cluster/v3/cluster_pb.js';
import type { Cluster } from '../../xds/gen/envoy/config/cluster/v3/cluster_pb.js';
import {
  HttpProtocolOptionsSchema as CommonOptionsSchema,
  Http2ProtocolOptionsSchema,
  UpstreamHttpProtocolOptionsSchema,
} from '../../xds/gen/envoy/config/core/v3/protocol_pb.js';
import {
  HttpProtocolOptionsSchema,
  HttpProtocolOptions_ExplicitHttpConfigSchema,
  HttpProtocolOptions_UseDownstreamHttpConfigSchema,
} from '../../xds/gen/envoy/extensions/upstreams/http/v3/http_protocol_options_pb.js';
import type { HttpProtocolOptions } from '../../xds/gen/envoy/extensions/upstreams/http/v3/http_protocol_options_pb.js';
import type { Abilities } from '../mesh-node.ts';
import { applyRetryBudget, limitRetries } from './circuit-breakers.ts';
import { duration, pack } from './proto.ts';
import { withProxyHeader } from './proxy-header.ts';
import { namesOfRequests } from './upstream-tls.ts';

const HTTP_OPTIONS = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions';
const RING_SIZE = 1024n;

export interface PolicyContext {
  readonly isHttp2: boolean;
  readonly abilities: Abilities;
  readonly isInbound?: boolean;
}

/** What a Sidecar resource says of the connections to the app behind it. */
export function poolPolicy(connectionPool: ConnectionPool | null): EffectivePolicy | null {
  if (connectionPool === null) return null;
  return { loadBalancer: null, connectionPool, outlier: null, tls: null, retryBudget: null, proxyProtocol: null };
}

export function applyPolicy(cluster: Cluster, policy: EffectivePolicy | null, context: PolicyContext): void {
  applyBalancer(cluster, policy?.loadBalancer ?? null, context.isInbound === true);
  const pool = policy?.connectionPool ?? null;
  if (pool !== null) applyPool(cluster, pool);
  if (policy?.retryBudget != null) applyRetryBudget(cluster, policy.retryBudget);
  if (policy?.outlier != null) applyOutlier(cluster, policy.outlier);
  const names = context.abilities.tls ? namesOfRequests(policy?.tls ?? null) : null;
  const options = httpOptions(pool, context, names !== null);
  if (options !== null && names !== null)
    options.upstreamHttpProtocolOptions = create(UpstreamHttpProtocolOptionsSchema, names);
  if (options !== null) cluster.typedExtensionProtocolOptions[HTTP_OPTIONS] = pack(HttpProtocolOptionsSchema, options);
  if (policy?.proxyProtocol == null) return;
  for (const match of cluster.transportSocketMatches)
    match.transportSocket = withProxyHeader(match.transportSocket, policy.proxyProtocol);
  if (cluster.transportSocketMatches.length === 0)
    cluster.transportSocket = withProxyHeader(cluster.transportSocket, policy.proxyProtocol);
}

function applyBalancer(cluster: Cluster, balancer: LoadBalancer | null, isInbound: boolean): void {
  if (balancer?.hash != null) {
    const { table } = balancer.hash;
    if (table.kind === 'maglev') {
      cluster.lbPolicy = Cluster_LbPolicy.MAGLEV;
      if (table.size !== null)
        cluster.lbConfig = {
          case: 'maglevLbConfig',
          value: { $typeName: 'envoy.config.cluster.v3.Cluster.MaglevLbConfig', tableSize: BigInt(table.size) },
        };
    } else {
      cluster.lbPolicy = Cluster_LbPolicy.RING_HASH;
      const minimumRingSize = table.size === null ? RING_SIZE : BigInt(table.size);
      cluster.lbConfig = {
        case: 'ringHashLbConfig',
        value: create(Cluster_RingHashLbConfigSchema, { minimumRingSize }),
      };
    }
    return;
  }
  const slowStart = balancer?.warmup == null ? null : slowStartOf(balancer.warmup);
  if (isInbound || balancer?.simple === 'ROUND_ROBIN') {
    cluster.lbPolicy = Cluster_LbPolicy.ROUND_ROBIN;
    if (slowStart !== null)
      cluster.lbConfig = {
        case: 'roundRobinLbConfig',
        value: { $typeName: 'envoy.config.cluster.v3.Cluster.RoundRobinLbConfig', slowStartConfig: slowStart },
      };
  } else if (balancer?.simple === 'RANDOM') cluster.lbPolicy = Cluster_LbPolicy.RANDOM;
  else {
    cluster.lbPolicy = Cluster_LbPolicy.LEAST_REQUEST;
    if (slowStart !== null)
      cluster.lbConfig = {
        case: 'leastRequestLbConfig',
        value: { $typeName: 'envoy.config.cluster.v3.Cluster.LeastRequestLbConfig', slowStartConfig: slowStart },
      };
  }
}

function slowStartOf({ durationMs, minimumPercent, aggression }: Warmup) {
  return create(Cluster_SlowStartConfigSchema, {
    slowStartWindow: duration(durationMs),
    ...(minimumPercent === null ? {} : { minWeightPercent: { value: minimumPercent } }),
    ...(aggression === null
      ? {}
      : { aggression: { defaultValue: aggression, runtimeKey: 'outrigger.warmup.aggression' } }),
  });
}

function applyPool(cluster: Cluster, pool: ConnectionPool): void {
  const [threshold] = cluster.circuitBreakers?.thresholds ?? [];
  if (threshold !== undefined) {
    if (pool.maxConnections !== null && pool.maxConnections > 0) threshold.maxConnections = pool.maxConnections;
    if (pool.maxPendingRequests !== null && pool.maxPendingRequests > 0)
      threshold.maxPendingRequests = pool.maxPendingRequests;
    if (pool.maxRequests !== null && pool.maxRequests > 0) threshold.maxRequests = pool.maxRequests;
    if (pool.maxRetries !== null && pool.maxRetries > 0) limitRetries(threshold, pool.maxRetries);
  }
  if (pool.connectTimeoutMs !== null) cluster.connectTimeout = duration(pool.connectTimeoutMs);
  if (pool.keepalive === null) return;
  const { probes, timeMs, intervalMs } = pool.keepalive;
  cluster.upstreamConnectionOptions = create(UpstreamConnectionOptionsSchema, {
    tcpKeepalive: {
      ...(probes === null ? {} : { keepaliveProbes: probes }),
      ...(timeMs === null ? {} : { keepaliveTime: Math.round(timeMs / 1000) }),
      ...(intervalMs === null ? {} : { keepaliveInterval: Math.round(intervalMs / 1000) }),
    },
  });
}

/** Success-rate ejection is off and ejection by consecutive errors is on where it is asked for (Istio: applyOutlierDetection). */
function applyOutlier(cluster: Cluster, outlier: Outlier): void {
  const made = create(OutlierDetectionSchema, { enforcingSuccessRate: 0 });
  if (outlier.baseEjectionMs !== null) made.baseEjectionTime = duration(outlier.baseEjectionMs);
  if (outlier.intervalMs !== null) made.interval = duration(outlier.intervalMs);
  if (outlier.maxEjectionPercent !== null && outlier.maxEjectionPercent > 0)
    made.maxEjectionPercent = outlier.maxEjectionPercent;
  if (outlier.consecutive5xx !== null) {
    made.consecutive5xx = outlier.consecutive5xx;
    made.enforcingConsecutive5xx = outlier.consecutive5xx > 0 ? 100 : 0;
  }
  if (outlier.consecutiveGateway !== null) {
    made.consecutiveGatewayFailure = outlier.consecutiveGateway;
    made.enforcingConsecutiveGatewayFailure = outlier.consecutiveGateway > 0 ? 100 : 0;
  }
  if (outlier.splitsLocalOrigin) {
    made.splitExternalLocalOriginErrors = true;
    if (outlier.consecutiveLocalOrigin !== null && outlier.consecutiveLocalOrigin > 0) {
      made.consecutiveLocalOriginFailure = outlier.consecutiveLocalOrigin;
      made.enforcingConsecutiveLocalOriginFailure = 100;
    }
    made.enforcingLocalOriginSuccessRate = 0;
  }
  cluster.outlierDetection = made;
  cluster.commonLbConfig = create(Cluster_CommonLbConfigSchema, {
    healthyPanicThreshold: { value: outlier.minHealthPercent ?? 0 },
  });
}

function httpOptions(
  pool: ConnectionPool | null,
  { isHttp2 }: PolicyContext,
  hasNames: boolean,
): HttpProtocolOptions | null {
  const isUpgraded = isHttp2 || pool?.h2Upgrade === 'UPGRADE';
  const hasCommon =
    pool !== null &&
    (pool.idleTimeoutMs !== null || pool.maxRequestsPerConnection !== null || pool.maxConnectionDurationMs !== null);
  if (!isUpgraded && !hasCommon && !hasNames && pool?.usesClientProtocol !== true) return null;
  const common = create(CommonOptionsSchema);
  if (pool?.idleTimeoutMs != null) common.idleTimeout = duration(pool.idleTimeoutMs);
  if (pool?.maxRequestsPerConnection != null && pool.maxRequestsPerConnection > 0)
    common.maxRequestsPerConnection = pool.maxRequestsPerConnection;
  if (pool?.maxConnectionDurationMs != null && pool.maxConnectionDurationMs > 0)
    common.maxConnectionDuration = duration(pool.maxConnectionDurationMs);
  const streams =
    pool?.maxConcurrentStreams == null || pool.maxConcurrentStreams === 0
      ? {}
      : { maxConcurrentStreams: pool.maxConcurrentStreams };
  const http2ProtocolOptions = create(Http2ProtocolOptionsSchema, streams);
  const options = create(HttpProtocolOptionsSchema, hasCommon ? { commonHttpProtocolOptions: common } : {});
  if (pool?.usesClientProtocol === true)
    options.upstreamProtocolOptions = {
      case: 'useDownstreamProtocolConfig',
      value: create(HttpProtocolOptions_UseDownstreamHttpConfigSchema, {
        httpProtocolOptions: {},
        http2ProtocolOptions,
      }),
    };
  else
    options.upstreamProtocolOptions = {
      case: 'explicitHttpConfig',
      value: create(
        HttpProtocolOptions_ExplicitHttpConfigSchema,
        isUpgraded
          ? { protocolConfig: { case: 'http2ProtocolOptions', value: http2ProtocolOptions } }
          : { protocolConfig: { case: 'httpProtocolOptions', value: {} } },
      ),
    };
  return options;
}
