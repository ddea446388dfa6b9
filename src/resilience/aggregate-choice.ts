// @hot
// Which member of an aggregate cluster takes a request: the priorities of all members, one member after the
// other, are one list, and traffic is shared over that as over the priorities of one cluster. So the second
// member gets what the first cannot serve, and nothing while it can. The member then picks by itself; its
// limits, its TLS and its metrics count. Shares are computed again when a member's health has changed.
// Source: Envoy arch_overview aggregate_cluster.
import type { Cluster, ClusterRef, PriorityHealth } from '../plan/cluster.ts';
import { loadsOf } from './priority-load.ts';

export class AggregateChoice {
  readonly members: readonly ClusterRef[];
  readonly #panicThresholdPercent: number;
  readonly #random: () => number;
  /** What the shares were computed from. */
  readonly #seen: (Cluster | null)[];
  readonly #seenHealth: (readonly PriorityHealth[])[];
  /** Of each member, in hundredths; the sum is 100, or 0 when nobody is there. */
  readonly #shares: number[];
  #isComputing = false;
  /** Requests that another than the first took. */
  fallbacksTotal = 0;

  constructor(members: readonly ClusterRef[], panicThresholdPercent: number, random: () => number) {
    this.members = members;
    this.#panicThresholdPercent = panicThresholdPercent;
    this.#random = random;
    this.#seen = members.map(() => null);
    this.#seenHealth = members.map(() => NOBODY);
    this.#shares = members.map(() => 0);
  }

  /** The index of the member, or -1 when none exists. */
  choose(): number {
    if (this.#isStale()) this.#compute();
    const point = Math.floor(this.#random() * 100);
    let end = 0;
    for (let i = 0; i < this.#shares.length; i++) {
      end += this.#shares[i] as number;
      if (point >= end) continue;
      if (i > 0) this.fallbacksTotal++;
      return i;
    }
    return -1;
  }

  /** The priorities of all members, for an aggregate around this one. Config time. */
  get priorities(): readonly PriorityHealth[] {
    // A cluster that contains itself has nothing to add.
    if (this.#isComputing) return NOBODY;
    this.#isComputing = true;
    const list = this.members.flatMap(({ cluster }) => (cluster === null ? NOBODY : (cluster.priorities ?? NOBODY)));
    this.#isComputing = false;
    return list;
  }

  #isStale(): boolean {
    for (let i = 0; i < this.members.length; i++) {
      const { cluster } = this.members[i] as ClusterRef;
      if (cluster !== this.#seen[i]) return true;
      if (cluster === null) continue;
      // A nested aggregate has no list of its own to compare.
      if (cluster.aggregate !== undefined && cluster.aggregate !== null) return true;
      if (cluster.priorities !== this.#seenHealth[i]) return true;
    }
    return false;
  }

  /** Config time: a member has changed. */
  #compute(): void {
    const lists = this.members.map(({ cluster }) => cluster?.priorities ?? NOBODY);
    const loads = loadsOf(lists.flat(), this.#panicThresholdPercent);
    let at = 0;
    for (const [index, list] of lists.entries()) {
      let share = 0;
      for (let end = at + list.length; at < end; at++) share += (loads.healthy[at] ?? 0) + (loads.degraded[at] ?? 0);
      this.#seen[index] = this.members[index]?.cluster ?? null;
      this.#seenHealth[index] = list;
      this.#shares[index] = share;
    }
  }
}

const NOBODY: readonly PriorityHealth[] = Object.freeze([]);
