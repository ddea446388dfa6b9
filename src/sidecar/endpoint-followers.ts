// The TCP connections to each endpoint, for clusters whose connections end when their endpoint fails
// (Cluster.close_connections_on_host_health_failure).
import type { Endpoint } from '../plan/cluster.ts';

export interface Follower {
  /** Ends the connection on both sides. */
  onEndpointFailed(): void;
}

export class EndpointFollowers {
  readonly #byEndpoint = new Map<Endpoint, Set<Follower>>();

  add(endpoint: Endpoint, follower: Follower): void {
    const known = this.#byEndpoint.get(endpoint);
    if (known === undefined) this.#byEndpoint.set(endpoint, new Set([follower]));
    else known.add(follower);
  }

  remove(endpoint: Endpoint, follower: Follower): void {
    const known = this.#byEndpoint.get(endpoint);
    if (known === undefined || !known.delete(follower)) return;
    if (known.size === 0) this.#byEndpoint.delete(endpoint);
  }

  /** The endpoint has failed. */
  fail(endpoint: Endpoint): void {
    const known = this.#byEndpoint.get(endpoint);
    if (known === undefined) return;
    for (const follower of Array.from(known)) follower.onEndpointFailed();
  }
}
