// What follows for connections and requests from the health of endpoints: warm connections to one that fails are
// closed, as Envoy does, and a response that asks to leave its endpoint out is heard.
import { internHeader } from '../http/header-name.ts';
import { UNFIT, type Endpoint, type EndpointWatch } from '../plan/cluster.ts';
import type { Exchange } from '../plan/exchange.ts';
import type { LiveCluster } from '../resilience/cluster.ts';
import type { PoolRegistry } from './upstream-pool.ts';

/** From now on; requests under way end as they would. */
export function drainFailed(cluster: LiveCluster, pools: PoolRegistry): void {
  let failed = new Set<Endpoint>();
  cluster.checked.onResult((endpoint, hasPassed) => {
    if (hasPassed) failed.delete(endpoint);
    else if (!failed.has(endpoint)) {
      failed.add(endpoint);
      pools.drain(endpoint);
    }
  });
  cluster.onEndpoints(() => {
    failed = new Set(cluster.endpoints.filter((endpoint) => failed.has(endpoint)));
  });
}

/** Tells of responses with `x-envoy-immediate-health-check-fail`. */
export class ImmediateFailures implements EndpointWatch {
  readonly #onFailure: (endpoint: Endpoint) => void;
  readonly #header = internHeader('x-envoy-immediate-health-check-fail');

  constructor(onFailure: (endpoint: Endpoint) => void) {
    this.#onFailure = onFailure;
  }

  onOutcome(endpoint: Endpoint, outcome: number, _latencyMs: number, x: Exchange | null): void {
    if (x === null || outcome < 100 || x.response.find(this.#header) === -1) return;
    if ((endpoint.unfit & UNFIT.EXCLUDED) === 0) this.#onFailure(endpoint);
  }
}
