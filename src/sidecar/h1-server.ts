// @hot
// One downstream HTTP/1.1 connection: reads heads and bodies, one request at a time, and writes
// responses in order. What is pipelined waits unread. Body is decoded only when the upstream takes
// it, which is the whole of back-pressure: what is not decoded stays in the kernel. Malformed input is answered
// once and the connection closed. In a tunnel the client's bytes are one body that ends with its FIN.
//
//   head ─► prepare ─► driver.start ─► body ─► waiting for the response ─► next head
import { BodyDecoder, CHUNKED, NO_BODY, UNTIL_CLOSE, type BodyKind, type BodySink } from '../http/body-decoder.ts';
import { Framing } from '../http/framing.ts';
import { HeadParser, INCOMPLETE } from '../http/head-parser.ts';
import type { Exchange } from '../plan/exchange.ts';
import { BodyWriter } from './body-writer.ts';
import { SocketConnection } from './connection.ts';
import type { Downstream } from './downstream.ts';
import { DelayedClose } from './delayed-close.ts';
import { Driver } from './driver.ts';
import type { Engine } from './engine.ts';
import { giveExchange, takeExchange } from './exchange-pool.ts';
import type { H1Owner } from './h1-owner.ts';
import { HeadTimer } from './head-timer.ts';
import { IdleWatch } from './idle-watch.ts';
import type { HttpManager } from './http-manager.ts';
import { HTTP2_REFUSAL } from './h2-refusal.ts';
import { TAKEN, bareReply, isHttp2, refusalBody, stampRequest, takeRequest } from './request-intake.ts';
import { BUFFERED_BYTES_MAX, type Wire, type WireUser } from './wire.ts';

const EMPTY_BYTES = Buffer.alloc(0);
/** How much of a request body is read after its answer, so that the connection can be used again. */
const DISCARD_BYTES_MAX = 64 * 1024;

export class H1Server implements Downstream, BodySink, WireUser {
  readonly wire: Wire;
  place = -1;
  /** True: the next response is the last, because the filter chain was replaced. */
  isRetired = false;
  readonly #engine: Engine;
  readonly #owner: H1Owner;
  readonly #manager: HttpManager;
  readonly #x: Exchange = takeExchange();
  readonly driver: Driver;
  readonly #parser: HeadParser;
  readonly #framing = new Framing();
  readonly #decoder = new BodyDecoder();
  readonly #writer: BodyWriter;
  readonly #idle: IdleWatch;
  readonly #headTimer: HeadTimer;
  #delayedClose: DelayedClose | null = null;
  readonly #connection: SocketConnection;
  #held: Buffer = EMPTY_BYTES;
  #heldAt = 0;
  #requests = 0;
  /** The client said that it sends nothing after this request. */
  #isLastRequest = false;
  #trailers = '';
  #discardBytes = 0;
  #isProcessing = false;
  #isInRequest = false;
  /** The client waits for 100 (Continue), and the sidecar owes it. */
  #owesContinue = false;
  #isClosing = false;
  #hasEnded = false;
  #isClosed = false;

  constructor(engine: Engine, manager: HttpManager, wire: Wire, owner: H1Owner & { readonly isInbound: boolean }) {
    this.wire = wire;
    this.#engine = engine;
    this.#owner = owner;
    this.#manager = manager;
    this.#connection = new SocketConnection(wire, owner.isInbound);
    this.driver = new Driver(engine, manager, this.#x, this);
    this.#parser = new HeadParser('request', { bytesMax: manager.headBytesMax, countMax: manager.headerCountMax });
    this.#framing.allowsChunkedLength = manager.allowsChunkedLength;
    this.#writer = new BodyWriter(wire);
    this.#idle = new IdleWatch(engine, manager, this.driver, this);
    this.#headTimer = new HeadTimer(engine.wheel, manager, (details) => this.#refuse(408, details));
    manager.tally.connectionsTotal++;
    manager.tally.connectionsActive++;
    wire.user = this;
    wire.resume();
  }

  /** No more requests after the one under way; an idle connection closes now. */
  drain(): void {
    if (!this.driver.isActive && !this.#parser.isPartial) this.destroy();
  }

  retire(): void {
    this.isRetired = true;
  }

  /** How long nothing has moved, in milliseconds; 0 while a request is under way. */
  get quietMs(): number {
    return this.driver.isActive ? 0 : this.#engine.clock.now() - this.#idle.lastMs;
  }

  onWireBytes(bytes: Buffer): void {
    if (this.#isClosing) return;
    if (this.#held.length > this.#heldAt) {
      // Bytes came although reading is paused: keep them in order.
      this.#held = Buffer.concat([this.#held.subarray(this.#heldAt), bytes]);
      this.#heldAt = 0;
      return;
    }
    this.#process(bytes, 0, false);
  }

  onWireDrain(): void {
    this.#idle.lastMs = this.#engine.clock.now();
    this.driver.onDownstreamDrain();
    if (!this.driver.isActive && !this.#isClosing && !this.#isProcessing) this.#goOn();
  }

  /** Takes bytes from `at` on as far as they may be taken now; the rest is held (copied unless it is ours) and reading pauses. */
  #process(bytes: Buffer, start: number, areOurs: boolean): void {
    this.#isProcessing = true;
    let at = start;
    while (at < bytes.length && !this.#isClosing) {
      if (this.#isInRequest && this.#decoder.isComplete) {
        if (this.driver.isActive) break;
        this.#isInRequest = false;
      } else if (this.#isInRequest) {
        if (!this.driver.takesBody) break;
        at = this.#readBody(bytes, at);
      } else if (this.wire.bufferedBytes > BUFFERED_BYTES_MAX) {
        break; // The client has yet to take its earlier answers.
      } else {
        at = this.#readHead(bytes, at);
      }
    }
    this.#isProcessing = false;
    if (this.#isClosing) return;
    if (at < bytes.length) {
      this.#held = areOurs ? bytes : Buffer.from(bytes.subarray(at));
      this.#heldAt = areOurs ? at : 0;
      this.wire.pause();
    } else {
      this.#held = EMPTY_BYTES;
      this.#heldAt = 0;
      if (this.#isInRequest && !this.#decoder.isComplete && !this.driver.takesBody) this.wire.pause();
    }
    this.driver.flushRequest();
    if (this.#hasEnded && at >= bytes.length) this.onWireEnd();
  }

  #readHead(bytes: Buffer, start: number): number {
    const x = this.#x;
    const wasPartial = this.#parser.isPartial;
    const at = this.#parser.parse(bytes, start, x.request);
    if (at === INCOMPLETE) {
      if (!wasPartial) this.#headTimer.arm();
      return bytes.length;
    }
    if (wasPartial) this.#headTimer.disarm();
    if (at < 0) {
      if (this.#requests === 0 && this.#manager.detectsHttp2 && isHttp2(at, x.request)) this.#refuseHttp2();
      else this.#refuse(-at, at === -431 ? 'http1.headers_too_large' : 'http1.codec_error');
      return bytes.length;
    }
    this.#begin();
    return this.#isClosing ? bytes.length : at;
  }

  /** The head is complete: frames the body, prepares the request and lets the driver go. */
  #begin(): void {
    const x = this.#x;
    stampRequest(x, this.#engine.clock, this.#connection);
    this.#idle.lastMs = x.startMs;
    x.requestHeadBytes = x.request.text.length;
    this.#requests++;
    const status = takeRequest(x, this.#framing, this.#manager);
    this.#isLastRequest = status === TAKEN && !this.#framing.isKeptAlive;
    if (status > TAKEN) {
      this.#refuse(status, x.details);
      return;
    }
    this.#decoder.begin(this.#framing.bodyKind, this.#framing.contentLength, this.#framing.nominated);
    this.#isInRequest = true;
    if (status < TAKEN) {
      this.driver.refuse(-status, '', x.details);
      return;
    }
    this.#owesContinue =
      this.#framing.expectsContinue && !this.#manager.proxiesContinue && this.#framing.bodyKind !== NO_BODY;
    this.driver.start(this.#framing.bodyKind);
    if (this.#owesContinue) this.#sendContinue();
    this.#idle.minds(x.streamIdleTimeoutMs);
  }

  /** The body may come: the request has passed all policies, and an endpoint waits for it. */
  #sendContinue(): void {
    if (!this.driver.isActive || !this.driver.takesBody || this.driver.isResponseStarted) return;
    this.#owesContinue = false;
    this.sendInterim('HTTP/1.1 100 Continue\r\n\r\n');
  }

  #readBody(bytes: Buffer, start: number): number {
    this.#idle.lastMs = this.#engine.clock.now();
    const at = this.#decoder.decode(bytes, start, bytes.length, this);
    if (at < 0) {
      this.#onBadBody(-at);
      return bytes.length;
    }
    if (this.driver.isActive) {
      if (this.#decoder.isComplete) {
        this.driver.onRequestEnd(this.#manager.forwardsTrailers ? this.#decoder.trailers : '');
      }
      return at;
    }
    // The answer is out: the rest of the body is read and dropped, within reason.
    this.#discardBytes += at - start;
    if (this.#discardBytes > DISCARD_BYTES_MAX) this.#linger();
    return at;
  }

  onBodyBytes(bytes: Buffer, start: number, end: number): void {
    this.driver.onRequestBody(bytes, start, end);
  }

  /** The head has gone on already: cut the upstream, answer if nothing was said yet, and close. */
  #onBadBody(status: number): void {
    this.#manager.tally.protocolErrors++;
    const isUnanswered = !this.driver.isResponseStarted;
    this.driver.onDownstreamClose();
    if (isUnanswered) this.wire.writeText(bareReply(status));
    this.#linger();
  }

  #refuseHttp2(): void {
    this.#owner.noteHttp2();
    this.wire.writeBytes(HTTP2_REFUSAL);
    this.#linger();
  }

  /** Refuses a request that the codec does not take. */
  #refuse(status: number, details: string): void {
    if (this.#isClosing || this.driver.isActive) return;
    const x = this.#x;
    this.#manager.tally.countRefusal(status, details);
    this.#framing.isKeptAlive = false;
    if (x.startMs === 0) stampRequest(x, this.#engine.clock, this.#connection);
    this.#isInRequest = true;
    this.#decoder.begin(NO_BODY, 0);
    this.driver.refuse(status, refusalBody(status, details), details);
  }

  sendHead(text: string, kind: BodyKind): void {
    this.#writer.begin(text, kind === CHUNKED);
  }

  sendInterim(text: string): void {
    this.#writer.writeText(text);
    this.#writer.flush();
  }

  sendBody(bytes: Buffer, start: number, end: number): boolean {
    return this.#writer.write(bytes, start, end);
  }

  sendTrailers(lines: string): void {
    if (this.#framing.takesTrailers && this.#manager.forwardsTrailers) this.#trailers = lines;
  }

  openTunnel(): void {
    this.#framing.isKeptAlive = false;
    this.#writer.flush();
    this.#decoder.begin(UNTIL_CLOSE, 0);
    this.#isInRequest = true;
    if (!this.#isProcessing) this.resumeBody();
  }

  endTunnel(): void {
    this.#writer.flush();
    this.wire.end();
  }

  closeAfter(): void {
    this.#framing.isKeptAlive = false;
  }

  sendText(text: string): void {
    this.#writer.writeText(text);
  }

  flush(): void {
    this.#idle.lastMs = this.#engine.clock.now();
    this.#writer.flush();
  }

  connectionField(kind: BodyKind): string {
    const { maxRequestsPerConnection: max, tally } = this.#manager;
    const isTooMany = max > 0 && this.#requests >= max;
    if (isTooMany) tally.requestLimits++;
    const isLeaving = this.isRetired || this.#owner.isDraining;
    if (isLeaving) tally.drainCloses++;
    const isLast =
      !this.#framing.isKeptAlive ||
      kind === UNTIL_CLOSE ||
      isLeaving ||
      isTooMany ||
      (this.#hasEnded && this.#held.length === this.#heldAt) ||
      this.#idle.isOverAge ||
      // What comes behind an offer that was turned down may be meant for the protocol that was not taken.
      this.#x.upgrade !== '' ||
      // A client that was answered instead of told to go on may send the body, or not.
      (this.#framing.expectsContinue && !this.#decoder.isComplete) ||
      this.#decoder.remainingBytes > DISCARD_BYTES_MAX;
    if (!isLast) return '';
    this.#framing.isKeptAlive = false;
    return 'connection: close\r\n';
  }

  endResponse(): void {
    this.#writer.end(this.#trailers);
    this.#trailers = '';
    this.#owesContinue = false;
    this.#writer.flush();
    this.#idle.lastMs = this.#x.endMs;
    this.#x.reset();
    if (!this.#framing.isKeptAlive || this.#isClosing) return this.#linger();
    this.#isInRequest = !this.#decoder.isComplete;
    this.#discardBytes = 0;
    if (!this.#isProcessing) this.#goOn();
  }

  #goOn(): void {
    if (this.#held.length > this.#heldAt) this.resumeBody();
    else if (this.#hasEnded) this.onWireEnd();
    else if (this.wire.isPaused) this.wire.resume();
  }

  abort(): void {
    this.#writer.drop();
    this.destroy();
  }

  resumeBody(): void {
    if (this.#isProcessing || this.#isClosing) return;
    if (this.#owesContinue) this.#sendContinue();
    const held = this.#held;
    const at = this.#heldAt;
    this.#held = EMPTY_BYTES;
    this.#heldAt = 0;
    this.#process(held, at, true);
    const isOpen = !this.#isClosing && this.#held.length === 0 && this.driver.takesBody;
    if (isOpen && this.wire.isPaused) this.wire.resume();
  }

  /** The client sends no more. A response under way is finished and sent; an incomplete request is over. */
  onWireEnd(): void {
    this.#hasEnded = true;
    if (this.#held.length > this.#heldAt) return;
    if (this.driver.isActive && this.#decoder.isComplete) return;
    if (this.driver.isActive && this.driver.isTunnel && this.#decoder.endOfInput()) {
      this.driver.onRequestEnd('');
      return;
    }
    const isUnsent = !this.driver.isActive && this.wire.bufferedBytes > 0;
    this.driver.onDownstreamClose();
    if (isUnsent) this.#linger();
    else this.destroy();
  }

  onWireClose(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#isClosing = true;
    this.#manager.tally.connectionsActive--;
    this.#held = EMPTY_BYTES;
    this.#idle.stop();
    this.#headTimer.disarm();
    this.#delayedClose?.stop();
    this.driver.onDownstreamClose();
    giveExchange(this.#x);
    this.#owner.closed(this);
  }

  /** Per connection: the last response is written. What still comes is read and not looked at. */
  #linger(): void {
    this.#isClosing = true;
    this.#headTimer.disarm();
    if (this.#isLastRequest && this.#decoder.isComplete && this.#held.length === 0 && this.wire.bufferedBytes === 0) {
      return this.destroy(); // Nothing can be unread, so that closing resets nothing.
    }
    this.wire.resume();
    const { delayedCloseMs, tally } = this.#manager;
    this.#delayedClose ??= new DelayedClose(this.#engine.wheel, this.wire, delayedCloseMs, tally);
    this.#delayedClose.begin(this.#hasEnded);
  }

  destroy(): void {
    this.#isClosing = true;
    this.wire.destroy();
  }
}
