// How a cluster's traffic is shared between its priorities: Envoy's whole-number arithmetic, remainders
// included. Pure: availability in, percentages out, and the same for the linear list of an aggregate
// cluster. What the shares are used for is priority-picker.ts.
//
//   availability(P) = min(100, overprovisioning factor × fit / all)     normalised total = min(100, sum)
//   load(P) = min(what is left, availability(P) × 100 / total), healthy endpoints first, degraded after them
//
// Source: Envoy arch_overview load_balancing/{priority,degraded,panic_threshold}.

import type { PriorityHealth } from '../plan/cluster.ts';

/** Percentages that add up to 100, by index of the priority. */
export interface PriorityLoads {
  readonly healthy: readonly number[];
  readonly degraded: readonly number[];
  /** Priorities whose health is not believed: all their endpoints take traffic. */
  readonly isPanicking: readonly boolean[];
}

/** The health of one priority from counts (or weights); `total` leaves out those that are excluded. */
export function availabilityOf(fit: number, total: number, overprovisioningFactor: number): number {
  return total === 0 ? 0 : Math.min(100, Math.floor((overprovisioningFactor * fit) / total));
}

/** The shares of all priorities. A `panicThresholdPercent` of 0 never panics. */
export function loadsOf(priorities: readonly PriorityHealth[], panicThresholdPercent: number): PriorityLoads {
  const total = totalOf(priorities);
  const loads = total === 0 ? noLoads(priorities) : share(priorities, total);
  if (panicThresholdPercent === 0 && total === 0) return { ...loads, healthy: allOnFirst(priorities) };
  const isPanicking = priorities.map(({ fitPercent }) => total < 100 && fitPercent < panicThresholdPercent);
  if (!isPanicking.every(Boolean)) return { ...loads, isPanicking };
  return { healthy: shareBySize(priorities), degraded: priorities.map(() => 0), isPanicking };
}

/**
 * The shares when some priorities were tried already (retry_priority previous_priorities); null when nothing is
 * left without them: then they count again.
 */
export function loadsWithout(
  priorities: readonly PriorityHealth[],
  isExcluded: (index: number) => boolean,
): PriorityLoads | null {
  const left = priorities.map((one, index) => (isExcluded(index) ? { ...one, health: 0, degraded: 0 } : one));
  const total = totalOf(left);
  return total === 0 ? null : share(left, total);
}

function totalOf(priorities: readonly PriorityHealth[]): number {
  return Math.min(
    100,
    priorities.reduce((sum, { health, degraded }) => sum + health + degraded, 0),
  );
}

function share(priorities: readonly PriorityHealth[], total: number): PriorityLoads {
  let left = 100;
  const take = (availability: number): number => {
    const load = Math.min(left, Math.floor((availability * 100) / total));
    left -= load;
    return load;
  };
  const healthy = priorities.map(({ health }) => take(health));
  const degraded = priorities.map((one) => take(one.degraded));
  // What rounding left goes to the first that is available at all.
  const firstHealthy = priorities.findIndex(({ health }) => health > 0);
  const firstDegraded = priorities.findIndex((one) => one.degraded > 0);
  if (firstHealthy !== -1) healthy[firstHealthy] = (healthy[firstHealthy] ?? 0) + left;
  else if (firstDegraded !== -1) degraded[firstDegraded] = (degraded[firstDegraded] ?? 0) + left;
  return { healthy, degraded, isPanicking: priorities.map(() => false) };
}

/** In a total panic every endpoint counts the same, whatever its health. */
function shareBySize(priorities: readonly PriorityHealth[]): readonly number[] {
  const sum = priorities.reduce((all, { size }) => all + size, 0);
  if (sum === 0) return allOnFirst(priorities);
  const loads = priorities.map(({ size }) => Math.floor((100 * size) / sum));
  const first = priorities.findIndex(({ size }) => size > 0);
  loads[first] = (loads[first] ?? 0) + 100 - loads.reduce((all, load) => all + load, 0);
  return loads;
}

function allOnFirst(priorities: readonly PriorityHealth[]): readonly number[] {
  return priorities.map((_one, index) => (index === 0 ? 100 : 0));
}

function noLoads(priorities: readonly PriorityHealth[]): PriorityLoads {
  const none = priorities.map(() => 0);
  return { healthy: none, degraded: none, isPanicking: priorities.map(() => false) };
}
