// Compiles the circuit breakers of an Envoy cluster into gates: so many connections, waiting requests, requests,
// retries and pools at a time, for each priority, counted for all threads of the process. What a cluster does not say
// is Envoy's default (1024 each), but for retries: without max_retries they have a budget (docs/adr/010). What is
// counted is found by the cluster's name, so a newer version of the cluster goes on where the older one was, and a
// cluster that is never used takes no shared memory.
import type { Duration } from '@bufbuild/protobuf/wkt';
import type { Clock } from '../base/clock.ts';
import { error, type Problem } from '../base/problem.ts';
import type { Limits } from '../base/shared-limits.ts';
import type { ClusterLimits, Endpoint, Gate, LimitTally, PriorityLimits } from '../plan/cluster.ts';
import type {
  CircuitBreakers,
  CircuitBreakers_Thresholds as Thresholds,
} from '../xds/gen/envoy/config/cluster/v3/circuit_breaker_pb.js';
import { RoutingPriority } from '../xds/gen/envoy/config/core/v3/base_pb.js';
import { CountGate } from './count-gate.ts';
import type { ConcurrencyShare } from './concurrency-share.ts';
import type { RetryConstraint } from './retry-constraint.ts';
import { OutageGate } from './outage-gate.ts';
import { RetryBudget, RetryRate } from './retry-budget.ts';

/** Envoy's CircuitBreakers.Thresholds. */
const MAX_DEFAULT = 1024;
/** CircuitBreakers.Thresholds.RetryBudget. */
const BUDGET_PERCENT = 20;
const RETRIES_MIN = 3;
/** What 2³²-1 and more says: no limit. */
const UNLIMITED = 4_294_967_295;

export interface LimitScope {
  readonly clusterName: string;
  /** Those of the live cluster, now. */
  readonly endpoints: () => readonly Endpoint[];
  readonly limits: Limits;
  readonly clock: Clock;
  readonly tally: LimitTally;
  readonly problems: Problem[];
  readonly path: string;
  /** XBackendTrafficPolicy.retryConstraint; null: the budget is one of concurrency. */
  readonly constraint: RetryConstraint | null;
  /** This process's share of what a service serves at a time; its clusters are counted as one. Null: no such limit. */
  readonly concurrency: ConcurrencyShare | null;
}

/**
 * The limits of a cluster; Problems go to `scope.problems`. Source: Envoy CircuitBreakers; of several thresholds of a
 * priority the first counts.
 */
export function compileLimits(breakers: CircuitBreakers | undefined, scope: LimitScope): ClusterLimits {
  const { tally, concurrency, limits } = scope;
  check(breakers, scope);
  const group =
    concurrency === null ? null : new CountGate(limits, `concurrency of ${concurrency.name}`, concurrency.requests);
  return Object.freeze({
    default: compilePriority(breakers, RoutingPriority.DEFAULT, scope, group),
    high: compilePriority(breakers, RoutingPriority.HIGH, scope, group),
    tally,
  });
}

function compilePriority(
  breakers: CircuitBreakers | undefined,
  priority: RoutingPriority,
  scope: LimitScope,
  group: CountGate | null,
): PriorityLimits {
  const own = breakers?.thresholds.find((one) => one.priority === priority);
  const perHost = breakers?.perHostThresholds.find((one) => one.priority === priority);
  const { limits, clusterName, clock, constraint } = scope;
  const place = `cluster ${clusterName} ${priority === RoutingPriority.HIGH ? 'high' : 'default'}`;
  const intervalMs = constraint?.budgetIntervalMs ?? budgetIntervalMs(own?.retryBudget?.budgetInterval);
  const started = intervalMs === 0 ? null : { limits, clock, name: `${place} started`, intervalMs };
  const gate = (name: string, max: number): CountGate => new CountGate(limits, `${place} ${name}`, max);
  const requests = new CountGate(limits, `${place} requests`, maxOf(own?.maxRequests), { started, outer: group });
  const pending = gate('pending', maxOf(own?.maxPendingRequests));
  return Object.freeze({
    connections: gate('connections', maxOf(own?.maxConnections)),
    pending,
    requests,
    retries: compileRetries(own, { scope, place, requests, pending }),
    pools: gate('pools', own?.maxConnectionPools ?? Infinity),
    refusesOverBudget: constraint !== null,
    tracksRemaining: own?.trackRemaining ?? false,
    endpointGate: endpointGates(perHost?.maxConnections, place, limits),
  });
}

function maxOf(max: number | undefined): number {
  return max === undefined ? MAX_DEFAULT : max >= UNLIMITED ? Infinity : max;
}

interface RetryScope {
  readonly scope: LimitScope;
  readonly place: string;
  readonly requests: CountGate;
  readonly pending: CountGate;
}

function compileRetries(own: Thresholds | undefined, { scope, place, requests, pending }: RetryScope): Gate {
  const { limits, clock, constraint } = scope;
  const name = `${place} retries`;
  if (constraint !== null) return new RetryRate({ limits, clock, name, requests, ...constraint });
  if (own?.retryBudget === undefined && own?.maxRetries !== undefined) {
    return new CountGate(limits, name, maxOf(own.maxRetries));
  }
  const budget = new RetryBudget({
    limits,
    name,
    requests,
    pending,
    percent: own?.retryBudget?.budgetPercent?.value ?? BUDGET_PERCENT,
    retriesMin: own?.retryBudget?.minRetryConcurrency ?? RETRIES_MIN,
  });
  // Whoever writes a budget gets that one; the one that stands by default also minds outages.
  return own?.retryBudget === undefined ? new OutageGate(budget, scope.endpoints) : budget;
}

function endpointGates(max: number | undefined, place: string, limits: Limits): PriorityLimits['endpointGate'] {
  if (max === undefined || max >= UNLIMITED) return null;
  const gates = new WeakMap<Endpoint, Gate>();
  return (endpoint) => {
    const known = gates.get(endpoint) ?? new CountGate(limits, `${place} connections to ${endpoint.authority}`, max);
    gates.set(endpoint, known);
    return known;
  };
}

/** 0 when none is given. */
function budgetIntervalMs(interval: Duration | undefined): number {
  return interval === undefined ? 0 : Number(interval.seconds) * 1000 + interval.nanos / 1_000_000;
}

function check(breakers: CircuitBreakers | undefined, { problems, path }: LimitScope): void {
  for (const [index, { retryBudget }] of (breakers?.thresholds ?? []).entries()) {
    const at = `${path}.thresholds[${index}].retry_budget`;
    const percent = retryBudget?.budgetPercent?.value ?? 0;
    if (!(percent >= 0 && percent <= 100))
      problems.push(error(`${at}.budget_percent`, `${percent} is not a percentage`, 'write a value from 0 to 100'));
    if (budgetIntervalMs(retryBudget?.budgetInterval) < 0)
      problems.push(error(`${at}.budget_interval`, 'must not be negative', 'leave it out'));
  }
  for (const [index, thresholds] of (breakers?.perHostThresholds ?? []).entries()) {
    const { maxPendingRequests, maxRequests, maxRetries, maxConnectionPools, retryBudget, trackRemaining } = thresholds;
    const others = [maxPendingRequests, maxRequests, maxRetries, maxConnectionPools, retryBudget];
    if (others.every((one) => one === undefined) && !trackRemaining) continue;
    const at = `${path}.per_host_thresholds[${index}]`;
    problems.push(error(at, 'limits more than connections', 'keep priority and max_connections'));
  }
}
