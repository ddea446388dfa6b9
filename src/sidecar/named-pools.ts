// Pools of connections that are for one origin each (pool-origin.ts): by endpoint, then by origin. Origins come
// from requests, so their number is bounded: the oldest pool goes when there are too many. Pools without a
// connection, and those whose client has left, go with the sweep.
import type { Cluster, Endpoint } from '../plan/cluster.ts';
import { originKey, type PoolOrigin } from './pool-origin.ts';

/** Per endpoint. */
const HOSTS_MAX = 256;
/** Per endpoint: clients are bounded by the limit of downstream connections. */
const CLIENTS_MAX = 65_536;

interface Pool {
  readonly isEmpty: boolean;
  readonly hasLostClient: boolean;
  /** False: there are too many, and it is not kept. */
  readonly isAdmitted: boolean;
  readonly idleCount: number;
  /** True when nobody uses it or waits for it. */
  readonly isQuiet: boolean;
  serves(cluster: Cluster, isHigh: boolean): boolean;
  sweep(nowMs: number): void;
  /** It is used no more. */
  leave(): void;
}

export class NamedPools<P extends Pool> {
  readonly #make: (cluster: Cluster, endpoint: Endpoint, origin: PoolOrigin) => P;
  readonly #pools = new Map<Endpoint, Map<string, P>>();

  constructor(make: (cluster: Cluster, endpoint: Endpoint, origin: PoolOrigin) => P) {
    this.#make = make;
  }

  poolOf(cluster: Cluster, endpoint: Endpoint, origin: PoolOrigin): P {
    const name = originKey(origin);
    let named = this.#pools.get(endpoint);
    if (named === undefined) {
      named = new Map();
      this.#pools.set(endpoint, named);
    }
    const known = named.get(name);
    if (known !== undefined && !known.hasLostClient) return known;
    if (known !== undefined) known.leave();
    else if (named.size >= (origin.client === null ? HOSTS_MAX : CLIENTS_MAX)) makeRoom(named);
    const pool = this.#make(cluster, endpoint, origin);
    if (pool.isAdmitted) named.set(name, pool);
    return pool;
  }

  /** Gives up one pool of the cluster: one without connections, or of this endpoint one that nobody uses. */
  makeRoom(cluster: Cluster, endpoint: Endpoint, isHigh: boolean): boolean {
    for (const [of, named] of this.#pools) {
      for (const [name, pool] of named) {
        if (!pool.serves(cluster, isHigh)) continue;
        if (!pool.isEmpty && (of !== endpoint || !pool.isQuiet)) continue;
        named.delete(name);
        pool.leave();
        return true;
      }
    }
    return false;
  }

  drain(endpoint: Endpoint): void {
    const named = this.#pools.get(endpoint);
    if (named === undefined) return;
    this.#pools.delete(endpoint);
    for (const pool of named.values()) pool.leave();
  }

  /** Closes what is idle for too long or for nobody, and returns how many idle connections are left. */
  sweep(nowMs: number): number {
    let idle = 0;
    for (const [endpoint, named] of this.#pools) {
      for (const [name, pool] of named) {
        if (!pool.hasLostClient) pool.sweep(nowMs);
        if (pool.isEmpty || pool.hasLostClient) {
          named.delete(name);
          pool.leave();
        } else idle += pool.idleCount;
      }
      if (named.size === 0) this.#pools.delete(endpoint);
    }
    return idle;
  }

  *all(): Iterable<P> {
    for (const named of this.#pools.values()) yield* named.values();
  }

  clear(): void {
    this.#pools.clear();
  }
}

/** The oldest pool goes: its idle connections are closed, and those in use end with their requests. */
function makeRoom(named: Map<string, Pool>): void {
  for (const [name, pool] of named) {
    named.delete(name);
    pool.leave();
    return;
  }
}
