// @hot
// Routes one request: owns its attempts, keeps what was written of the body until the response begins, and
// decides whether a failure is answered or tried again. It belongs to a driver and is used again for each of its
// exchanges. Without a retry policy a request that was never written, or met a stale reused connection, goes
// once more on a fresh one. It answers nobody: the driver does.
//
//   start ─► pick ─► Attempt ─► body … end ─► head ─► driver
//              ▲        └─ connect failed / stale ─► once more, fresh
//              └─────────────────┘
import { NO_BODY, type BodyKind } from '../http/body-decoder.ts';
import type { Framing } from '../http/framing.ts';
import { OUTCOME, type Cluster } from '../plan/cluster.ts';
import type { Exchange } from '../plan/exchange.ts';
import { failure, type Failure } from '../plan/failure.ts';
import { Attempt, type AttemptOwner, type ResponseSink } from './attempt.ts';
import { pickEndpoint } from '../resilience/endpoint-pick.ts';
import type { Engine } from './engine.ts';
import { PROTOCOL_ERROR, type UpstreamConnection, type UpstreamEnd } from './h1-client.ts';
import { ReplayBuffer } from './replay-buffer.ts';
import { ATTEMPTS_MAX, closeFailure, mayRepeat } from './stale-retry.ts';

/** The driver, as its request sees it. */
export interface UpstreamRequestOwner extends ResponseSink {
  /** The head has been handed to a connection: body may follow. */
  onRequestSent(): void;
  /** No response, and no further attempt. */
  onRequestFailed(failed: Failure): void;
  /** The response's head is in `x.response`; `nowMs` is when it came. */
  onResponseHead(framing: Framing, nowMs: number): void;
  /** An interim head is in `x.response`, which is reset afterwards. */
  onResponseInterim(): void;
  /** The response is complete; in a tunnel: the upstream has said its FIN. */
  onResponseEnd(trailers: string): void;
  /** The response broke off behind its head. */
  onResponseCut(failed: Failure, isProtocolError: boolean): void;
}

export class UpstreamRequest implements AttemptOwner {
  readonly sink: UpstreamRequestOwner;
  /** True while the driver's start() is on the stack: the server flushes afterwards. */
  isStarting = false;
  /** True when the bytes of the client's tunnel go to the endpoint as plain TCP. */
  isPlain = false;
  /** True once no more body follows. */
  isComplete = true;
  bodyKind: BodyKind = NO_BODY;
  readonly #engine: Engine;
  readonly #x: Exchange;
  readonly #replay = new ReplayBuffer();
  /** Of the request; empty until it is complete. */
  #trailers = '';
  #cluster: Cluster | null = null;
  /** The attempt that the body goes to, and whose response the client gets. */
  readonly #attempt: Attempt;
  /** The head of a response was accepted: there will be no other attempt. */
  #isAnswered = false;

  constructor(engine: Engine, x: Exchange, owner: UpstreamRequestOwner) {
    this.#engine = engine;
    this.#x = x;
    this.sink = owner;
    this.#attempt = new Attempt(engine, x, this, x.response);
  }

  get connection(): UpstreamConnection | null {
    return this.#attempt.connection;
  }

  /** True while body bytes may be written. */
  get takesBody(): boolean {
    return this.#attempt.connection !== null && !this.#attempt.isBlocked;
  }

  begin(bodyKind: BodyKind): void {
    this.bodyKind = bodyKind;
    this.isComplete = bodyKind === NO_BODY;
    this.#trailers = '';
    this.#isAnswered = false;
    this.isPlain = false;
  }

  /** Sends the request to an endpoint of `cluster`. */
  start(cluster: Cluster): void {
    this.#cluster = cluster;
    this.#tryOnce(cluster, this.isPlain);
  }

  #tryOnce(cluster: Cluster, isFresh: boolean): void {
    const x = this.#x;
    const endpoint = pickEndpoint(cluster, x);
    x.attempts++;
    if (endpoint === null) {
      this.sink.onRequestFailed(failure('no-healthy-upstream', 'internal', 'no'));
      return;
    }
    this.#attempt.start(cluster, endpoint, isFresh);
  }

  onAttemptSent(attempt: Attempt): void {
    const { connection } = attempt;
    if (connection === null) return;
    if (this.bodyKind !== NO_BODY) this.#replay.replayTo(connection);
    if (this.isComplete) connection.endRequest(this.#trailers);
    if (this.isStarting) return; // The body may follow in the same chunk; the server flushes after it.
    if (this.isComplete) connection.flush();
    else this.sink.onRequestSent();
  }

  onAttemptFailed(_attempt: Attempt, failed: Failure): void {
    if (failed.kind === 'connect-failed' && this.#x.attempts < ATTEMPTS_MAX && this.#cluster !== null) {
      this.#tryOnce(this.#cluster, true);
      return;
    }
    this.sink.onRequestFailed(failed);
  }

  onAttemptHead(attempt: Attempt, framing: Framing): void {
    this.#isAnswered = true;
    this.#replay.clear();
    this.sink.onResponseHead(framing, attempt.headMs);
  }

  onAttemptInterim(): void {
    this.sink.onResponseInterim();
  }

  onAttemptEnd(_attempt: Attempt, trailers: string): void {
    this.sink.onResponseEnd(trailers);
  }

  onAttemptClosed(attempt: Attempt, end: UpstreamEnd, cause: string): void {
    const failed = closeFailure(end, cause);
    if (this.#isAnswered) this.sink.onResponseCut(failed, end === PROTOCOL_ERROR);
    else if (!this.#repeats(attempt, failed)) this.sink.onRequestFailed(failed);
  }

  /** The connection went with `failed`; true when the request goes once more. */
  #repeats(attempt: Attempt, failed: Failure): boolean {
    const x = this.#x;
    if (this.#cluster === null || !attempt.wasReused || this.#replay.isOverflown || !mayRepeat(x, failed)) return false;
    this.#engine.counters.upstreamStaleRetries++;
    x.response.reset();
    this.#tryOnce(this.#cluster, true);
    return true;
  }

  /** Body bytes[start, end); kept until the response begins. */
  writeBody(bytes: Buffer, start: number, end: number): void {
    const { connection } = this.#attempt;
    if (connection === null) return;
    if (!this.#isAnswered) this.#replay.keep(bytes, start, end);
    if (!connection.writeBody(bytes, start, end)) this.#attempt.isBlocked = true;
  }

  end(trailers: string): void {
    this.isComplete = true;
    this.#trailers = trailers;
    this.#attempt.connection?.endRequest(trailers);
  }

  /** True when the connection has changed its protocol. */
  get isTunnel(): boolean {
    const { connection } = this.#attempt;
    return connection !== null && connection.isTunnel;
  }

  /** The client may send whatever it likes from now on. */
  openTunnel(): void {
    this.isComplete = false;
  }

  /** The client has said its FIN. */
  endTunnel(): void {
    this.isComplete = true;
    this.#attempt.connection?.endTunnel();
  }

  /** Both sides have said their FIN. */
  closeTunnel(): void {
    this.#attempt.closeTunnel();
  }

  flush(): void {
    const { connection } = this.#attempt;
    if (connection !== null && !connection.flush()) this.#attempt.isBlocked = true;
  }

  /** Gives up what is under way. `outcome` is what endpoints are told that have not answered, as OUTCOME says. */
  drop(outcome: number = OUTCOME.NONE): void {
    this.#attempt.drop(outcome);
  }

  finish(): void {
    this.#replay.clear();
    this.#cluster = null;
  }
}
