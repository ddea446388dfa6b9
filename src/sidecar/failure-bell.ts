// Tells that an endpoint of a cluster has been ejected or has failed its checks: connections to it are then as doubtful
// as the endpoint. Other reasons to give it no traffic say nothing of its connections.
import { UNFIT, type Endpoint } from '../plan/cluster.ts';

const FAILED = UNFIT.EJECTED | UNFIT.FAILED_CHECK;

export class FailureBell {
  readonly #failed = new WeakSet<Endpoint>();
  readonly #onFailed: (endpoint: Endpoint) => void;

  /** `onFailed` is called once for each time that an endpoint fails. */
  constructor(onFailed: (endpoint: Endpoint) => void) {
    this.#onFailed = onFailed;
  }

  /** Looks at endpoints of which some may have changed. */
  look(endpoints: readonly Endpoint[]): void {
    for (const endpoint of endpoints) {
      const hasFailed = (endpoint.unfit & FAILED) !== 0;
      if (hasFailed === this.#failed.has(endpoint)) continue;
      if (hasFailed) this.#failed.add(endpoint);
      else this.#failed.delete(endpoint);
      if (hasFailed) this.#onFailed(endpoint);
    }
  }
}
