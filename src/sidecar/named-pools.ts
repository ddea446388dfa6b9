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
  readonly idleCount: number;
  sweep(nowMs: number): void;
  drain(): void;
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
    if (known !== undefined) known.drain();
    else if (named.size >= (origin.client === null ? HOSTS_MAX : CLIENTS_MAX)) makeRoom(named);
    const pool = this.#make(cluster, endpoint, origin);
    named.set(name, pool);
    return pool;
  }

  drain(endpoint: Endpoint): void {
    const named = this.#pools.get(endpoint);
    if (named === undefined) return;
    this.#pools.delete(endpoint);
    for (const pool of named.values()) pool.drain();
  }

  /** Closes what is idle for too long or for nobody, and returns how many idle connections are left. */
  sweep(nowMs: number): number {
    let idle = 0;
    for (const [endpoint, named] of this.#pools) {
      for (const [name, pool] of named) {
        if (pool.hasLostClient) pool.drain();
        else pool.sweep(nowMs);
        if (pool.isEmpty || pool.hasLostClient) named.delete(name);
        else idle += pool.idleCount;
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
    pool.drain();
    return;
  }
}
