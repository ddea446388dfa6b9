// Envoy's statistics of circuit breakers: what was refused, what waits, which limit is reached, and how much is left
// where the cluster asks for that. All of it is read from the limits at scrape time. With worker threads every one of
// them tells what the process uses, once it has used any itself.
import type { Cluster, Gate, PriorityLimits } from '../plan/cluster.ts';
import type { Numbers } from './proxy-stats.ts';

/** Without `cluster.NAME.`; empty for a cluster without limits. */
export function limitNumbers({ limits }: Cluster): Numbers {
  if (limits === null || limits === undefined) return [];
  const { tally } = limits;
  return [
    ['upstream_cx_overflow', 'counter', tally.connectionOverflow],
    ['upstream_cx_pool_overflow', 'counter', tally.poolOverflow],
    ['upstream_cx_max_requests', 'counter', tally.requestMaxima],
    ['upstream_cx_max_duration_reached', 'counter', tally.ageMaxima],
    ['upstream_cx_idle_timeout', 'counter', tally.idleTimeouts],
    ['upstream_rq_pending_total', 'counter', tally.pendingTotal],
    ['upstream_rq_pending_active', 'gauge', tally.pendingActive],
    ['upstream_rq_pending_overflow', 'counter', tally.pendingOverflow],
    ['upstream_rq_active_overflow', 'counter', tally.requestOverflow],
    ['upstream_rq_retry_overflow', 'counter', tally.retryOverflow],
    ...priorityNumbers('default', limits.default),
    ...priorityNumbers('high', limits.high),
  ];
}

function priorityNumbers(name: string, limits: PriorityLimits): Numbers {
  const prefix = `circuit_breakers.${name}`;
  const gates: readonly (readonly [open: string, remaining: string, gate: Gate])[] = [
    ['cx_open', 'remaining_cx', limits.connections],
    ['cx_pool_open', 'remaining_cx_pools', limits.pools],
    ['rq_pending_open', 'remaining_pending', limits.pending],
    ['rq_open', 'remaining_rq', limits.requests],
    ['rq_retry_open', 'remaining_retries', limits.retries],
  ];
  const numbers: (readonly [string, 'gauge', number])[] = [];
  for (const [open, remaining, { used, max }] of gates) {
    // As in Envoy, a limit of nothing is not open before something was taken all the same.
    numbers.push([`${prefix}.${open}`, 'gauge', used > 0 && used >= max ? 1 : 0]);
    // Envoy counts what is unlimited down from 2³²-1.
    if (limits.tracksRemaining)
      numbers.push([`${prefix}.${remaining}`, 'gauge', Math.max(0, Math.min(max, UNLIMITED) - used)]);
  }
  return numbers;
}

const UNLIMITED = 4_294_967_295;
