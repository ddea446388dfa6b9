// @hot
// Drives one exchange from its parsed head to its end, and is the only place that switches on a
// Verdict. It belongs to a downstream connection and is used again for each of its requests. A request
// that was never written, or met a stale reused connection before any byte came back, gets one more
// attempt on a fresh connection when that cannot run it twice. onEnd runs exactly once on every path.
//
//   start ─► match ─► onRequest ─► forward ─► pick, acquire ─► onAttempt, send ─► response head
//              │          └► reply                 └► rescue                        │ onResponse
//              └► 404                                     retry once ◄── stale ◄────┤
//                                                         finish (onEnd) ◄──── end ─┘
import type { Framing } from '../http/framing.ts';
import { BY_LENGTH, CHUNKED, NO_BODY, UNTIL_CLOSE, type BodyKind } from '../http/body-decoder.ts';
import { kindOfRequest, kindOfResponse } from '../http/edited-framing.ts';
import { writeRequestHead, writeResponseHead } from '../http/head-writer.ts';
import type { Head } from '../http/head.ts';
import { H } from '../http/header-name.ts';
import { assertNever } from '../base/assert.ts';
import { WheelTimer } from '../base/timer-wheel.ts';
import type { Cluster } from '../plan/cluster.ts';
import type { Exchange } from '../plan/exchange.ts';
import { failure, type Failure } from '../plan/failure.ts';
import { CONTINUE, PAUSE, REPLY, RESET } from '../plan/plan.ts';
import { FLAGS } from '../plan/response-flags.ts';
import { run, runThrough } from '../plan/run.ts';
import { finishResponse } from './downstream-headers.ts';
import type { Downstream } from './downstream.ts';
import { enterEndpoint, leaveEndpoint } from './endpoint-load.ts';
import type { Engine } from './engine.ts';
import { PROTOCOL_ERROR, type UpstreamConnection, type UpstreamEnd, type UpstreamUser } from './h1-client.ts';
import type { HttpManager } from './http-manager.ts';
import { startMirrors, type MirrorSet } from './mirror-set.ts';
import { ReplayBuffer } from './replay-buffer.ts';
import { explain, frameReply, rescue } from './rescue.ts';
import { ATTEMPTS_MAX, closeFailure, mayRepeat } from './stale-retry.ts';
import type { EndpointPool, PoolUser } from './upstream-pool.ts';

export class Driver implements UpstreamUser, PoolUser {
  readonly #engine: Engine;
  readonly #downstream: Downstream;
  readonly x: Exchange;
  manager: HttpManager;
  isActive = false;
  #bodyKind: BodyKind = NO_BODY;
  #isRequestComplete = false;
  #isResponseStarted = false;
  /** True while start() is on the stack: the server flushes afterwards. */
  #isStarting = false;
  #isBlocked = false;
  #wasReused = false;
  #cluster: Cluster | null = null;
  #pool: EndpointPool | null = null;
  #upstream: UpstreamConnection | null = null;
  #mirrors: MirrorSet | null = null;
  readonly #replay = new ReplayBuffer();
  readonly #routeTimer: WheelTimer;
  readonly #durationTimer: WheelTimer;

  constructor(engine: Engine, manager: HttpManager, x: Exchange, downstream: Downstream) {
    this.#engine = engine;
    this.manager = manager;
    this.x = x;
    this.#downstream = downstream;
    this.#routeTimer = new WheelTimer(() => this.#giveUp(FLAGS.UT, failure('timeout', 'upstream', 'no')));
    this.#durationTimer = new WheelTimer(() => this.#giveUp(FLAGS.DT, failure('duration', 'internal', 'no')));
  }

  get responseHead(): Head {
    return this.x.response;
  }

  /** True while request body may be handed to onRequestBody. */
  get takesBody(): boolean {
    return !this.isActive || (this.#upstream !== null && !this.#isBlocked);
  }

  get isResponseStarted(): boolean {
    return this.#isResponseStarted;
  }

  /** Begins the exchange; its request head is parsed and prepared, `bodyKind` frames its body. */
  start(bodyKind: BodyKind): void {
    const { x, manager } = this;
    this.#begin(bodyKind);
    this.#isStarting = true;
    x.streamIdleTimeoutMs = manager.streamIdleTimeoutMs;
    x.maxStreamDurationMs = manager.maxStreamDurationMs;
    const { table } = manager.routes;
    const plan = table === null ? null : table.match(x);
    x.plan = plan ?? manager.missPlan;
    if (plan === null) {
      x.flags |= FLAGS.NR;
      x.details = 'route_not_found';
    }
    this.#walk();
    this.#isStarting = false;
  }

  /** Answers a request that never reached a route: refused by the codec or the connection manager. */
  refuse(status: number, body: string, details: string): void {
    const { x } = this;
    this.#begin(NO_BODY);
    x.plan = this.manager.missPlan;
    x.flags |= FLAGS.DPE;
    x.details = details;
    x.response.status = status;
    x.replyBody = body;
    this.#reply();
  }

  #begin(bodyKind: BodyKind): void {
    this.isActive = true;
    this.manager.tally.begin();
    this.#bodyKind = bodyKind;
    this.#isRequestComplete = bodyKind === NO_BODY;
    this.#isResponseStarted = false;
    this.#isBlocked = false;
  }

  /** A step that paused goes on; a late call for an older exchange does nothing. */
  resume(epoch: number): void {
    if (this.isActive && this.x.epoch === epoch) this.#walk();
  }

  #walk(): void {
    const { x } = this;
    const { plan } = x;
    if (plan === null) return;
    const verdict = run(x, plan.onRequest);
    switch (verdict) {
      case CONTINUE:
        if (x.plan === this.manager.missPlan) {
          x.response.status = 404;
          this.#reply();
        } else {
          this.#forward();
        }
        return;
      case PAUSE:
        return;
      case REPLY:
        x.pc = 0;
        this.#reply();
        return;
      case RESET:
        this.#cut();
        return;
      default:
        assertNever(verdict);
    }
  }

  #forward(): void {
    const { x } = this;
    const cluster = x.cluster === null ? null : x.cluster.cluster;
    if (!x.isPermitted || cluster === null) {
      this.#fail(failure(x.isPermitted ? 'no-cluster' : 'not-permitted', 'internal', 'no'));
      return;
    }
    this.#cluster = cluster;
    if (x.maxStreamDurationMs > 0) this.#engine.wheel.arm(this.#durationTimer, x.maxStreamDurationMs);
    if (x.timeoutMs > 0 && !this.manager.suppressesEnvoyHeaders) {
      x.request.set(H.envoyExpectedTimeout, String(x.timeoutMs));
    }
    if (x.plan !== null && x.plan.mirrors.length > 0) {
      this.#mirrors = startMirrors(this.#engine, x, x.plan.mirrors, this.#bodyKind);
    }
    if (this.#isRequestComplete) this.#requestCompleted(x.startMs);
    this.#attempt(cluster, false);
  }

  #attempt(cluster: Cluster, isFresh: boolean): void {
    const { x } = this;
    const endpoint = cluster.picker.pick(x);
    if (endpoint === null) {
      x.attempts++;
      this.#fail(failure('no-healthy-upstream', 'internal', 'no'));
      return;
    }
    enterEndpoint(x, endpoint);
    const pool = this.#engine.pools.poolOf(cluster, endpoint);
    this.#pool = pool;
    const connection = pool.acquire(cluster, this, isFresh);
    if (connection !== null) this.onPoolReady(connection);
  }

  onPoolReady(connection: UpstreamConnection): void {
    const { x } = this;
    this.#pool = null;
    this.#upstream = connection;
    this.#wasReused = connection.requests > 0;
    this.#isBlocked = false;
    x.upstreamLocalAddress = connection.localAddress;
    x.upstreamStartMs = x.attempts === 1 && this.#isStarting ? x.startMs : this.#engine.clock.now();
    if (x.plan !== null) runThrough(x, x.plan.onAttempt);
    const kind = kindOfRequest(x.request, this.#bodyKind);
    connection.send(this, writeRequestHead(x.request, kind), kind, x.request.method === 'HEAD');
    if (this.#bodyKind !== NO_BODY) this.#replay.replayTo(connection);
    if (this.#isRequestComplete) connection.endRequest();
    if (this.#isStarting) return; // The body may follow in the same chunk; the server flushes after it.
    if (this.#isRequestComplete) connection.flush();
    else this.#downstream.resumeBody();
  }

  onPoolFailure(failed: Failure): void {
    this.#pool = null;
    leaveEndpoint(this.x, true);
    if (failed.kind === 'connect-failed' && this.x.attempts < ATTEMPTS_MAX && this.#cluster !== null) {
      this.#attempt(this.#cluster, true);
      return;
    }
    this.#fail(failed);
  }

  /** Request body bytes[start, end). */
  onRequestBody(bytes: Buffer, start: number, end: number): void {
    if (!this.isActive) return;
    this.x.requestBytes += end - start;
    this.#mirrors?.onBody(bytes, start, end);
    if (this.#upstream === null) return;
    if (!this.#isResponseStarted) this.#replay.keep(bytes, start, end);
    if (!this.#upstream.writeBody(bytes, start, end)) this.#isBlocked = true;
  }

  onRequestEnd(): void {
    this.#isRequestComplete = true;
    if (!this.isActive) return;
    this.#requestCompleted(this.#engine.clock.now());
    this.#upstream?.endRequest();
    this.#mirrors?.onEnd();
  }

  flushRequest(): void {
    if (this.#upstream !== null && !this.#upstream.flush()) this.#isBlocked = true;
    this.#mirrors?.flush();
  }

  /** The route's timeout counts from here (Envoy RouteAction.timeout). */
  #requestCompleted(nowMs: number): void {
    this.x.requestEndMs = nowMs;
    if (this.x.timeoutMs > 0) this.#engine.wheel.arm(this.#routeTimer, this.x.timeoutMs);
  }

  onUpstreamDrain(): void {
    this.#isBlocked = false;
    if (!this.#isRequestComplete) this.#downstream.resumeBody();
  }

  onUpstreamInterim(): void {
    // 100 answers an expectation that the sidecar has met itself; HTTP/1.0 knows no interim responses.
    if (this.x.request.minor === 0 || this.#isResponseStarted || this.x.response.status === 100) return;
    this.#downstream.sendInterim(writeResponseHead(this.x.response, NO_BODY, ''));
  }

  onUpstreamHead(framing: Framing): void {
    const { x, manager } = this;
    const nowMs = this.#engine.clock.now();
    x.isUpstreamResponse = true;
    x.responseStartMs = nowMs;
    x.details = 'via_upstream';
    if (!manager.suppressesEnvoyHeaders) {
      x.response.set(H.envoyUpstreamServiceTime, String(Math.floor(nowMs - x.upstreamStartMs)));
    }
    if (x.plan !== null) runThrough(x, x.plan.onResponse);
    this.#replay.clear();
    this.#sendHead(kindOfResponse(x.response, framing.bodyKind, x.request.method === 'HEAD'));
  }

  #sendHead(kind: BodyKind): void {
    const { x, manager } = this;
    finishResponse(x, manager, x.startWallMs + (this.#engine.clock.now() - x.startMs));
    const sent = x.request.minor === 0 && kind === CHUNKED ? UNTIL_CLOSE : kind;
    x.response.minor = manager.acceptsHttp10 ? x.request.minor : 1;
    this.#isResponseStarted = true;
    const text = writeResponseHead(x.response, sent, this.#downstream.connectionField(sent));
    x.responseHeadBytes = text.length;
    this.#downstream.sendHead(text, sent);
  }

  onUpstreamBody(bytes: Buffer, start: number, end: number): void {
    this.x.responseBytes += end - start;
    if (!this.#downstream.sendBody(bytes, start, end)) this.#upstream?.pause();
  }

  onUpstreamFlush(): void {
    if (this.#isResponseStarted) this.#downstream.flush();
  }

  onDownstreamDrain(): void {
    this.#upstream?.resume();
  }

  onUpstreamEnd(): void {
    this.#upstream = null;
    leaveEndpoint(this.x, this.x.response.status >= 500);
    this.#finish();
    this.#downstream.endResponse();
  }

  onUpstreamClose(end: UpstreamEnd, cause: string): void {
    this.#upstream = null;
    leaveEndpoint(this.x, true);
    const failed = closeFailure(end, cause);
    if (this.#isResponseStarted) {
      this.x.flags |= end === PROTOCOL_ERROR ? FLAGS.UPE : FLAGS.UC;
      this.x.failure = failed;
      this.#cut();
      return;
    }
    if (this.#cluster !== null && this.#wasReused && !this.#replay.isOverflown && mayRepeat(this.x, failed)) {
      this.#engine.counters.upstreamStaleRetries++;
      this.x.response.reset();
      this.#attempt(this.#cluster, true);
      return;
    }
    this.#fail(failed);
  }

  #fail(failed: Failure): void {
    rescue(this.x, failed);
    this.#reply();
  }

  /** Answers with x.response and x.replyBody. */
  #reply(): void {
    const { x, manager } = this;
    x.responseStartMs = this.#engine.clock.now();
    if (manager.explainsErrors && x.flags !== 0) x.response.set(H.outriggerError, explain(x));
    if (x.plan !== null) runThrough(x, x.plan.onResponse);
    const isEmpty = !frameReply(x);
    this.#sendHead(isEmpty ? NO_BODY : BY_LENGTH);
    if (!isEmpty) {
      x.responseBytes = x.replyBody.length;
      this.#downstream.sendText(x.replyBody);
    }
    this.#finish();
    this.#downstream.endResponse();
  }

  #cut(): void {
    this.#dropUpstream();
    this.#finish();
    this.#downstream.abort();
  }

  /** No byte moved for the stream idle timeout (Envoy stream_idle_timeout). */
  onIdle(): void {
    this.#giveUp(FLAGS.SI, failure('idle-timeout', 'internal', 'no'));
  }

  #giveUp(flag: number, failed: Failure): void {
    if (!this.isActive) return;
    this.x.flags |= flag;
    this.#dropUpstream();
    if (this.#isResponseStarted) this.#cut();
    else this.#fail(failed);
  }

  onDownstreamClose(): void {
    if (!this.isActive) return;
    const { x } = this;
    x.flags |= FLAGS.DC;
    if (x.details === '' || !this.#isResponseStarted) x.details = 'downstream_remote_disconnect';
    this.#dropUpstream();
    this.#finish();
  }

  #dropUpstream(): void {
    if (this.#pool !== null) {
      this.#pool.cancel(this);
      this.#pool = null;
      leaveEndpoint(this.x, false);
    }
    const upstream = this.#upstream;
    if (upstream === null) return;
    this.#upstream = null;
    upstream.abandon();
    leaveEndpoint(this.x, false);
  }

  #finish(): void {
    const { x } = this;
    if (!this.isActive) return;
    this.isActive = false;
    this.manager.tally.requestsActive--;
    this.#engine.wheel.disarm(this.#routeTimer);
    this.#engine.wheel.disarm(this.#durationTimer);
    this.#replay.clear();
    this.#cluster = null;
    if (!this.#isRequestComplete) this.#mirrors?.cut();
    this.#mirrors = null;
    x.endMs = this.#engine.clock.now();
    if (x.plan !== null) runThrough(x, x.plan.onEnd);
  }
}
