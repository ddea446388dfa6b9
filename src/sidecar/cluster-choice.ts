// @hot
// The last word before a request goes to a cluster: which live cluster takes it (of an aggregate, the member
// whose turn it is), and whether it is turned away at once because the cluster is told to drop a share of its
// traffic (ClusterLoadAssignment drop_overloads).
import type { Clock } from '../base/clock.ts';
import type { Cluster, ClusterRef } from '../plan/cluster.ts';
import type { Exchange } from '../plan/exchange.ts';
import { failure, type Failure } from '../plan/failure.ts';

const NO_CLUSTER = failure('no-cluster', 'internal', 'no');
const NOT_PERMITTED = failure('not-permitted', 'internal', 'no');
const DROPPED = failure('drop-overload', 'internal', 'no');
const ALL_DROPPED = failure('drop-all', 'internal', 'no');
/** Aggregates inside of aggregates that are followed. */
const DEPTH_MAX = 8;

/** The live cluster that takes the request, which `x.cluster` then names; null when there is none. */
export function chooseCluster(x: Exchange, clock: Clock): Cluster | null {
  const cluster = x.cluster === null ? null : x.cluster.cluster;
  if (cluster === null || cluster.aggregate === undefined || cluster.aggregate === null) return cluster;
  const chosen = memberOf(cluster);
  if (chosen === null) return cluster;
  if (chosen !== cluster.aggregate.members[0]) x.note(clock.now(), 'fallback', chosen.name);
  x.cluster = chosen;
  return chosen.cluster;
}

/** The member of an aggregate whose turn it is; null when nobody is there. */
export function memberOf(aggregate: Cluster): ClusterRef | null {
  let cluster = aggregate;
  for (let depth = 0; depth < DEPTH_MAX; depth++) {
    if (cluster.aggregate === undefined || cluster.aggregate === null) return null;
    const index = cluster.aggregate.choose();
    const ref = index === -1 ? null : (cluster.aggregate.members[index] as ClusterRef);
    if (ref === null || ref.cluster === null) return null;
    if (ref.cluster.aggregate === undefined || ref.cluster.aggregate === null) return ref;
    cluster = ref.cluster;
  }
  return null;
}

/** Why the request is not sent to `cluster`; null when it is. */
export function refusalOf(x: Exchange, cluster: Cluster | null, random: () => number): Failure | null {
  if (!x.isPermitted) return NOT_PERMITTED;
  if (cluster === null) return NO_CLUSTER;
  const { dropShare } = cluster;
  if (dropShare === undefined || dropShare === 0) return null;
  if (dropShare >= 1) return ALL_DROPPED;
  return random() < dropShare ? DROPPED : null;
}
