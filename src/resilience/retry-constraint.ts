// How a retry constraint stands in the metadata of a cluster (`outrigger`), because CircuitBreakers has no field for it:
// `retryConstraint: {percent, intervalMs, minCount, minIntervalMs}` is XBackendTrafficPolicy's, `retryBudgetIntervalMs`
// DestinationRule's budgetInterval. The control service writes it; what it does not understand is told as a Problem.
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

export interface RetryMetadata {
  readonly constraint: RetryConstraint | null;
  /** 0: none. */
  readonly budgetIntervalMs: number;
}

export const METADATA_NAME = 'outrigger';

export function readRetryMetadata({ metadata }: Cluster, problems: Problem[], path: string): RetryMetadata {
  const own = metadata?.filterMetadata[METADATA_NAME];
  const at = `${path}.metadata.filter_metadata.${METADATA_NAME}`;
  if (own === undefined) return { constraint: null, budgetIntervalMs: 0 };
  const budgetIntervalMs = numberOf(own, 'retryBudgetIntervalMs', 0, { problems, at });
  const constraint = own['retryConstraint'];
  if (constraint === undefined) return { constraint: null, budgetIntervalMs };
  const scope = { problems, at: `${at}.retryConstraint` };
  if (typeof constraint !== 'object' || constraint === null || Array.isArray(constraint)) {
    problems.push(error(scope.at, 'is not an object', 'write percent, intervalMs, minCount and minIntervalMs'));
    return { constraint: null, budgetIntervalMs };
  }
  const read = (name: string, absent: number): number => numberOf(constraint, name, absent, scope);
  return {
    constraint: {
      percent: read('percent', 20),
      budgetIntervalMs: Math.max(1, read('intervalMs', 10_000)),
      minCount: read('minCount', 10),
      minIntervalMs: Math.max(1, read('minIntervalMs', 1000)),
    },
    budgetIntervalMs,
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
