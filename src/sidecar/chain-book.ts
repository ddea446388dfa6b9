// @hot
// What a pod's sidecar knows of the requests that its app is working for, so that what the app sends on their
// behalf keeps their deadline and the promise that somebody nearer to the client retries. A request from the app
// belongs to the one under way with the same x-request-id; without one, the promise holds for it when it holds for
// every request that the app is working for. A deadline is never guessed. The counts are those of all
// threads; the ids are of this thread.
import type { Budget, Limits } from '../base/shared-limits.ts';
import { H } from '../http/header-name.ts';
import type { Exchange } from '../plan/exchange.ts';
import { ATTEMPT, isPromise } from '../resilience/chain-mark.ts';
import { boundDeadline } from '../resilience/deadline.ts';

/** Where captured requests go that the mesh knows no destination for: nobody there is told of attempts. */
const OUTSIDE = 'PassthroughCluster';
const UNLIMITED = 0x7fffffff;

/** What is kept of a request while the app works for it. */
interface Work {
  /** Another attempt of the same request may be here before this one has ended. */
  readonly owner: Exchange;
  readonly mark: string;
  /** 0: never. */
  readonly deadlineMs: number;
}

export class ChainBook {
  readonly #works = new Map<string, Work>();
  readonly #active: Budget;
  readonly #promised: Budget;
  #lastMark = '';

  constructor(limits: Limits) {
    this.#active = limits.budget('chain active');
    this.#promised = limits.budget('chain promised');
  }

  /** A request for the app, about to be sent to it; left once. */
  enter(x: Exchange): void {
    const mark = x.request.get(ATTEMPT);
    const isPromised = isPromise(mark);
    x.isRetriedAbove = isPromised;
    x.isInChain = true;
    this.#active.acquire(UNLIMITED);
    if (isPromised) {
      this.#promised.acquire(UNLIMITED);
      this.#lastMark = mark ?? '';
    }
    if (!isPromised && x.deadlineMs === 0) return;
    x.chainId = x.request.get(H.requestId) ?? '';
    if (x.chainId === '') return;
    const kept = isPromised ? (mark ?? '') : '';
    this.#works.set(x.chainId, { owner: x, mark: kept, deadlineMs: x.deadlineMs });
  }

  /** The app has answered, or will not. */
  leave(x: Exchange): void {
    if (!x.isInChain) return;
    x.isInChain = false;
    this.#active.release();
    if (x.isRetriedAbove) this.#promised.release();
    if (x.chainId !== '' && this.#works.get(x.chainId)?.owner === x) this.#works.delete(x.chainId);
  }

  /** A request of the app: gets what holds for the request that it works for. */
  attribute(x: Exchange): void {
    const { request } = x;
    x.marksAttempts = x.cluster === null || x.cluster.name !== OUTSIDE;
    const work = this.#works.size === 0 ? undefined : this.#works.get(request.get(H.requestId) ?? '');
    if (work !== undefined && work.deadlineMs !== 0) boundDeadline(x, work.deadlineMs);
    if (isPromise(request.get(ATTEMPT))) {
      x.isRetriedAbove = true;
      if (!x.marksAttempts) request.remove(ATTEMPT);
      return;
    }
    request.remove(ATTEMPT);
    const mark = work === undefined ? this.#guess() : work.mark;
    if (mark === '') return;
    x.isRetriedAbove = true;
    if (x.marksAttempts) request.set(ATTEMPT, mark);
  }

  /** The promise that all have, or nothing. */
  #guess(): string {
    const promised = this.#promised.used;
    return promised > 0 && promised >= this.#active.used ? this.#lastMark || '1/2' : '';
  }
}

/** A request of a mesh is about to be forwarded: to the app, or for it. */
export function joinChain(chain: ChainBook, x: Exchange): void {
  if (x.connection.isInbound) chain.enter(x);
  else chain.attribute(x);
}
