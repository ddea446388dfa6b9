// @hot
// What one pool takes from the limits of its cluster: for its connections, for those who wait and for the requests under
// way. All of it is counted by name for the whole process, so what was taken under one version of the cluster may be
// given back under the next. Refusals are counted here; whom they meet is the pool's business.
import {
  limitsOf,
  type Cluster,
  type Endpoint,
  type Gate,
  type LimitTally,
  type PriorityLimits,
} from '../plan/cluster.ts';
import { failure, type Failure } from '../plan/failure.ts';
import type { UpstreamConnection } from './h1-client.ts';

/** What a request is told that met a limit: so many wait, or so many are under way. */
export const PENDING_OVERFLOW: Failure = Object.freeze(failure('overflow', 'internal', 'no', 'max_pending_requests'));
export const REQUEST_OVERFLOW: Failure = Object.freeze(failure('overflow', 'internal', 'no', 'max_requests'));

export class PoolPermits {
  readonly #isHigh: boolean;
  readonly #endpoint: Endpoint;
  #limits: PriorityLimits | null = null;
  #tally: LimitTally | null = null;

  constructor(endpoint: Endpoint, isHigh: boolean) {
    this.#endpoint = endpoint;
    this.#isHigh = isHigh;
  }

  /** The cluster may have newer limits. */
  follow(cluster: Cluster): void {
    this.#limits = limitsOf(cluster, this.#isHigh);
    this.#tally = cluster.limits?.tally ?? null;
  }

  /** For a request on `connection`; false: the cluster serves as many as it may. */
  admits(connection: UpstreamConnection): boolean {
    const limits = this.#limits;
    if (limits === null) return true;
    if (limits.requests.acquire()) {
      connection.permit = limits.requests;
      return true;
    }
    if (this.#tally !== null) this.#tally.requestOverflow++;
    return false;
  }

  /** The request on `connection` is over, one way or another. */
  dismiss(connection: UpstreamConnection): void {
    const { permit } = connection;
    if (permit === null) return;
    connection.permit = null;
    permit.release();
  }

  /** For one that waits; false: there are as many as there may be. */
  admitsWaiter(): boolean {
    if (this.#limits === null) return true;
    const isAdmitted = this.#limits.pending.acquire();
    if (this.#tally === null) return isAdmitted;
    if (isAdmitted) {
      this.#tally.pendingTotal++;
      this.#tally.pendingActive++;
    } else this.#tally.pendingOverflow++;
    return isAdmitted;
  }

  dismissWaiter(): void {
    if (this.#limits === null) return;
    this.#limits.pending.release();
    if (this.#tally !== null) this.#tally.pendingActive--;
  }

  /** For one more connection (per connection). `isFirst`: the endpoint has none, and gets it whatever the limit is. */
  admitsConnection(isFirst: boolean): boolean {
    const limits = this.#limits;
    if (limits === null) return true;
    const own = this.#endpointGate();
    if (own === null || own.acquire()) {
      if (limits.connections.acquire()) return true;
      own?.release();
    }
    if (this.#tally !== null) this.#tally.connectionOverflow++;
    if (!isFirst) return false;
    own?.take();
    limits.connections.take();
    return true;
  }

  /** A connection is closed, or was never made. */
  dismissConnection(): void {
    if (this.#limits === null) return;
    this.#limits.connections.release();
    this.#endpointGate()?.release();
  }

  /** For the pool itself. */
  admitsPool(): boolean {
    return this.#limits === null || this.#limits.pools.acquire();
  }

  dismissPool(): void {
    this.#limits?.pools.release();
  }

  countPoolOverflow(): void {
    if (this.#tally !== null) this.#tally.poolOverflow++;
  }

  /** A connection has served as many requests as it may, has been idle for too long, or has grown too old. */
  countMaximum(): void {
    if (this.#tally !== null) this.#tally.requestMaxima++;
  }

  countIdle(): void {
    if (this.#tally !== null) this.#tally.idleTimeouts++;
  }

  countAge(): void {
    if (this.#tally !== null) this.#tally.ageMaxima++;
  }

  #endpointGate(): Gate | null {
    const find = this.#limits === null ? null : this.#limits.endpointGate;
    return find === null ? null : find(this.#endpoint);
  }
}
