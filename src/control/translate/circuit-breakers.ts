// The limits of a cluster before anybody sets any: Istio's breakers are open until a DestinationRule closes them, but
// retries have a budget (docs/adr/010), which our own sidecars have by themselves and others because it is
// written.
import { create } from '@bufbuild/protobuf';
import type { RetryConstraintSection } from '../../config/backend-traffic-policy.ts';
import type { RetryBudget } from '../../config/retry-budget.ts';
import {
  CircuitBreakersSchema,
  CircuitBreakers_Thresholds_RetryBudgetSchema,
} from '../../xds/gen/envoy/config/cluster/v3/circuit_breaker_pb.js';
import type {
  CircuitBreakers,
  CircuitBreakers_Thresholds,
} from '../../xds/gen/envoy/config/cluster/v3/circuit_breaker_pb.js';
import type { Cluster } from '../../xds/gen/envoy/config/cluster/v3/cluster_pb.js';
import type { Abilities } from '../mesh-node.ts';
import { writeMetadata } from './own-metadata.ts';
import { duration } from './proto.ts';

const UNLIMITED = 4_294_967_295;
const BUDGET_PERCENT = 20;
const RETRIES_MIN = 3;

export function openBreakers({ budgetsRetries }: Pick<Abilities, 'budgetsRetries'>): CircuitBreakers {
  const retries = budgetsRetries
    ? {}
    : { retryBudget: budgetOf({ percent: null, retriesMin: null, intervalMs: null }) };
  return create(CircuitBreakersSchema, {
    thresholds: [
      {
        maxConnections: UNLIMITED,
        maxPendingRequests: UNLIMITED,
        maxRequests: UNLIMITED,
        ...retries,
        trackRemaining: true,
      },
    ],
  });
}

/** A number of retries takes the place of the budget. */
export function limitRetries(threshold: CircuitBreakers_Thresholds, retriesMax: number): void {
  threshold.maxRetries = retriesMax;
  threshold.retryBudget = undefined;
}

/** A budget takes the place of a number of retries (Envoy: retry_budget). */
export function applyRetryBudget(cluster: Cluster, budget: RetryBudget): void {
  const [threshold] = cluster.circuitBreakers?.thresholds ?? [];
  if (threshold === undefined) return;
  threshold.retryBudget = budgetOf(budget);
  threshold.maxRetries = undefined;
}

/**
 * Retries by rate, for which Envoy has no field (resilience/retry-constraint.ts reads the metadata). An Envoy gets what is
 * nearest to it: a budget over the same interval.
 */
export function applyRetryConstraint(
  cluster: Cluster,
  { percent, intervalMs, minCount, minIntervalMs }: RetryConstraintSection,
  { budgetsRetries }: Pick<Abilities, 'budgetsRetries'>,
): void {
  if (budgetsRetries) writeMetadata(cluster, { retryConstraint: { percent, intervalMs, minCount, minIntervalMs } });
  else applyRetryBudget(cluster, { percent, retriesMin: minCount, intervalMs });
}

function budgetOf({ percent, retriesMin, intervalMs }: RetryBudget) {
  return create(CircuitBreakers_Thresholds_RetryBudgetSchema, {
    budgetPercent: { value: percent ?? BUDGET_PERCENT },
    minRetryConcurrency: retriesMin ?? RETRIES_MIN,
    ...(intervalMs === null || intervalMs === 0 ? {} : { budgetInterval: duration(intervalMs) }),
  });
}
