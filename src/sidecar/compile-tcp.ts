// Compiles a TcpProxy filter: one cluster, or several with cumulative shares.
import { error } from '../base/problem.ts';
import { compileAccessLog } from '../observe/access-log.ts';
import { TcpMetrics } from '../observe/tcp-metrics.ts';
import { EMPTY } from '../plan/plan.ts';
import type { TcpProxy as TcpProxyProto } from '../xds/gen/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy_pb.js';
import { durationMs } from './compile-duration.ts';
import { join, type CompileScope } from './compile-listener.ts';
import type { TcpProxy } from './listener-config.ts';

const IDLE_TIMEOUT_MS = 3_600_000;

export function compileTcpProxy(config: TcpProxyProto, scope: CompileScope): TcpProxy | null {
  const { env, context, path } = scope;
  const shares = sharesOf(config);
  const total = shares.reduce((sum, share) => sum + share.weight, 0);
  if (shares.length === 0 || total === 0) {
    env.problems.push(error(path, 'no cluster is named', 'write cluster or weighted_clusters with weights'));
    return null;
  }
  const log = compileAccessLog(config.accessLog, env, join(path, 'access_log'), context.logFiles);
  let sum = 0;
  const points = shares.map((share) => (sum += share.weight) / total);
  return Object.freeze({
    statPrefix: config.statPrefix,
    tally: context.stats.tcp(config.statPrefix),
    metrics: new TcpMetrics(context.registry, context.node),
    clusters: shares.map((share) => env.clusterRef(share.name)),
    points,
    idleTimeoutMs: durationMs(config.idleTimeout, IDLE_TIMEOUT_MS),
    maxConnectAttempts: config.maxConnectAttempts ?? 1,
    hashesSourceIp: config.hashPolicy.some(({ policySpecifier }) => policySpecifier.case === 'sourceIp'),
    durationMaxMs: durationMs(config.maxDownstreamConnectionDuration, 0),
    logsConnected: config.accessLogOptions?.flushAccessLogOnConnected ?? config.flushAccessLogOnConnected,
    logIntervalMs: durationMs(config.accessLogOptions?.accessLogFlushInterval ?? config.accessLogFlushInterval, 0),
    onEnd: log?.onEnd ?? EMPTY,
  });
}

interface Share {
  readonly name: string;
  readonly weight: number;
}

function sharesOf(config: TcpProxyProto): readonly Share[] {
  const { clusterSpecifier } = config;
  switch (clusterSpecifier.case) {
    case 'cluster':
      return [{ name: clusterSpecifier.value, weight: 1 }];
    case 'weightedClusters':
      return clusterSpecifier.value.clusters;
    default:
      return [];
  }
}
