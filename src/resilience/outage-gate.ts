// @hot
// Keeps retries from making an outage worse. While a cluster answers some of its requests, the gate behind this one
// decides alone. Since the last attempt that went well, though, no more retries are allowed than a share of the
// requests that failed, or a few: whoever gets nothing but failures gains nothing by asking more often, and a service
// that comes back is not met by a crowd. What went well is read from the endpoints' counters when a retry asks,
// so requests pay nothing for it.
import type { Endpoint, Gate } from '../plan/cluster.ts';

/** Retries per failed request while nothing goes well. */
const SHARE = 0.2;
/** So many retries are allowed in any outage. */
const RETRIES_MIN = 20;

export class OutageGate implements Gate {
  readonly #inner: Gate;
  readonly #endpoints: () => readonly Endpoint[];
  /** Attempts that went well, of all endpoints, when somebody last looked. */
  #wentWell = -1;
  /** All attempts at that time. */
  #attemptsBefore = 0;
  /** Allowed since then. */
  #retries = 0;

  /** `endpoints`: those of the cluster, now. */
  constructor(inner: Gate, endpoints: () => readonly Endpoint[]) {
    this.#inner = inner;
    this.#endpoints = endpoints;
  }

  get max(): number {
    return this.#inner.max;
  }

  get used(): number {
    return this.#inner.used;
  }

  acquire(): boolean {
    const failed = this.#failedRequests();
    if (this.#retries + 1 > Math.max(RETRIES_MIN, SHARE * failed) || !this.#inner.acquire()) return false;
    this.#retries++;
    return true;
  }

  take(): void {
    this.#inner.take();
  }

  release(): void {
    this.#inner.release();
  }

  /** Requests, retries left out, since the last attempt that went well. */
  #failedRequests(): number {
    const endpoints = this.#endpoints();
    let attempts = 0;
    let wentWell = 0;
    for (let i = 0; i < endpoints.length; i++) {
      const endpoint = endpoints[i] as Endpoint;
      attempts += endpoint.requestsTotal;
      wentWell += endpoint.requestsTotal - endpoint.failuresTotal - endpoint.active;
    }
    if (wentWell !== this.#wentWell) {
      this.#wentWell = wentWell;
      this.#attemptsBefore = attempts;
      this.#retries = 0;
    }
    return attempts - this.#attemptsBefore - this.#retries;
  }
}
