// How the Gateway API's retry constraint (XBackendTrafficPolicy.retryConstraint) stands in the metadata of a cluster, because
// CircuitBreakers has no field for it: `outrigger: {retryConstraint: {percent, intervalMs, minCount, minIntervalMs}}`. The
// control service writes it; what is not understood is told as a Problem.
import type { JsonObject } from '@bufbuild/protobuf';
import { error, type Problem } from '../base/problem.ts';
import type { Cluster } from '../xds/gen/envoy/config/cluster/v3/cluster_pb.js';

/** Retries by rate (Gateway API XBackendTrafficPolicy.retryConstraint). */
export interface RetryConstraint {
  /** Of the requests that began within `budgetIntervalMs`; 20 by default. */
  readonly percent: number;
  /** 10000 by default. */
  readonly budgetIntervalMs: number;
  /** So many retries within `minIntervalMs` are never refused; 10 in 1000 ms by default. */
  readonly minCount: number;
  readonly minIntervalMs: number;
}

export const METADATA_NAME = 'outrigger';

/** Null when the cluster has none. */
export function readRetryConstraint({ metadata }: Cluster, problems: Problem[], path: string): RetryConstraint | null {
  const constraint = metadata?.filterMetadata[METADATA_NAME]?.['retryConstraint'];
  if (constraint === undefined) return null;
  const scope = { problems, at: `${path}.metadata.filter_metadata.${METADATA_NAME}.retryConstraint` };
  if (typeof constraint !== 'object' || constraint === null || Array.isArray(constraint)) {
    problems.push(error(scope.at, 'is not an object', 'write percent, intervalMs, minCount and minIntervalMs'));
    return null;
  }
  const read = (name: string, absent: number): number => numberOf(constraint, name, absent, scope);
  return {
    percent: read('percent', 20),
    budgetIntervalMs: Math.max(1, read('intervalMs', 10_000)),
    minCount: read('minCount', 10),
    minIntervalMs: Math.max(1, read('minIntervalMs', 1000)),
  };
}

interface Scope {
  readonly problems: Problem[];
  readonly at: string;
}

function numberOf(from: JsonObject, name: string, absent: number, { problems, at }: Scope): number {
  const value = from[name];
  if (value === undefined) return absent;
  if (typeof value === 'number' && value >= 0) return value;
  problems.push(error(`${at}.${name}`, 'is not a number of at least 0', 'write one, or leave it out'));
  return absent;
}
