// @hot
// One HTTP/1.1 connection to an endpoint. It carries one request at a time for its user (the driver
// of an exchange, or a mirror): writes head and body, parses the response, and hands both on as they
// come. A response is complete only when its framing says so; bytes that nobody asked for close the
// connection. It never throws; every end of the socket becomes exactly one callback.
//
//   idle ──send()──► sending/receiving ──response and request complete──► idle (back to the pool)
//                        └── failure ──► closed
import type { TimerWheel } from '../base/timer-wheel.ts';
import { BodyDecoder, CHUNKED, UNTIL_CLOSE, type BodyKind, type BodySink } from '../http/body-decoder.ts';
import { Framing, inspectResponse } from '../http/framing.ts';
import { HeadParser, INCOMPLETE, type HeadLimits } from '../http/head-parser.ts';
import { Head } from '../http/head.ts';
import { H } from '../http/header-name.ts';
import type { Gate } from '../plan/cluster.ts';
import { BodyWriter } from './body-writer.ts';
import { DelayedClose } from './delayed-close.ts';
import { idleAllowanceMs } from './idle-allowance.ts';
import { CONNECT, isAnswerTo } from './upgrade.ts';
import { tlsFacts } from './connection.ts';
import type { TlsFacts } from '../plan/tls-facts.ts';
import type { Wire, WireUser } from './wire.ts';

/** How an upstream connection ended a request. */
export const CLOSED_BEFORE_RESPONSE = 1;
export const CLOSED_MID_RESPONSE = 2;
export const PROTOCOL_ERROR = 3;
export type UpstreamEnd = typeof CLOSED_BEFORE_RESPONSE | typeof CLOSED_MID_RESPONSE | typeof PROTOCOL_ERROR;

/** The cause that is told of a connection that closed inside a response head. */
export const HEAD_CUT = 'response head cut';

export interface UpstreamUser {
  /** Where the response head is to be laid; fresh. */
  readonly responseHead: Head;
  /** A final response head is in `responseHead`, or the one that opens a tunnel. */
  onUpstreamHead(framing: Framing): void;
  /** A 1xx head other than 101 is in `responseHead`, which is reset afterwards. */
  onUpstreamInterim(): void;
  onUpstreamBody(bytes: Buffer, start: number, end: number): void;
  /**
   * The response is complete, with these trailers, and the connection already released. In a tunnel: the
   * upstream has said its FIN, and the connection is the user's until closeTunnel().
   */
  onUpstreamEnd(trailers: string): void;
  /** The connection failed; it is already gone. `cause` is an error code or a short reason. */
  onUpstreamClose(end: UpstreamEnd, cause: string): void;
  /** All bytes of this turn have been handed on. */
  onUpstreamFlush(): void;
  /** Request bytes may be written again. */
  onUpstreamDrain(): void;
}

/** What a connection tells its pool. */
export interface UpstreamOwner {
  release(connection: UpstreamConnection): void;
  forget(connection: UpstreamConnection): void;
}

/** How long the last bytes of a tunnel may wait for a peer that takes none. */
const FLUSH_MS = 1000;
const INTERIM_MAX = 32;
const RESPONSE_LIMITS: HeadLimits = { bytesMax: 80 * 1024, countMax: 100 };

/** Takes what nobody wants. */
const NOBODY: UpstreamUser = {
  responseHead: new Head(),
  onUpstreamHead: () => {},
  onUpstreamInterim: () => {},
  onUpstreamBody: () => {},
  onUpstreamEnd: () => {},
  onUpstreamClose: () => {},
  onUpstreamFlush: () => {},
  onUpstreamDrain: () => {},
};

export class UpstreamConnection implements BodySink, WireUser {
  readonly wire: Wire;
  /** In its pool's roster. */
  place = -1;
  readonly owner: UpstreamOwner;
  readonly localAddress: string;
  /** Null for plaintext. */
  readonly tls: TlsFacts | null;
  /** Requests sent so far, the one under way included. */
  requests = 0;
  /** Monotonic milliseconds when it last became idle. */
  idleSinceMs = 0;
  /** When it was opened, on the same clock. */
  openedMs = 0;
  /** How long it may be idle by what its server said; 0: it said nothing. */
  idleMaxMs = 0;
  /** What the request under way took from the limits of its cluster; null: nothing. */
  permit: Gate | null = null;
  user: UpstreamUser | null = null;
  isClosed = false;
  readonly #parser = new HeadParser('response', RESPONSE_LIMITS);
  readonly #decoder = new BodyDecoder();
  readonly #framing = new Framing();
  readonly #writer: BodyWriter;
  /** True once the peer has agreed to another protocol: bytes pass as they come, for this user only. */
  isTunnel = false;
  #isToHead = false;
  /** The protocol that the request under way offers, or empty. */
  #upgrade = '';
  #isInBody = false;
  #hasResponseBytes = false;
  #isRequestComplete = true;
  /** Something of the request under way has reached the kernel. */
  #isWritten = false;
  #isReusable = true;
  #interims = 0;

  constructor(wire: Wire, owner: UpstreamOwner) {
    this.wire = wire;
    this.owner = owner;
    this.localAddress = wire.localAddress + ':' + wire.localPort;
    this.tls = tlsFacts.get(wire) ?? null;
    this.#writer = new BodyWriter(wire);
    wire.user = this;
    wire.resume();
  }

  /** True while it may take a request: open, nothing unread, and allowed by the peer. */
  get isUsable(): boolean {
    return !this.isClosed && this.#isReusable && this.user === null;
  }

  /** Something of the request under way has reached the kernel. */
  get hasWritten(): boolean {
    return this.#isWritten;
  }

  /** Begins a request: `headText` goes out with the first flush. */
  send(user: UpstreamUser, headText: string, bodyKind: BodyKind, method: string, upgrade: string): void {
    this.user = user;
    this.requests++;
    this.#isToHead = method === 'HEAD';
    this.#upgrade = upgrade;
    this.#isInBody = false;
    this.#hasResponseBytes = false;
    this.#isRequestComplete = false;
    this.#isWritten = false;
    this.#interims = 0;
    this.#writer.begin(headText, bodyKind === CHUNKED);
  }

  /** Makes this connection, which has carried nothing, one end of a tunnel: `user` hears of a 200 at once. */
  openTunnel(user: UpstreamUser): void {
    this.user = user;
    this.requests++;
    this.isTunnel = true;
    this.#isInBody = true;
    this.#isReusable = false;
    this.#decoder.begin(UNTIL_CLOSE, 0);
    this.#framing.reset();
    user.responseHead.status = 200;
    user.onUpstreamHead(this.#framing);
  }

  /** Request body bytes[start, end). Returns false when the caller should wait for onUpstreamDrain. */
  writeBody(bytes: Buffer, start: number, end: number): boolean {
    const isOpen = this.#writer.write(bytes, start, end);
    if (this.#writer.isEmpty && !this.wire.isBroken) this.#isWritten = true;
    return isOpen;
  }

  /** The request is complete, with these trailers. */
  endRequest(trailers: string): void {
    this.#isRequestComplete = true;
    this.#writer.end(trailers);
  }

  /** Tunnels: FIN behind what was written. */
  endTunnel(): void {
    this.#writer.flush();
    this.wire.end();
  }

  /** Tunnels: both sides have ended; what was written still goes out, within reason. */
  closeTunnel(wheel: TimerWheel): void {
    this.user = null;
    new DelayedClose(wheel, this.wire, FLUSH_MS).begin(true);
  }

  flush(): boolean {
    const isOpen = this.#writer.flush();
    if (!this.wire.isBroken) this.#isWritten = true;
    return isOpen;
  }

  /** The user gives up: nothing more is called, the connection is gone. */
  abandon(): void {
    this.user = null;
    this.#close();
  }

  /** The user does not want the response whose head it has: if all of it is here already the connection stays, else it goes. */
  discard(): void {
    this.user = NOBODY;
  }

  pause(): void {
    this.wire.pause();
  }

  resume(): void {
    this.wire.resume();
  }

  onBodyBytes(bytes: Buffer, start: number, end: number): void {
    this.user?.onUpstreamBody(bytes, start, end);
  }

  onWireDrain(): void {
    this.user?.onUpstreamDrain();
  }

  onWireClose(cause: string): void {
    this.#fail(cause === '' ? 'closed' : cause);
  }

  onWireBytes(bytes: Buffer): void {
    if (this.user === null) {
      // Nobody asked: a late or a second response. It must never answer the next request.
      this.#close();
      return;
    }
    if (this.wire.isBroken && !this.#isWritten) {
      // What a peer says that got nothing of the request, 408 before it closes say, answers nothing.
      this.#fail('EPIPE');
      return;
    }
    this.#hasResponseBytes = true;
    let at = 0;
    if (!this.#isInBody) {
      at = this.#readHead(bytes);
      if (at === -1) return;
    }
    if (!this.#decoder.isComplete) {
      at = this.#decoder.decode(bytes, at, bytes.length, this);
      if (at < 0) {
        this.#end(PROTOCOL_ERROR, 'malformed response body');
        return;
      }
    }
    if (this.#decoder.isComplete) this.#complete(at < bytes.length);
    else if (this.user === NOBODY) this.#close();
    else this.user?.onUpstreamFlush();
  }

  /** Heads until the final one; the offset after it, or -1 when there is nothing more to do now. */
  #readHead(bytes: Buffer): number {
    let at = 0;
    while (at < bytes.length) {
      const user = this.user;
      if (user === null) return -1;
      at = this.#parser.parse(bytes, at, user.responseHead);
      if (at === INCOMPLETE) break;
      // What is said to this hop alone goes with the next line.
      if (at > 0 && this.requests === 1) this.idleMaxMs = idleAllowanceMs(user.responseHead.get(H.keepAlive));
      if (at < 0 || inspectResponse(user.responseHead, this.#framing, this.#isToHead) !== 0) {
        this.#end(PROTOCOL_ERROR, 'malformed response head');
        return -1;
      }
      const { status } = user.responseHead;
      if (this.#opensTunnel(status)) {
        this.isTunnel = true;
        this.#isInBody = true;
        this.#isReusable = false;
        this.#decoder.begin(UNTIL_CLOSE, 0);
        user.onUpstreamHead(this.#framing);
        return this.user === null ? -1 : at;
      }
      if (status === 101 || (status < 200 && ++this.#interims > INTERIM_MAX)) {
        this.#end(PROTOCOL_ERROR, 'unexpected interim response');
        return -1;
      }
      if (status >= 200) {
        this.#isInBody = true;
        this.#isReusable = this.#framing.isKeptAlive;
        this.#decoder.begin(this.#framing.bodyKind, this.#framing.contentLength, this.#framing.nominated);
        user.onUpstreamHead(this.#framing);
        return this.user === null ? -1 : at;
      }
      user.onUpstreamInterim();
      user.responseHead.reset();
    }
    this.user?.onUpstreamFlush();
    return -1;
  }

  /** RFC 9110 sections 7.8 and 9.3.6: only what was asked for, and only the answer that says so. */
  #opensTunnel(status: number): boolean {
    if (this.#upgrade === '') return false;
    if (this.#upgrade === CONNECT) return status >= 200 && status < 300;
    return status === 101 && isAnswerTo(this.#upgrade, this.#framing.upgrade);
  }

  #complete(hasExcess: boolean): void {
    const { user } = this;
    if (user === null) return;
    this.user = null;
    if (hasExcess || !this.#isReusable || !this.#isRequestComplete) {
      this.#close();
    } else {
      // Its last user may have paused it for a slow client, and will not be told of that client any more.
      this.wire.resume();
      this.owner.release(this);
    }
    user.onUpstreamEnd(this.#decoder.trailers);
  }

  onWireEnd(): void {
    if (this.isTunnel) {
      this.user?.onUpstreamEnd('');
      return;
    }
    if (this.user !== null && this.#isInBody && this.#decoder.endOfInput()) {
      this.#complete(true);
      return;
    }
    this.#fail('closed');
  }

  #fail(cause: string): void {
    this.#end(this.#isInBody ? CLOSED_MID_RESPONSE : CLOSED_BEFORE_RESPONSE, cause);
  }

  #end(end: UpstreamEnd, cause: string): void {
    const { user } = this;
    this.user = null;
    this.#close();
    if (user === null) return;
    // Written in part: EPIPE would say that the upstream cannot have seen the request.
    const told = cause === 'EPIPE' && this.#isWritten ? 'ECONNRESET' : cause;
    // Half a response head is a response that was cut, though the client has seen nothing of it.
    const isCutHead = end === CLOSED_BEFORE_RESPONSE && this.#hasResponseBytes;
    user.onUpstreamClose(end, isCutHead ? HEAD_CUT : told);
  }

  #close(): void {
    if (this.isClosed) return;
    this.user = null;
    this.isClosed = true;
    this.#isReusable = false;
    this.wire.destroy();
    this.owner.forget(this);
  }
}
