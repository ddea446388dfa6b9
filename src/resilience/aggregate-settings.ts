// Compiles a cluster with a cluster_type: the aggregate, which stands for other clusters in their order. Its
// members are named, not looked for: one that does not exist (yet) is passed by.
// Source: Envoy extensions.clusters.aggregate.v3.ClusterConfig.
import { error } from '../base/problem.ts';
import type { CompileEnv } from '../plan/plan.ts';
import { Cluster_LbPolicy, type Cluster } from '../xds/gen/envoy/config/cluster/v3/cluster_pb.js';
import { ClusterConfigSchema } from '../xds/gen/envoy/extensions/clusters/aggregate/v3/cluster_pb.js';
import { unpack } from '../xds/unpack.ts';
import type { Discovery } from './cluster-settings.ts';

/** Null after reporting why the type is refused. */
export function compileClusterType(cluster: Cluster, env: CompileEnv, path: string): Discovery | null {
  if (cluster.clusterDiscoveryType.case !== 'clusterType') return null;
  const { name, typedConfig } = cluster.clusterDiscoveryType.value;
  const config = typedConfig === undefined ? null : unpack(typedConfig, ClusterConfigSchema);
  if (config === null) {
    const remedy = 'use type STATIC, STRICT_DNS, LOGICAL_DNS, EDS or ORIGINAL_DST, or envoy.clusters.aggregate';
    env.problems.push(error(`${path}.cluster_type`, `cluster type ${name} is not supported`, remedy));
    return null;
  }
  const at = `${path}.cluster_type.typed_config.clusters`;
  if (config.clusters.length === 0) env.problems.push(error(at, 'must not be empty', 'name at least one cluster'));
  if (config.clusters.includes(cluster.name)) {
    env.problems.push(error(at, 'a cluster cannot stand for itself', `remove ${cluster.name}`));
  }
  if (cluster.loadBalancingPolicy === undefined && cluster.lbPolicy !== Cluster_LbPolicy.CLUSTER_PROVIDED) {
    const message = 'an aggregate cluster provides its own balancer';
    env.problems.push(error(`${path}.lb_policy`, message, 'write CLUSTER_PROVIDED'));
  }
  return { kind: 'aggregate', clusters: Object.freeze([...config.clusters]) };
}
