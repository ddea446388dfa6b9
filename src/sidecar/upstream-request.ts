// @hot
// The request of one exchange on its way to an endpoint: picks one, asks its pool for a connection, writes
// head and body, and keeps what was written until the first byte of the response, so that a request that
// was never written, or met a stale reused connection, can go once more on a fresh one. It belongs to a
// driver and is used again for each of its exchanges. It answers nobody: the driver does.
//
//   start ─► pick, acquire ─► onAttempt, send ─► body … end
//                 └─ connect failed / stale ─► once more, fresh
import { NO_BODY, type BodyKind } from '../http/body-decoder.ts';
import { kindOfRequest } from '../http/edited-framing.ts';
import { writeRequestHead } from '../http/head-writer.ts';
import { OUTCOME, type Cluster } from '../plan/cluster.ts';
import type { Exchange } from '../plan/exchange.ts';
import { failure, type Failure } from '../plan/failure.ts';
import { runThrough } from '../plan/run.ts';
import { enterEndpoint, leaveEndpoint } from './endpoint-load.ts';
import type { Engine } from './engine.ts';
import type { UpstreamConnection, UpstreamUser } from './h1-client.ts';
import { ReplayBuffer } from './replay-buffer.ts';
import { ATTEMPTS_MAX, mayRepeat } from './stale-retry.ts';
import type { EndpointPool, PoolUser } from './upstream-pool.ts';

/** The driver, as its request sees it. */
export interface UpstreamRequestOwner extends UpstreamUser {
  /** The head has been handed to a connection: body may follow. */
  onRequestSent(): void;
  /** No connection, and no further attempt. */
  onRequestFailed(failed: Failure): void;
}

export class UpstreamRequest implements PoolUser {
  connection: UpstreamConnection | null = null;
  /** True while the driver's start() is on the stack: the server flushes afterwards. */
  isStarting = false;
  /** True when the bytes of the client's tunnel go to the endpoint as plain TCP. */
  isPlain = false;
  /** True once no more body follows. */
  isComplete = true;
  readonly #engine: Engine;
  readonly #x: Exchange;
  readonly #owner: UpstreamRequestOwner;
  readonly #replay = new ReplayBuffer();
  #bodyKind: BodyKind = NO_BODY;
  /** Of the request; empty until it is complete. */
  #trailers = '';
  #isBlocked = false;
  #wasReused = false;
  #cluster: Cluster | null = null;
  #pool: EndpointPool | null = null;

  constructor(engine: Engine, x: Exchange, owner: UpstreamRequestOwner) {
    this.#engine = engine;
    this.#x = x;
    this.#owner = owner;
  }

  /** True while body bytes may be written. */
  get takesBody(): boolean {
    return this.connection !== null && !this.#isBlocked;
  }

  begin(bodyKind: BodyKind): void {
    this.#bodyKind = bodyKind;
    this.isComplete = bodyKind === NO_BODY;
    this.#trailers = '';
    this.#isBlocked = false;
    this.isPlain = false;
  }

  /** Sends the request to an endpoint of `cluster`. */
  start(cluster: Cluster): void {
    this.#cluster = cluster;
    this.#attempt(cluster, this.isPlain);
  }

  #attempt(cluster: Cluster, isFresh: boolean): void {
    const x = this.#x;
    const endpoint = cluster.picker.pick(x);
    if (endpoint === null) {
      x.attempts++;
      this.#owner.onRequestFailed(failure('no-healthy-upstream', 'internal', 'no'));
      return;
    }
    enterEndpoint(x, endpoint);
    const pool = this.#engine.pools.poolOf(cluster, endpoint, x);
    this.#pool = pool;
    const connection = pool.acquire(cluster, this, isFresh);
    if (connection !== null) this.onPoolReady(connection);
  }

  onPoolReady(connection: UpstreamConnection): void {
    const x = this.#x;
    if (this.isPlain && connection.requests > 0) {
      this.#giveBack(connection);
      return;
    }
    this.#pool = null;
    this.connection = connection;
    this.#wasReused = connection.requests > 0;
    this.#isBlocked = false;
    x.upstreamLocalAddress = connection.localAddress;
    x.upstreamStartMs = x.attempts === 1 && this.isStarting ? x.startMs : this.#engine.clock.now();
    if (x.plan !== null) runThrough(x, x.plan.onAttempt);
    if (this.isPlain) {
      connection.openTunnel(this.#owner);
      return;
    }
    const kind = kindOfRequest(x.request, this.#bodyKind);
    connection.send(this.#owner, writeRequestHead(x.request, kind), kind, x.request.method, x.upgrade);
    if (this.#bodyKind !== NO_BODY) this.#replay.replayTo(connection);
    if (this.isComplete) connection.endRequest(this.#trailers);
    if (this.isStarting) return; // The body may follow in the same chunk; the server flushes after it.
    if (this.isComplete) connection.flush();
    else this.#owner.onRequestSent();
  }

  /** What has spoken HTTP before may not carry a tunnel: the wait for a fresh one goes on. */
  #giveBack(connection: UpstreamConnection): void {
    connection.abandon();
    if (this.#pool !== null && this.#cluster !== null) this.#pool.acquire(this.#cluster, this, true);
  }

  onPoolFailure(failed: Failure): void {
    const x = this.#x;
    this.#pool = null;
    leaveEndpoint(x, failed.kind === 'connect-timeout' ? OUTCOME.CONNECT_TIMEOUT : OUTCOME.CONNECT_FAILED, -1);
    if (failed.kind === 'connect-failed' && x.attempts < ATTEMPTS_MAX && this.#cluster !== null) {
      this.#attempt(this.#cluster, true);
      return;
    }
    this.#owner.onRequestFailed(failed);
  }

  /** Body bytes[start, end); `isKept` until the response begins. */
  writeBody(bytes: Buffer, start: number, end: number, isKept: boolean): void {
    if (this.connection === null) return;
    if (isKept) this.#replay.keep(bytes, start, end);
    if (!this.connection.writeBody(bytes, start, end)) this.#isBlocked = true;
  }

  end(trailers: string): void {
    this.isComplete = true;
    this.#trailers = trailers;
    this.connection?.endRequest(trailers);
  }

  /** True when the connection has changed its protocol. */
  get isTunnel(): boolean {
    return this.connection !== null && this.connection.isTunnel;
  }

  /** The client may send whatever it likes from now on. */
  openTunnel(): void {
    this.isComplete = false;
  }

  /** The client has said its FIN. */
  endTunnel(): void {
    this.isComplete = true;
    this.connection?.endTunnel();
  }

  /** Both sides have said their FIN. */
  closeTunnel(): void {
    this.connection?.closeTunnel(this.#engine.wheel);
    this.connection = null;
  }

  flush(): void {
    if (this.connection !== null && !this.connection.flush()) this.#isBlocked = true;
  }

  onDrain(): void {
    this.#isBlocked = false;
  }

  /** The response has begun: the request will not be sent again. */
  settle(): void {
    this.#replay.clear();
  }

  /** The connection went with `failed`; true when the request goes once more. */
  repeats(failed: Failure): boolean {
    const x = this.#x;
    if (this.#cluster === null || !this.#wasReused || this.#replay.isOverflown || !mayRepeat(x, failed)) return false;
    this.#engine.counters.upstreamStaleRetries++;
    x.response.reset();
    this.#attempt(this.#cluster, true);
    return true;
  }

  /** Gives the connection up, or the wait for one. */
  drop(): void {
    if (this.#pool !== null) {
      this.#pool.cancel(this);
      this.#pool = null;
      leaveEndpoint(this.#x, OUTCOME.NONE, -1);
    }
    const { connection } = this;
    if (connection === null) return;
    this.connection = null;
    connection.abandon();
    leaveEndpoint(this.#x, OUTCOME.NONE, -1);
  }

  finish(): void {
    this.#replay.clear();
    this.#cluster = null;
  }
}
