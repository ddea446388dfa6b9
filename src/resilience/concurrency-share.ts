// How the share of this sidecar in a service-wide limit stands in the metadata of each cluster of the service:
// `outrigger: {concurrencyLimit: {name, requests}}`. Clusters of one name are counted together, because what the service
// serves does not depend on the port or the subset that a request came by. The control service writes it.
import { error, type Problem } from '../base/problem.ts';
import type { Cluster } from '../xds/gen/envoy/config/cluster/v3/cluster_pb.js';
import { METADATA_NAME } from './retry-constraint.ts';

export interface ConcurrencyShare {
  /** Of the service. */
  readonly name: string;
  /** At a time; 0 is none at all. */
  readonly requests: number;
}

/** Null when the cluster has none. */
export function readConcurrencyShare(
  { metadata }: Cluster,
  problems: Problem[],
  path: string,
): ConcurrencyShare | null {
  const share = metadata?.filterMetadata[METADATA_NAME]?.['concurrencyLimit'];
  if (share === undefined) return null;
  if (typeof share === 'object' && share !== null && !Array.isArray(share)) {
    const { name, requests } = share;
    if (typeof name === 'string' && typeof requests === 'number' && requests >= 0) return { name, requests };
  }
  const at = `${path}.metadata.filter_metadata.${METADATA_NAME}.concurrencyLimit`;
  problems.push(error(at, 'is not a share of a limit', 'write a name and a number of requests'));
  return null;
}
