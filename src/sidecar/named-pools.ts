// Pools of connections that are for one host each (auto_sni, auto_san_validation): by endpoint, then by host. Hosts
// come from requests, so their number is bounded: the oldest pool goes when there are too many.
import type { Cluster, Endpoint } from '../plan/cluster.ts';

/** Per endpoint. */
const NAMES_MAX = 256;

interface Pool {
  drain(): void;
}

export class NamedPools<P extends Pool> {
  readonly #make: (cluster: Cluster, endpoint: Endpoint, name: string) => P;
  readonly #pools = new Map<Endpoint, Map<string, P>>();

  constructor(make: (cluster: Cluster, endpoint: Endpoint, name: string) => P) {
    this.#make = make;
  }

  poolOf(cluster: Cluster, endpoint: Endpoint, host: string): P {
    const name = host.toLowerCase();
    let named = this.#pools.get(endpoint);
    if (named === undefined) {
      named = new Map();
      this.#pools.set(endpoint, named);
    }
    const known = named.get(name);
    if (known !== undefined) return known;
    if (named.size >= NAMES_MAX) makeRoom(named);
    const pool = this.#make(cluster, endpoint, name);
    named.set(name, pool);
    return pool;
  }

  drain(endpoint: Endpoint): void {
    const named = this.#pools.get(endpoint);
    if (named === undefined) return;
    this.#pools.delete(endpoint);
    for (const pool of named.values()) pool.drain();
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
