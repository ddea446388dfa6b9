// Compiles what only an ORIGINAL_DST cluster has: the header that may name the destination, the port that
// is always dialled, and how long an unused destination is remembered. Such a cluster has no endpoints of
// its own and provides its own balancer. Source: Envoy config.cluster.v3.Cluster.OriginalDstLbConfig.
import { error } from '../base/problem.ts';
import type { CompileEnv } from '../plan/plan.ts';
import type { Cluster } from '../xds/gen/envoy/config/cluster/v3/cluster_pb.js';
import { Cluster_LbPolicy } from '../xds/gen/envoy/config/cluster/v3/cluster_pb.js';
import type { Discovery } from './cluster-settings.ts';
import { durationMs } from './duration.ts';

const CLEANUP_MS = 5000;
const HEADER = 'x-envoy-original-dst-host';

export function compileOriginalDst(cluster: Cluster, env: CompileEnv, path: string): Discovery {
  if (cluster.loadAssignment !== undefined) {
    const message = 'an ORIGINAL_DST cluster has no endpoints of its own';
    env.problems.push(error(`${path}.load_assignment`, message, 'remove it'));
  }
  if (cluster.loadBalancingPolicy === undefined && cluster.lbPolicy !== Cluster_LbPolicy.CLUSTER_PROVIDED) {
    const message = 'an ORIGINAL_DST cluster provides its own balancer';
    env.problems.push(error(`${path}.lb_policy`, message, 'write CLUSTER_PROVIDED'));
  }
  const config = cluster.lbConfig.case === 'originalDstLbConfig' ? cluster.lbConfig.value : undefined;
  const portOverride = config?.upstreamPortOverride ?? 0;
  if (portOverride > 65_535) {
    const at = `${path}.original_dst_lb_config.upstream_port_override`;
    env.problems.push(error(at, `${portOverride} is not a port`, 'write 1 to 65535'));
  }
  if (config !== undefined && config.httpHeaderName !== '' && !config.useHttpHeader) {
    const at = `${path}.original_dst_lb_config.http_header_name`;
    env.problems.push(error(at, 'names a header that is not used', 'write use_http_header: true beside it'));
  }
  const name = config === undefined || config.httpHeaderName === '' ? HEADER : config.httpHeaderName.toLowerCase();
  const cleanup = { absentMs: CLEANUP_MS, aboveMs: 0 };
  return {
    kind: 'original-dst',
    headerName: config?.useHttpHeader === true ? name : '',
    portOverride,
    cleanupMs: durationMs(cluster.cleanupInterval, cleanup, env, `${path}.cleanup_interval`),
  };
}
