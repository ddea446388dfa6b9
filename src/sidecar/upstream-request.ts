// @hot
// Routes one request: owns its attempts, keeps what was written of the body until a response is taken, and
// decides whether a failure or a response is passed on or tried again. It belongs to a driver and is used again for
// each of its exchanges. Without a retry plan a request that was never written, or met a stale reused connection,
// goes once more on a fresh one. It answers nobody: the driver does.
//
//   start ─► pick ─► Attempt ─► body … end ─► head ─► taken: driver
//              ▲        │                       └ a condition holds ─┐
//              │        └─ failed, reset, too slow ─► claim ◄────────┘
//              └──────────────── wait ◄─────────────────┘
import { NO_BODY, type BodyKind } from '../http/body-decoder.ts';
import type { Framing } from '../http/framing.ts';
import type { Head } from '../http/head.ts';
import { internHeader } from '../http/header-name.ts';
import { OUTCOME, limitsOf, type Cluster, type Endpoint } from '../plan/cluster.ts';
import type { Exchange } from '../plan/exchange.ts';
import { failure, type Failure } from '../plan/failure.ts';
import { pickEndpoint, pickOther } from '../resilience/endpoint-pick.ts';
import { FLAGS } from '../plan/response-flags.ts';
import { isLeftToCaller } from '../resilience/chain-mark.ts';
import { retriesFailure, retriesResponse } from '../resilience/retry-decision.ts';
import type { Attempt, AttemptOwner } from './attempt.ts';
import { AttemptSet } from './attempt-set.ts';
import type { Engine } from './engine.ts';
import { HeldBody } from './held-body.ts';
import { PROTOCOL_ERROR, type UpstreamConnection, type UpstreamEnd } from './h1-client.ts';
import { ReplayBuffer, UNASKED_BYTES } from './replay-buffer.ts';
import { CLAIMED, LATE, OVER, RetryState, type Claim } from './retry-state.ts';
import { closeFailure, mayRepeat } from './stale-retry.ts';
import type { UpstreamRequestOwner } from './upstream-request-owner.ts';

const IS_TIMEOUT_RETRY = internHeader('x-envoy-is-timeout-retry');

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
  readonly #held: HeldBody;
  #trailers = '';
  #cluster: Cluster | null = null;
  readonly #attempts: AttemptSet;
  /** The attempt that the body goes to; in the end the one whose response the client gets. */
  #current: Attempt;
  #retryState: RetryState | null = null;
  /** Of this exchange; null without a retry plan. */
  #retry: RetryState | null = null;
  /** A response was taken: there will be no other attempt. */
  #isAnswered = false;
  /** Some attempt has sent something of the request. */
  #isSent = false;
  /** It went once more without being asked to: a connection was stale, or could not be made. */
  #isRepeated = false;
  #isRedialled = false;
  /** The next attempt is had because the last was too slow. */
  #isForTimeout = false;

  constructor(engine: Engine, x: Exchange, owner: UpstreamRequestOwner) {
    this.#engine = engine;
    this.#x = x;
    this.sink = owner;
    this.#held = new HeldBody(x, this.#replay, owner);
    this.#attempts = new AttemptSet(engine, x, this);
    this.#current = this.#attempts.first;
  }

  get connection(): UpstreamConnection | null {
    return this.#current.connection;
  }

  /** True while body bytes may be written. */
  get takesBody(): boolean {
    return this.#held.isOn || (this.#current.connection !== null && !this.#current.isBlocked);
  }

  begin(bodyKind: BodyKind): void {
    this.bodyKind = bodyKind;
    this.isComplete = bodyKind === NO_BODY;
    this.#trailers = '';
    this.#isAnswered = false;
    this.#isSent = false;
    this.#isRepeated = false;
    this.#isRedialled = false;
    this.isPlain = false;
  }

  /** Takes the body in before the request goes on, as the exchange asks for it. */
  hold(): void {
    this.#held.begin(!this.isComplete, this.isStarting);
  }

  /** All that was taken in of the body so far. */
  keptBody(): Buffer {
    return this.#replay.copy(Infinity);
  }

  /** Sends the request to an endpoint of `cluster`. */
  start(cluster: Cluster): void {
    this.#cluster = cluster;
    const { retry } = this.#x;
    if (retry !== null) {
      this.#retryState ??= this.#makeRetryState();
      this.#retry = this.#retryState;
      this.#retry.begin(retry, cluster);
      if (retry.conditions !== 0) this.#replay.bytesMax = retry.bodyBytesMax;
    }
    this.#tryOnce(cluster, this.isPlain, null);
  }

  // Per connection.
  #makeRetryState(): RetryState {
    return new RetryState(this.#engine, this.#x, () => this.#onRetryDue());
  }

  #tryOnce(cluster: Cluster, isFresh: boolean, avoided: Endpoint | null): void {
    const x = this.#x;
    let endpoint = this.#retry === null ? pickEndpoint(cluster, x) : this.#retry.pick(cluster);
    if (avoided !== null && endpoint === avoided) endpoint = pickOther(cluster, x, avoided);
    const attempt = this.#attempts.idle();
    if (x.attempts++ > 0) attempt.responseHead.reset();
    if (endpoint === null) {
      this.#fail(failure('no-healthy-upstream', 'internal', 'no'));
      return;
    }
    this.#current = attempt;
    attempt.start(cluster, endpoint, isFresh);
  }

  /** True while another attempt may still bring a response. */
  #hasOthers(than: Attempt | null): boolean {
    return this.#retry !== null && (this.#retry.isWaiting || this.#attempts.isActive(than));
  }

  #onRetryDue(): void {
    const x = this.#x;
    const cluster = x.cluster === null ? null : x.cluster.cluster;
    if (cluster === null) {
      this.#fail(failure('no-healthy-upstream', 'internal', 'no'));
      return;
    }
    this.#cluster = cluster;
    if (x.retry !== null && x.retry.tellsTimeout)
      x.request.set(IS_TIMEOUT_RETRY, this.#isForTimeout ? 'true' : 'false');
    this.#tryOnce(cluster, this.isPlain, null);
  }

  onAttemptSent(attempt: Attempt): void {
    const { connection } = attempt;
    if (connection === null) return;
    if (this.bodyKind !== NO_BODY) this.#replay.replayTo(connection);
    if (this.isComplete) {
      connection.endRequest(this.#trailers);
      if (this.#retry !== null) attempt.armTimes();
    }
    if (this.isStarting) return; // The body may follow in the same chunk; the server flushes after it.
    if (this.isComplete) connection.flush();
    else this.sink.onRequestSent();
  }

  onAttemptFailed(attempt: Attempt, failed: Failure): void {
    const cluster = this.#cluster;
    if (failed.kind === 'connect-failed' && cluster !== null && this.#redials(cluster, failed)) {
      this.#tryOnce(cluster, this.isPlain, attempt.endpoint);
    } else this.#retryFailure(attempt, failed);
  }

  /** True when a request that could not be connected goes on at once: a retry that costs no app anything needs no gate. */
  #redials(cluster: Cluster, failed: Failure): boolean {
    const x = this.#x;
    if (x.retry === null || x.retry.conditions === 0 || this.#retry === null) {
      const isFirst = !this.#isRedialled;
      this.#isRedialled = true;
      return isFirst;
    }
    const hasOther = x.attempts < cluster.endpoints.length && !this.#retry.isWaiting;
    return hasOther && retriesFailure(x.retry, failed, this.#isSent) && this.#retry.claimRedial();
  }

  onAttemptClosed(attempt: Attempt, end: UpstreamEnd, cause: string): void {
    const failed = closeFailure(end, cause);
    if (this.#isAnswered) {
      this.sink.onResponseCut(failed, end === PROTOCOL_ERROR ? FLAGS.UPE : FLAGS.UC);
      return;
    }
    if (attempt.wasWritten) this.#isSent = true;
    if (!this.#repeats(attempt, failed)) this.#retryFailure(attempt, failed);
  }

  /** The connection went with `failed`; true when the request goes once more although nobody asked for it. */
  #repeats(attempt: Attempt, failed: Failure): boolean {
    if (this.#cluster === null || !attempt.wasReused || this.#isRepeated) return false;
    if (this.#replay.isOverflown || !mayRepeat(this.#x, failed)) return false;
    this.#engine.counters.upstreamStaleRetries++;
    this.#isRepeated = true;
    this.#tryOnce(this.#cluster, true, attempt.endpoint);
    return true;
  }

  onAttemptTimeout(attempt: Attempt, isIdle: boolean): void {
    const kind = isIdle ? 'per-try-idle-timeout' : 'per-try-timeout';
    const { retry } = this.#x;
    attempt.isTimedOut = true;
    this.#isSent = true;
    if (retry !== null && retry.isHedged && !this.#isAnswered) {
      if (!attempt.isRetried && retry.conditions !== 0) {
        this.#isForTimeout = true;
        if (this.#claim(attempt, null, 'hedge') === CLAIMED) attempt.isRetried = true;
      }
      return;
    }
    this.#cluster?.retryTally?.countPerTryTimeout(isIdle);
    attempt.drop(OUTCOME.TIMEOUT);
    const failed = failure(kind, 'upstream', 'no');
    if (this.#isAnswered) this.sink.onResponseCut(failed, FLAGS.UT);
    else this.#retryFailure(attempt, failed);
  }

  /** `attempt` is over without a response. */
  #retryFailure(attempt: Attempt, failed: Failure): void {
    const { retry } = this.#x;
    let told = failed;
    const isOurs = !isLeftToCaller(this.#x, failed, this.#isSent);
    if (retry !== null && isOurs && retriesFailure(retry, failed, this.#isSent)) {
      const claim = this.#claim(attempt, null, failed.kind);
      this.#isForTimeout = attempt.isTimedOut;
      if (claim === CLAIMED) return;
      if (claim === OVER && this.#refusesOverBudget()) told = failure('overflow', 'internal', 'no');
    }
    this.#fail(told);
  }

  #claim(attempt: Attempt, head: Head | null, reason: string): Claim {
    const retry = this.#retry;
    if (retry === null || this.#cluster === null || this.#replay.isOverflown) return LATE;
    if (attempt.isRetried || retry.isWaiting) return LATE;
    return retry.claim(this.#cluster, head, reason);
  }

  /** What the client gets, unless another attempt may still do better. */
  #fail(failed: Failure): void {
    if (!this.#hasOthers(null)) this.sink.onRequestFailed(failed);
  }

  #refusesOverBudget(): boolean {
    const limits = this.#cluster === null ? null : limitsOf(this.#cluster, this.#x.isHighPriority);
    return limits !== null && limits.refusesOverBudget;
  }

  onAttemptHeld(attempt: Attempt): void {
    if (!this.isComplete) this.sink.onRequestComplete(this.#engine.clock.now());
    if (this.#retry !== null) attempt.armTimes();
  }

  onAttemptHead(attempt: Attempt, framing: Framing | null): void {
    const retry = this.#retry;
    if (retry !== null) {
      if (!this.#takes(attempt, retry)) return;
      this.#settle(attempt, retry);
    }
    this.#isAnswered = true;
    this.#replay.clear();
    if (framing === null) this.sink.onRequestAborted(attempt.faultStatus);
    else this.sink.onResponseHead(framing, attempt.headMs);
  }

  /** False when the response is passed by: it is tried again, or another attempt may do better. */
  #takes(attempt: Attempt, retry: RetryState): boolean {
    const plan = this.#x.retry;
    const isTunnel = attempt.connection !== null && attempt.connection.isTunnel;
    if (plan === null || isTunnel || this.#x.isRetriedAbove || !retriesResponse(plan, attempt.responseHead)) {
      retry.succeed();
      return true;
    }
    const claim = this.#claim(attempt, attempt.responseHead, 'status ' + attempt.status);
    this.#isForTimeout = false;
    if (claim === CLAIMED || this.#hasOthers(attempt)) {
      attempt.discard();
      return false;
    }
    if (claim !== OVER || !this.#refusesOverBudget()) return true;
    attempt.discard();
    this.#fail(failure('overflow', 'internal', 'no'));
    return false;
  }

  /** `attempt` has won: the others are dropped, and what it found becomes the exchange's. */
  #settle(attempt: Attempt, retry: RetryState): void {
    const x = this.#x;
    retry.cancel();
    this.#current = attempt;
    if (!this.#attempts.hasOthers) return;
    this.#attempts.drop(attempt, OUTCOME.NONE);
    if (attempt !== this.#attempts.first) {
      x.response.reset();
      x.response.swap(attempt.responseHead);
    }
    x.endpoint = attempt.endpoint;
    x.upstreamStartMs = attempt.startMs;
    const { connection } = attempt;
    if (connection === null) return;
    x.upstreamLocalAddress = connection.localAddress;
    x.upstreamTls = connection.tls;
  }

  /** Once the client has heard of an answer there is no other. Beside others an interim head says nothing. */
  onAttemptInterim(attempt: Attempt): void {
    if (this.#hasOthers(attempt)) return;
    const { response } = this.#x;
    const isOwn = attempt === this.#attempts.first;
    if (!isOwn) response.swap(attempt.responseHead);
    if (this.sink.onResponseInterim()) this.#retry?.cancel();
    if (!isOwn) response.swap(attempt.responseHead);
  }

  onAttemptEnd(_attempt: Attempt, trailers: string): void {
    this.sink.onResponseEnd(trailers);
  }

  /** Body bytes[start, end); kept until a response is taken. */
  writeBody(bytes: Buffer, start: number, end: number): void {
    if (this.#held.isOn) return this.#held.keep(bytes, start, end);
    if (!this.#isAnswered && !this.#replay.isOverflown) {
      this.#replay.keep(bytes, start, end);
      if (this.#replay.isOverflown) this.#abandonRetries();
    }
    const { connection } = this.#current;
    if (connection !== null && !connection.writeBody(bytes, start, end)) this.#current.isBlocked = true;
  }

  /** The body is more than is kept: the attempt under way is the last. */
  #abandonRetries(): void {
    const { retry } = this.#x;
    if (retry === null || retry.conditions === 0 || this.#retry === null) return;
    if (this.#cluster?.retryTally !== undefined) this.#cluster.retryTally.abandoned++;
    const isLost = this.#retry.isWaiting;
    this.#retry.cancel();
    if (isLost) this.sink.onRequestFailed(failure('replay-overflow', 'downstream', 'no'));
  }

  end(trailers: string): void {
    this.isComplete = true;
    this.#trailers = trailers;
    if (this.#held.isOn) return this.#held.end();
    const { connection } = this.#current;
    if (connection === null) return;
    connection.endRequest(trailers);
    if (this.#retry !== null && !this.#isAnswered) this.#current.armTimes();
  }

  /** True when the connection has changed its protocol. */
  get isTunnel(): boolean {
    const { connection } = this.#current;
    return connection !== null && connection.isTunnel;
  }

  openTunnel(): void {
    this.isComplete = false;
  }

  endTunnel(): void {
    this.isComplete = true;
    this.#current.connection?.endTunnel();
  }

  closeTunnel(): void {
    this.#current.closeTunnel();
  }

  flush(): void {
    const { connection } = this.#current;
    if (connection !== null && !connection.flush()) this.#current.isBlocked = true;
  }

  /** `outcome` is what endpoints are told that have not answered, as OUTCOME says. */
  drop(outcome: number = OUTCOME.NONE): void {
    if (outcome === OUTCOME.TIMEOUT && !this.#isAnswered) this.#cluster?.retryTally?.countTimeout();
    this.#retry?.cancel();
    this.#attempts.drop(null, outcome);
  }

  finish(): void {
    this.#held.stop();
    this.#replay.clear();
    this.#replay.bytesMax = UNASKED_BYTES;
    this.#cluster = null;
    if (this.#retry === null) return;
    this.#retry.finish();
    this.#retry = null;
    this.#current = this.#attempts.first;
  }
}
