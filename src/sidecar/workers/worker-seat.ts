// The ListenerHost of a worker: asks the main thread where its sockets come from, counts its connections where all
// workers see them, and passes a new one on when another worker has fewer. A connection goes to another
// thread as a copy of its descriptor, for Node cannot move a socket between threads.
import { closeSync } from 'node:fs';
import type { MessagePort } from 'node:worker_threads';
import type { Limits } from '../../base/shared-limits.ts';
import type { DescriptorCalls } from '../descriptor-calls.ts';
import type { ListenerHost, SocketClaim } from '../listener-host.ts';
import type { ConnectionShares } from './connection-shares.ts';
import type { FromWorker, PassedConnection } from './worker-message.ts';

export interface WorkerSeatOptions {
  readonly index: number;
  readonly shares: ConnectionShares;
  readonly limits: Limits;
  /** Null: connections stay where they were accepted. */
  readonly calls: DescriptorCalls | null;
  readonly post: (message: FromWorker) => void;
  /** Serves a descriptor on the listener of this name; false when there is none. */
  readonly adopt: (connection: PassedConnection) => boolean;
}

export class WorkerSeat implements ListenerHost {
  readonly limits: Limits;
  readonly #options: WorkerSeatOptions;
  readonly #peers = new Map<number, MessagePort>();
  readonly #claims = new Map<number, PromiseWithResolvers<SocketClaim>>();
  #lastClaim = 0;

  constructor(options: WorkerSeatOptions) {
    this.#options = options;
    this.limits = options.limits;
  }

  claim(address: string, port: number): Promise<SocketClaim> {
    const claim = Promise.withResolvers<SocketClaim>();
    const id = ++this.#lastClaim;
    this.#claims.set(id, claim);
    this.#options.post({ kind: 'claim', id, address, port });
    return claim.promise;
  }

  claimed(id: number, claim: SocketClaim | Error): void {
    const waiting = this.#claims.get(id);
    this.#claims.delete(id);
    if (claim instanceof Error) waiting?.reject(claim);
    else waiting?.resolve(claim);
  }

  /** Another worker is there, or there anew. */
  meet(index: number, port: MessagePort): void {
    this.#peers.get(index)?.close();
    this.#peers.set(index, port);
    port.on('message', (connection: PassedConnection) => this.#take(connection));
    port.unref();
  }

  passOn(listener: string, descriptor: number): boolean {
    const { index, shares, calls } = this.#options;
    const chosen = shares.choose(index);
    const peer = chosen === index ? undefined : this.#peers.get(chosen);
    const copy = peer === undefined || calls === null || descriptor < 0 ? -1 : calls.duplicate(descriptor);
    if (peer === undefined || copy < 0) {
      shares.gave(index);
      return false;
    }
    // Counted before it arrives, so that a burst of connections does not all go there.
    shares.gave(chosen);
    shares.add(chosen, 1);
    peer.postMessage({ listener, descriptor: copy }, []);
    return true;
  }

  opened(): void {
    this.#options.shares.add(this.#options.index, 1);
  }

  closed(): void {
    this.#options.shares.add(this.#options.index, -1);
  }

  close(): void {
    for (const port of this.#peers.values()) port.close();
  }

  #take(connection: PassedConnection): void {
    if (!this.#options.adopt(connection)) closeSync(connection.descriptor);
    // Serving it has counted it; its sender had, too.
    this.#options.shares.add(this.#options.index, -1);
  }
}
