// @hot
// Pick first: every request goes to the first endpoint of the list that is fit; the others stand by.
// Source: gRFC A62 (extensions.load_balancing_policies.pick_first).
import type { Endpoint, Picker } from '../plan/cluster.ts';

export class FirstPicker implements Picker {
  readonly #endpoint: Endpoint;

  /** At least one endpoint. */
  constructor(endpoints: readonly Endpoint[]) {
    this.#endpoint = endpoints[0] as Endpoint;
  }

  pick(): Endpoint {
    return this.#endpoint;
  }
}
