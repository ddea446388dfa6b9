// @hot
// One attempt of a request: its endpoint, its wait for a connection, the connection, and when it was sent and
// answered. It enters its endpoint once and leaves it once, with how it ended. A router has one made up
// front, whose response head is the exchange's own; those that hedging adds have heads of their own, since
// they may not write into the exchange before they win. It decides nothing: the router does.
//
//   start ─► enter, acquire ─► onPoolReady: onAttempt, send ─► head ─► body ─► end ─► leave
//                 └─ onPoolFailure ─► leave                └─ closed ─► leave
import { WheelTimer } from '../base/timer-wheel.ts';
import type { Framing } from '../http/framing.ts';
import type { BodyKind } from '../http/body-decoder.ts';
import { kindOfRequest } from '../http/edited-framing.ts';
import { H } from '../http/header-name.ts';
import { writeRequestHead } from '../http/head-writer.ts';
import type { Head } from '../http/head.ts';
import { OUTCOME, type Cluster, type Endpoint } from '../plan/cluster.ts';
import type { AttemptFault } from '../plan/attempt-fault.ts';
import type { Exchange } from '../plan/exchange.ts';
import type { Failure } from '../plan/failure.ts';
import type { RetryPlan } from '../plan/retry-plan.ts';
import { FLAGS } from '../plan/response-flags.ts';
import { runThrough } from '../plan/run.ts';
import { markAttempt } from '../resilience/chain-mark.ts';
import { tellTimeLeft } from '../resilience/deadline.ts';
import { AttemptTimers } from './attempt-timers.ts';
import { enterEndpoint, leaveEndpoint } from './endpoint-load.ts';
import { judgedStatus } from './grpc-outcome.ts';
import type { Engine } from './engine.ts';
import type { UpstreamConnection, UpstreamEnd, UpstreamUser } from './h1-client.ts';
import type { EndpointPool, PoolUser } from './upstream-pool.ts';

/** The router, as its attempts see it. */
export interface AttemptOwner {
  readonly isStarting: boolean;
  readonly isPlain: boolean;
  readonly bodyKind: BodyKind;
  /** The head has been handed to a connection: what there is of the body follows. */
  onAttemptSent(attempt: Attempt): void;
  /** A final head is in `attempt.responseHead`; without framing a fault has answered, with `attempt.faultStatus`. */
  onAttemptHead(attempt: Attempt, framing: Framing | null): void;
  /** A fault keeps it waiting before it asks for a connection. */
  onAttemptHeld(attempt: Attempt): void;
  /** An interim head is there; it is reset afterwards. */
  onAttemptInterim(attempt: Attempt): void;
  /** No connection; the attempt has left its endpoint. */
  onAttemptFailed(attempt: Attempt, failed: Failure): void;
  /** The connection is gone, and the attempt has left its endpoint. */
  onAttemptClosed(attempt: Attempt, end: UpstreamEnd, cause: string): void;
  onAttemptEnd(attempt: Attempt, trailers: string): void;
  /** It took too long, or was quiet for too long; it goes on until it is dropped. */
  onAttemptTimeout(attempt: Attempt, isIdle: boolean): void;
}

/** How long one attempt may take; 0 is as long as all of them together. */
function perTryTimeoutMs(x: Exchange, plan: RetryPlan): number {
  return x.timeoutMs > 0 && plan.perTryTimeoutMs >= x.timeoutMs ? 0 : plan.perTryTimeoutMs;
}

/** Who gets what follows the response's head: the driver. */
export interface ResponseSink {
  onUpstreamBody(bytes: Buffer, start: number, end: number): void;
  onUpstreamFlush(): void;
  onUpstreamDrain(): void;
}

export class Attempt implements PoolUser, UpstreamUser {
  readonly responseHead: Head;
  connection: UpstreamConnection | null = null;
  endpoint: Endpoint | null = null;
  /** The connection takes no more body for now. */
  isBlocked = false;
  /** The connection had served a request before this one. */
  wasReused = false;
  /** Something of the request has reached the kernel. */
  wasWritten = false;
  /** On the clock's now(): sent, and its head received; 0 is not yet. */
  startMs = 0;
  headMs = 0;
  /** Its own time is over; where hedges are, it goes on all the same, and its endpoint has been slow in any case. */
  isTimedOut = false;
  /** Another attempt was begun because of it. */
  isRetried = false;
  /** Of the response, as the upstream said it; 0 before its head. */
  status = 0;
  /** What a fault has answered, as `faultStatus` has it. */
  faultStatus = 0;
  readonly #engine: Engine;
  readonly #x: Exchange;
  readonly #owner: AttemptOwner;
  readonly #sink: ResponseSink;
  #cluster: Cluster | null = null;
  #pool: EndpointPool | null = null;
  #isEntered = false;
  #timers: AttemptTimers | null = null;
  #isFresh = false;
  #isTimed = false;
  /** Made when a fault first holds an attempt. */
  #hold: WheelTimer | null = null;

  // Per connection.
  constructor(engine: Engine, x: Exchange, owner: AttemptOwner & { readonly sink: ResponseSink }, head: Head) {
    this.#engine = engine;
    this.#x = x;
    this.#owner = owner;
    this.#sink = owner.sink;
    this.responseHead = head;
  }

  /** True while it is under way. */
  get isActive(): boolean {
    return this.#isEntered;
  }

  /** Goes to `endpoint` of `cluster`; `isFresh` demands a connection that has carried nothing yet. */
  start(cluster: Cluster, endpoint: Endpoint, isFresh: boolean): void {
    this.endpoint = endpoint;
    this.#cluster = cluster;
    this.#isEntered = true;
    this.startMs = 0;
    this.headMs = 0;
    this.status = 0;
    this.wasWritten = false;
    this.isTimedOut = false;
    this.isRetried = false;
    this.#x.endpoint = endpoint;
    enterEndpoint(endpoint);
    this.#isFresh = isFresh;
    this.#isTimed = false;
    if (this.#x.attemptFault === null || !this.#meetsFault(this.#x.attemptFault)) this.#acquire();
  }

  // Per connection, for the timer.
  /** True when a fault holds this attempt, or has answered it. */
  #meetsFault(fault: AttemptFault): boolean {
    const x = this.#x;
    // What an earlier attempt was answered with is not what the client gets.
    x.flags &= ~FLAGS.FI;
    const delayMs = fault.delayOf(x);
    if (delayMs === 0) return this.#isAborted(fault);
    this.#hold ??= new WheelTimer(() => this.#onHeld());
    this.#engine.wheel.arm(this.#hold, delayMs);
    this.#owner.onAttemptHeld(this);
    return true;
  }

  #onHeld(): void {
    const { attemptFault } = this.#x;
    if (attemptFault === null || !this.#isAborted(attemptFault)) this.#acquire();
  }

  /** True when a fault has answered; that says nothing of the endpoint. */
  #isAborted(fault: AttemptFault): boolean {
    const status = fault.abortOf(this.#x);
    if (status === 0) return false;
    this.headMs = this.#engine.clock.now();
    this.faultStatus = status;
    this.status = status < 0 ? 200 : status;
    this.responseHead.status = this.status;
    if (status < 0) this.responseHead.set(H.grpcStatus, String(-1 - status));
    this.#leave(OUTCOME.NONE, -1);
    this.#owner.onAttemptHead(this, null);
    return true;
  }

  #acquire(): void {
    const cluster = this.#cluster;
    const { endpoint } = this;
    if (cluster === null || endpoint === null) return;
    const pool = this.#engine.pools.poolOf(cluster, endpoint, this.#x);
    this.#pool = pool;
    const connection = pool.acquire(cluster, this, this.#isFresh);
    if (connection !== null) this.onPoolReady(connection);
  }

  onPoolReady(connection: UpstreamConnection): void {
    const x = this.#x;
    const owner = this.#owner;
    if (owner.isPlain && connection.requests > 0) {
      this.#giveBack(connection);
      return;
    }
    this.#pool = null;
    this.connection = connection;
    this.wasReused = connection.requests > 0;
    this.isBlocked = false;
    this.startMs = x.attempts === 1 && owner.isStarting ? x.startMs : this.#engine.clock.now();
    x.upstreamLocalAddress = connection.localAddress;
    x.upstreamTls = connection.tls;
    x.upstreamStartMs = this.startMs;
    tellTimeLeft(x, this.startMs, x.retry === null || x.retry.isHedged ? 0 : perTryTimeoutMs(x, x.retry));
    markAttempt(x);
    if (x.plan !== null) runThrough(x, x.plan.onAttempt);
    if (owner.isPlain) {
      connection.openTunnel(this);
      return;
    }
    const kind = kindOfRequest(x.request, owner.bodyKind);
    connection.send(this, writeRequestHead(x.request, kind), kind, x.request.method, x.upgrade);
    owner.onAttemptSent(this);
  }

  /** What has spoken HTTP before may not carry a tunnel: the wait for a fresh one goes on. */
  #giveBack(connection: UpstreamConnection): void {
    connection.abandon();
    if (this.#pool !== null && this.#cluster !== null) this.#pool.acquire(this.#cluster, this, true);
  }

  onPoolFailure(failed: Failure): void {
    this.#pool = null;
    this.#leave(outcomeOf(failed), -1);
    if (failed.kind === 'overflow') this.#x.note(this.#engine.clock.now(), 'limit', failed.cause);
    this.#owner.onAttemptFailed(this, failed);
  }

  /** Gives the connection up, or the wait for one; does nothing when it is over. `outcome` stands where no head came. */
  drop(outcome: number): void {
    const pool = this.#pool;
    if (pool !== null) {
      this.#pool = null;
      pool.cancel(this);
    }
    const { connection } = this;
    if (connection !== null) {
      this.connection = null;
      connection.abandon();
    }
    this.#leave(outcome, -1);
  }

  /** Passes by an answer that is not wanted; the endpoint is judged by it. */
  discard(): void {
    const { connection } = this;
    if (connection !== null) {
      this.connection = null;
      connection.discard();
    }
    this.#leave(this.status, this.headMs - this.startMs);
  }

  /** The tunnel is over on both sides. */
  closeTunnel(): void {
    this.connection?.closeTunnel(this.#engine.wheel);
    this.connection = null;
    this.#leave(101, this.headMs - this.startMs);
  }

  // Per connection.
  #makeTimers(): AttemptTimers {
    return new AttemptTimers(this.#engine.wheel, (isIdle) => this.#owner.onAttemptTimeout(this, isIdle));
  }

  /** Its times count once the whole request is there and it has a connection, or since it is held; never in a tunnel. */
  armTimes(): void {
    const x = this.#x;
    const { retry } = x;
    if (retry === null || x.upgrade !== '' || this.#isTimed) return;
    this.#isTimed = true;
    const perTryMs = perTryTimeoutMs(x, retry);
    if (perTryMs === 0 && retry.perTryIdleTimeoutMs === 0) return;
    this.#timers ??= this.#makeTimers();
    this.#timers.arm(perTryMs, retry.perTryIdleTimeoutMs);
  }

  #leave(outcome: number, latencyMs: number): void {
    this.#timers?.disarm();
    if (this.#hold !== null) this.#engine.wheel.disarm(this.#hold);
    const { endpoint } = this;
    if (!this.#isEntered || endpoint === null) return;
    this.#isEntered = false;
    const end = this.isTimedOut && outcome <= OUTCOME.NONE ? OUTCOME.TIMEOUT : outcome;
    const judged = end > 0 && endpoint.watches.length > 0 ? judgedStatus(this.#x, this.responseHead, end) : end;
    leaveEndpoint(endpoint, end, latencyMs, this.#x, judged);
  }

  onUpstreamHead(framing: Framing): void {
    this.headMs = this.#engine.clock.now();
    this.status = this.responseHead.status;
    this.#timers?.onHead();
    this.#owner.onAttemptHead(this, framing);
  }

  onUpstreamInterim(): void {
    this.#owner.onAttemptInterim(this);
  }

  onUpstreamBody(bytes: Buffer, start: number, end: number): void {
    this.#timers?.touch();
    this.#sink.onUpstreamBody(bytes, start, end);
  }

  onUpstreamFlush(): void {
    this.#sink.onUpstreamFlush();
  }

  onUpstreamDrain(): void {
    this.isBlocked = false;
    this.#sink.onUpstreamDrain();
  }

  onUpstreamEnd(trailers: string): void {
    const isTunnel = this.connection !== null && this.connection.isTunnel;
    if (!isTunnel) {
      this.connection = null;
      this.#leave(this.status, this.headMs - this.startMs);
    }
    this.#owner.onAttemptEnd(this, trailers);
  }

  onUpstreamClose(end: UpstreamEnd, cause: string): void {
    if (this.connection !== null && this.connection.hasWritten) this.wasWritten = true;
    this.connection = null;
    this.#leave(OUTCOME.RESET, -1);
    this.#owner.onAttemptClosed(this, end, cause);
  }
}

function outcomeOf(failed: Failure): number {
  switch (failed.kind) {
    case 'connect-timeout':
      return OUTCOME.CONNECT_TIMEOUT;
    case 'connect-failed':
      return OUTCOME.CONNECT_FAILED;
    default:
      // A limit of ours says nothing of the endpoint.
      return OUTCOME.NONE;
  }
}
