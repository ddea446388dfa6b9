// What active health checks mean for the endpoints of one cluster, beside their flags: whose first result the cluster
// waits for before it is used, where each is checked, and who stays although discovery has dropped it, because
// its checks still pass. A new endpoint fails until its first check has passed, as in Envoy.
import { UNFIT, type Endpoint } from '../plan/cluster.ts';
import type { LiveCluster } from './cluster.ts';
import type { ClusterSettings } from './cluster-settings.ts';
import { SAME_PLACE, type CheckPlace } from './health-check-settings.ts';

/** What the checks of one endpoint say together. */
export interface CheckVerdict {
  /** Bits of CHECK_BITS. */
  readonly unfit: number;
  readonly isDegraded: boolean;
  /** False before each of its checks has had a result. */
  readonly isChecked: boolean;
}

/** Who checks endpoints. Verdicts come by LiveCluster.judge, never from inside these calls. */
export interface HealthWatcher {
  /** The endpoints or the settings are new, or as they were. */
  follow(cluster: LiveCluster): void;
  forget(cluster: LiveCluster): void;
}

/** The reasons of UNFIT that active checks give and take. */
export const CHECK_BITS = UNFIT.FAILED_CHECK | UNFIT.EXCLUDED | UNFIT.UNCHECKED | UNFIT.CHECK_TIMED_OUT;

export class CheckedEndpoints {
  /** Those that have had no result yet. */
  readonly #unchecked = new Set<Endpoint>();
  /** Those that discovery has dropped. */
  readonly #lingering = new Set<Endpoint>();
  readonly #places = new WeakMap<Endpoint, CheckPlace>();

  #listeners: ((endpoint: Endpoint, hasPassed: boolean) => void)[] = [];

  /** Called after each result of an endpoint's active checks; passed means all of them. */
  onResult(callback: (endpoint: Endpoint, hasPassed: boolean) => void): void {
    this.#listeners.push(callback);
  }

  tell(endpoint: Endpoint, hasPassed: boolean): void {
    for (const callback of this.#listeners) callback(endpoint, hasPassed);
  }

  close(): void {
    this.#listeners = [];
  }

  get areAllChecked(): boolean {
    return this.#unchecked.size === 0;
  }

  /** True once each of its checks has had a result. */
  isChecked(endpoint: Endpoint): boolean {
    return !this.#unchecked.has(endpoint);
  }

  placeOf(endpoint: Endpoint): CheckPlace {
    return this.#places.get(endpoint) ?? SAME_PLACE;
  }

  /** True when discovery has dropped it, and it is kept because its checks pass. */
  isLingering(endpoint: Endpoint): boolean {
    return this.#lingering.has(endpoint);
  }

  place(endpoint: Endpoint, place: CheckPlace | null | undefined): void {
    this.#lingering.delete(endpoint);
    if (place !== null && place !== undefined) this.#places.set(endpoint, place);
    else this.#places.delete(endpoint);
  }

  /** A new endpoint, before it can be picked. */
  begin(endpoint: Endpoint, { source }: ClusterSettings): void {
    if (this.placeOf(endpoint).isDisabled) return;
    endpoint.unfit |= source.commonLbConfig?.ignoreNewHostsUntilFirstHc
      ? UNFIT.FAILED_CHECK | UNFIT.UNCHECKED
      : UNFIT.FAILED_CHECK;
    this.#unchecked.add(endpoint);
  }

  /** True when the flags of the endpoint have changed. */
  judge(endpoint: Endpoint, verdict: CheckVerdict): boolean {
    if (verdict.isChecked) this.#unchecked.delete(endpoint);
    const unfit = (endpoint.unfit & ~CHECK_BITS) | verdict.unfit;
    if (unfit === endpoint.unfit && verdict.isDegraded === endpoint.isDegraded) return false;
    endpoint.unfit = unfit;
    endpoint.isDegraded = verdict.isDegraded;
    return true;
  }

  /** Discovery has dropped the endpoint; true when it stays until its checks fail, as in Envoy. */
  lingers(endpoint: Endpoint, { source, discovery: { kind } }: ClusterSettings): boolean {
    if (source.ignoreHealthOnHostRemoval || (kind !== 'eds' && kind !== 'strict-dns')) return false;
    if (this.placeOf(endpoint).isDisabled || (endpoint.unfit & UNFIT.FAILED_CHECK) !== 0) return false;
    this.#lingering.add(endpoint);
    return true;
  }

  drop(endpoint: Endpoint): void {
    this.#unchecked.delete(endpoint);
    this.#lingering.delete(endpoint);
  }

  /** Nobody checks any more: what checks have found is void. True when that changed anything. */
  forget(endpoints: readonly Endpoint[]): boolean {
    this.#unchecked.clear();
    let isChanged = false;
    for (const endpoint of endpoints) {
      if (this.judge(endpoint, { unfit: 0, isDegraded: false, isChecked: true })) isChanged = true;
    }
    return isChanged;
  }
}
