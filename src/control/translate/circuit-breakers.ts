// The limits of a cluster before anybody sets any: Istio's breakers are open until a DestinationRule closes them, but
// retries have a budget (docs/adr/010), which is written out so that an Envoy keeps to it as our sidecars do.
import { create } from '@bufbuild/protobuf';
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
import { writeMetadata } from './own-metadata.ts';

const UNLIMITED = 4_294_967_295;
const BUDGET_PERCENT = 20;
const RETRIES_MIN = 3;

export function openBreakers(): CircuitBreakers {
  return create(CircuitBreakersSchema, {
    thresholds: [
      {
        maxConnections: UNLIMITED,
        maxPendingRequests: UNLIMITED,
        maxRequests: UNLIMITED,
        retryBudget: budgetOf({ percent: null, retriesMin: null }),
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
  // Envoy's proto has no field for it yet (resilience/retry-constraint.ts reads this).
  writeMetadata(cluster, { retryBudgetIntervalMs: budget.intervalMs || undefined });
}

function budgetOf({ percent, retriesMin }: Pick<RetryBudget, 'percent' | 'retriesMin'>) {
  return create(CircuitBreakers_Thresholds_RetryBudgetSchema, {
    budgetPercent: { value: percent ?? BUDGET_PERCENT },
    minRetryConcurrency: retriesMin ?? RETRIES_MIN,
  });
}
