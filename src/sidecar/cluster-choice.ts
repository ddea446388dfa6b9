// @hot
// The last word before a request goes to a cluster: which live cluster takes it, and whether it is turned
// away at once because the cluster is told to drop a share of its traffic (ClusterLoadAssignment
// drop_overloads).
import type { Cluster } from '../plan/cluster.ts';
import type { Exchange } from '../plan/exchange.ts';
import { failure, type Failure } from '../plan/failure.ts';

const NO_CLUSTER = failure('no-cluster', 'internal', 'no');
const NOT_PERMITTED = failure('not-permitted', 'internal', 'no');
const DROPPED = failure('drop-overload', 'internal', 'no');

/** The live cluster that takes the request; null when there is none. */
export function chooseCluster(x: Exchange): Cluster | null {
  return x.cluster === null ? null : x.cluster.cluster;
}

/** Why the request is not sent to `cluster`; null when it is. */
export function refusalOf(x: Exchange, cluster: Cluster | null, random: () => number): Failure | null {
  if (!x.isPermitted) return NOT_PERMITTED;
  if (cluster === null) return NO_CLUSTER;
  const { dropShare } = cluster;
  return dropShare !== undefined && dropShare > 0 && random() < dropShare ? DROPPED : null;
}
