// @hot
// Drives one exchange from its parsed head to its end, once for each request of a connection: the only place that
// switches on a Verdict. A changed protocol makes it a tunnel, until both sides have ended. onEnd runs once on every path.
//
//   start ─► match ─► onRequest ─► forward ─► UpstreamRequest ─► response head ─► body ─► finish (onEnd)
//              │          └► reply                 └► rescue        │ onResponse
//              └► 404, 403                                          └► 101: tunnel ─► both ended ─► finish
import type { Framing } from '../http/framing.ts';
import { BY_LENGTH, CHUNKED, NO_BODY, UNTIL_CLOSE, type BodyKind } from '../http/body-decoder.ts';
import { kindOfResponse } from '../http/edited-framing.ts';
import { writeResponseHead } from '../http/head-writer.ts';
import { H } from '../http/header-name.ts';
import { assertNever } from '../base/assert.ts';
import { OUTCOME } from '../plan/cluster.ts';
import { abortWith } from '../plan/attempt-fault.ts';
import type { Exchange, Resumer } from '../plan/exchange.ts';
import { failure, type Failure } from '../plan/failure.ts';
import { CONTINUE, PAUSE, REPLY, RESET } from '../plan/plan.ts';
import { FLAGS } from '../plan/response-flags.ts';
import { runThrough } from '../plan/run.ts';
import { joinChain } from './chain-book.ts';
import { chooseCluster, refusalOf } from './cluster-choice.ts';
import { finishResponse } from './downstream-headers.ts';
import type { Downstream } from './downstream.ts';
import type { Engine } from './engine.ts';
import type { HttpManager } from './http-manager.ts';
import { startMirrors, type MirrorSet } from './mirror-set.ts';
import { beginTimeout, isOver, takeTimes, timeLeft } from '../resilience/deadline.ts';
import { cutShort, explain, frameReply, rescue } from './rescue.ts';
import { walkRequest } from './request-walk.ts';
import { FORWARD_PLAIN, chooseRoute } from './route-choice.ts';
import { StreamTimers, type StreamTimersOwner } from './stream-timers.ts';
import { layFields } from './upgrade.ts';
import { UpstreamRequest } from './upstream-request.ts';
import type { UpstreamRequestOwner } from './upstream-request-owner.ts';

export class Driver implements UpstreamRequestOwner, StreamTimersOwner, Resumer {
  readonly #engine: Engine;
  readonly #downstream: Downstream;
  readonly x: Exchange;
  manager: HttpManager;
  isActive = false;
  /** True once the protocol has changed: bytes pass both ways as they come. */
  isTunnel = false;
  #isResponseStarted = false;
  /** Tunnels: the upstream has said its FIN. */
  #isResponseOver = false;
  #bodyKind: BodyKind = NO_BODY;
  readonly #request: UpstreamRequest;
  #mirrors: MirrorSet | null = null;
  readonly #timers: StreamTimers;

  constructor(engine: Engine, manager: HttpManager, x: Exchange, downstream: Downstream) {
    this.#engine = engine;
    this.manager = manager;
    this.x = x;
    this.#downstream = downstream;
    this.#request = new UpstreamRequest(engine, x, this);
    this.#timers = new StreamTimers(engine.wheel, this);
    x.resumer = this;
  }

  /** True while request body may be handed to onRequestBody. */
  get takesBody(): boolean {
    return !this.isActive || this.#request.takesBody;
  }

  get isResponseStarted(): boolean {
    return this.#isResponseStarted;
  }

  /** Begins the exchange; its request head is parsed and prepared, `bodyKind` frames its body. */
  start(bodyKind: BodyKind): void {
    const { x, manager } = this;
    this.#begin(bodyKind);
    this.#request.isStarting = true;
    x.streamIdleTimeoutMs = manager.streamIdleTimeoutMs;
    x.maxStreamDurationMs = manager.maxStreamDurationMs;
    if (x.maxStreamDurationMs > 0) this.#timers.armDuration(x.maxStreamDurationMs);
    if (bodyKind !== NO_BODY) this.#timers.armRequest(manager.requestTimeoutMs);
    const choice = chooseRoute(x, manager);
    this.#request.isPlain = choice === FORWARD_PLAIN;
    this.#walk();
    this.#request.isStarting = false;
  }

  /** Answers a request that never reached a route: refused by the codec or the connection manager. */
  refuse(status: number, body: string, details: string): void {
    const { x } = this;
    this.#begin(NO_BODY);
    x.plan = this.manager.missPlan;
    if (status !== 408) x.flags |= FLAGS.DPE;
    x.details = details;
    x.response.status = status;
    x.replyBody = body;
    this.#reply();
  }

  #begin(bodyKind: BodyKind): void {
    this.isActive = true;
    this.isTunnel = false;
    this.manager.tally.begin();
    this.#bodyKind = bodyKind;
    this.#request.begin(bodyKind);
    this.#isResponseStarted = false;
    this.#isResponseOver = false;
  }

  /** A step that paused goes on; a late call for an older exchange does nothing. */
  resume(epoch: number): void {
    if (this.isActive && this.x.epoch === epoch) this.#walk();
  }

  abandon(epoch: number): void {
    if (this.x.epoch === epoch) this.#cut();
  }

  #walk(): void {
    const { x } = this;
    const verdict = walkRequest(x, this.manager);
    switch (verdict) {
      case CONTINUE:
        if (x.isUnrouted) this.#reply();
        else this.#forward();
        return;
      case PAUSE:
        if (x.holdBytesMax > 0) this.#request.hold();
        else this.#timers.armPause(x);
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
    const cluster = chooseCluster(x, this.#engine.clock);
    const refusal = refusalOf(x, cluster, this.#engine.random);
    if (cluster === null || refusal !== null) {
      if (refusal !== null) this.#fail(refusal);
      return;
    }
    if (x.maxStreamDurationMs !== this.manager.maxStreamDurationMs) this.#timers.armDuration(x.maxStreamDurationMs);
    takeTimes(x, this.manager);
    if (this.manager.isMesh) joinChain(this.#engine.chain, x);
    const nowMs = this.#request.isStarting ? x.startMs : this.#engine.clock.now();
    if (isOver(x, nowMs)) {
      this.#fail(failure('timeout', 'upstream', 'no'));
      return;
    }
    this.#armDeadline(nowMs);
    if (x.plan !== null && x.plan.mirrors.length > 0 && x.upgrade === '') {
      this.#mirrors = startMirrors(this.#engine, x, x.plan.mirrors, this.#bodyKind);
      if (x.heldBody !== null) this.#mirrors?.catchUp(this.#request.keptBody(), this.#request.isComplete);
    }
    if (this.#request.isComplete) this.onRequestComplete(nowMs);
    this.#request.start(cluster);
  }

  onRequestSent(): void {
    this.#downstream.resumeBody();
  }

  onRequestFailed(failed: Failure): void {
    this.#fail(failed);
  }

  onRequestAborted(faultStatus: number): void {
    abortWith(this.x, faultStatus);
    this.#reply();
  }

  /** Request body bytes[start, end), or bytes of the tunnel. */
  onRequestBody(bytes: Buffer, start: number, end: number): void {
    if (!this.isActive) return;
    this.x.requestBytes += end - start;
    this.#mirrors?.onBody(bytes, start, end);
    this.#request.writeBody(bytes, start, end);
  }

  /** The client's request is complete; in a tunnel: the client has said its FIN. */
  onRequestEnd(trailers: string): void {
    if (this.isTunnel) {
      this.#request.endTunnel();
      this.#settleTunnel();
      return;
    }
    if (this.isActive) this.onRequestComplete(this.#engine.clock.now());
    this.#request.end(trailers);
    if (this.isActive) this.#mirrors?.onEnd(trailers);
  }

  flushRequest(): void {
    this.#request.flush();
    this.#mirrors?.flush();
  }

  /** The route's timeout counts from here (Envoy RouteAction.timeout); a change of protocol may take its time. */
  onRequestComplete(nowMs: number): void {
    const { x } = this;
    x.requestEndMs = nowMs;
    this.#timers.disarmRequest();
    beginTimeout(x, nowMs);
    this.#armDeadline(nowMs);
  }

  #armDeadline(nowMs: number): void {
    const { x } = this;
    if (x.upgrade === '') this.#timers.armRoute(timeLeft(x, nowMs));
  }

  onUpstreamDrain(): void {
    if (this.isTunnel || !this.#request.isComplete) this.#downstream.resumeBody();
  }

  onResponseInterim(): boolean {
    const { x } = this;
    // HTTP/1.0 knows no interim responses; 100 answers an expectation that the sidecar has met itself.
    if (x.request.minor === 0 || this.#isResponseStarted) return false;
    if (x.response.status === 100 && !this.manager.proxiesContinue) return false;
    this.#downstream.sendInterim(writeResponseHead(x.response, NO_BODY, ''));
    return true;
  }

  onResponseHead(framing: Framing, nowMs: number): void {
    const { x, manager } = this;
    const isTunnel = this.#request.isTunnel;
    x.isUpstreamResponse = true;
    x.responseStartMs = nowMs;
    x.details = 'via_upstream';
    if (!manager.suppressesEnvoyHeaders && x.requestEndMs > 0 && x.upgrade === '') {
      x.response.set(H.envoyUpstreamServiceTime, String(Math.floor(nowMs - x.upstreamStartMs)));
    }
    if (isTunnel && x.response.status === 101) layFields(x.response, framing.upgrade);
    if (x.plan !== null) runThrough(x, x.plan.onResponse);
    if (isTunnel) this.#openTunnel();
    else this.#sendHead(kindOfResponse(x.response, framing.bodyKind, x.request.method === 'HEAD'));
  }

  #sendHead(kind: BodyKind): void {
    const { x } = this;
    this.#writeHead(x.request.minor === 0 && kind === CHUNKED ? UNTIL_CLOSE : kind, true);
  }

  #writeHead(kind: BodyKind, hasConnectionField: boolean): void {
    const { x, manager } = this;
    finishResponse(x, manager, x.startWallMs + (x.responseStartMs - x.startMs));
    x.response.minor = manager.acceptsHttp10 ? x.request.minor : 1;
    this.#isResponseStarted = true;
    const text = writeResponseHead(x.response, kind, hasConnectionField ? this.#downstream.connectionField(kind) : '');
    x.responseHeadBytes = text.length;
    this.#downstream.sendHead(text, kind);
  }

  /** The upstream has agreed: no limit of the request counts any more, those of the stream do. */
  #openTunnel(): void {
    this.isTunnel = true;
    this.manager.tally.upgradesTotal++;
    this.manager.tally.upgradesActive++;
    this.#request.openTunnel();
    this.x.response.remove(H.contentLength);
    this.#writeHead(UNTIL_CLOSE, false);
    this.#downstream.openTunnel();
  }

  #settleTunnel(): void {
    if (!this.isActive || !this.#isResponseOver || !this.#request.isComplete) return;
    this.#request.closeTunnel();
    this.#finish();
    this.#downstream.endResponse();
  }

  onUpstreamBody(bytes: Buffer, start: number, end: number): void {
    this.x.responseBytes += end - start;
    if (!this.#downstream.sendBody(bytes, start, end)) this.#request.connection?.pause();
  }

  onUpstreamFlush(): void {
    if (this.#isResponseStarted) this.#downstream.flush();
  }

  onDownstreamDrain(): void {
    this.#request.connection?.resume();
  }

  onResponseEnd(trailers: string): void {
    if (this.isTunnel) {
      this.#isResponseOver = true;
      this.#downstream.endTunnel();
      this.#settleTunnel();
      return;
    }
    this.#downstream.sendTrailers(trailers);
    this.#finish();
    this.#downstream.endResponse();
  }

  onResponseCut(failed: Failure, flag: number): void {
    cutShort(this.x, failed, flag);
    this.#cut();
  }

  #fail(failed: Failure): void {
    rescue(this.x, failed, this.manager.suppressesEnvoyHeaders);
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
    this.#request.drop();
    this.#finish();
    this.#downstream.abort();
  }

  /** No byte moved for the stream idle timeout (Envoy stream_idle_timeout). */
  onIdle(): void {
    if (this.isActive) this.manager.tally.streamIdleTimeouts++;
    this.#giveUp(FLAGS.SI, failure('idle-timeout', 'internal', 'no'));
  }

  onRouteTimeout(): void {
    this.#giveUp(FLAGS.UT, failure('timeout', 'upstream', 'no'));
  }

  onStreamTooLong(): void {
    if (this.isActive) this.manager.tally.durationTimeouts++;
    this.#giveUp(0, failure('duration', 'internal', 'no'));
  }

  onRequestTooSlow(): void {
    if (this.isActive) this.manager.tally.requestTimeouts++;
    this.#giveUp(0, failure('request-timeout', 'downstream', 'no'));
  }

  #giveUp(flag: number, failed: Failure): void {
    if (!this.isActive) return;
    const { x } = this;
    x.flags |= flag;
    this.#request.drop(failed.kind === 'timeout' ? OUTCOME.TIMEOUT : OUTCOME.NONE);
    if (this.#isResponseStarted) {
      this.#cut();
      return;
    }
    rescue(x, failed, this.manager.suppressesEnvoyHeaders);
    if (!this.#request.isComplete) {
      // The client is what was slow, and the rest of its request is not waited for.
      if (failed.kind !== 'timeout') x.response.status = 408;
      this.#downstream.closeAfter();
    }
    this.#reply();
  }

  onDownstreamClose(): void {
    if (!this.isActive) return;
    const { x } = this;
    this.manager.tally.departures++;
    x.flags |= FLAGS.DC;
    if (x.details === '' || !this.#isResponseStarted) x.details = 'downstream_remote_disconnect';
    this.#request.drop();
    this.#finish();
  }

  #finish(): void {
    const { x } = this;
    if (!this.isActive) return;
    this.isActive = false;
    this.manager.tally.requestsActive--;
    if (this.isTunnel) this.manager.tally.upgradesActive--;
    this.#timers.disarmAll();
    if (x.isInChain) this.#engine.chain.leave(x);
    if (!this.#request.isComplete) this.#mirrors?.cut();
    this.#request.finish();
    this.#mirrors = null;
    x.endMs = this.#engine.clock.now();
    if (x.plan !== null) runThrough(x, x.plan.onEnd);
  }
}
