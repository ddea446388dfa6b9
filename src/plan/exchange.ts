// @hot
// One request and its response on their way through the sidecar. An Exchange belongs to its
// downstream connection and is reset between requests, never made anew; whatever calls back late
// compares `epoch` first. Every field is set in the constructor, in one order, with one type.
import { Head } from '../http/head.ts';
import type { AttemptFault } from './attempt-fault.ts';
import type { ClusterRef, Endpoint } from './cluster.ts';
import { ExchangeMetadata } from './exchange-metadata.ts';
import type { Failure } from './failure.ts';
import type { MetadataMatch } from './metadata-match.ts';
import type { Plan, Step } from './plan.ts';
import type { RetryPlan } from './retry-plan.ts';
import type { TlsFacts } from './tls-facts.ts';

/** The downstream connection as steps may see it. Addresses are textual IPs without a port. */
export interface Connection {
  readonly id: number;
  readonly remoteAddress: string;
  readonly remotePort: number;
  /** The peer of the socket itself, where a PROXY header told of another; absent: the remote address. */
  readonly directAddress?: string;
  readonly localAddress: string;
  readonly localPort: number;
  /** True when the local address is where the client meant to go, told by the kernel's redirect or the PROXY protocol. */
  readonly isRestored: boolean;
  /** SNI; empty when there is none. */
  readonly serverName: string;
  /** The peer's URI SAN after mutual TLS; empty for plaintext. */
  readonly peerPrincipal: string;
  readonly isTls: boolean;
  /** Null for plaintext. */
  readonly tls: TlsFacts | null;
  /** The listener's direction, for metrics and spans. */
  readonly isInbound: boolean;
  /** True once nothing comes from it any more; absent: it is not known. */
  readonly isClosed?: boolean;
}

export const NO_CONNECTION: Connection = {
  id: 0,
  remoteAddress: '',
  remotePort: 0,
  localAddress: '',
  localPort: 0,
  isRestored: false,
  serverName: '',
  peerPrincipal: '',
  isTls: false,
  tls: null,
  isInbound: false,
};

/** The trace context of one hop: what arrived, and the spans this hop makes of it. Ids are lower-case hex. */
export interface TraceContext {
  readonly traceId: string;
  /** The span that called us; empty at the root. */
  readonly parentSpanId: string;
  /** This hop's server span. */
  readonly serverSpanId: string;
  /** This hop's client span: the parent of the next hop. */
  readonly clientSpanId: string;
  readonly isSampled: boolean;
  /** The tracestate as received; empty when there was none. */
  readonly state: string;
}

/** Something rare that a policy decided (`retry`, `budget`, `ejected`, `fault`), for span events. */
export interface ExchangeEvent {
  /** On the clock's now(). */
  readonly timeMs: number;
  readonly name: string;
  /** A reason in a few words; may be empty. */
  readonly detail: string;
}

const EVENTS_MAX = 32;

/** Who goes on with an exchange that a step has paused: its driver. */
export interface Resumer {
  /** Does nothing when the exchange is another one by now: `epoch` is the one that the step saw. Never call it inside the step. */
  resume(epoch: number): void;
  /** What ran for the exchange was interrupted: it ends without an answer, and its connection with it. */
  abandon(epoch: number): void;
}

export class Exchange {
  /** Grows by one at each reset; a late callback that remembers an older one does nothing. */
  epoch = 0;
  /** Index of the step to run next in the phase that is under way. */
  pc = 0;
  readonly request: Head = new Head();
  readonly response: Head = new Head();
  connection: Connection = NO_CONNECTION;
  plan: Plan | null = null;
  /** No route takes it, or not the change of protocol that it asks for: it is answered with what is laid. */
  isUnrouted = false;
  /** The step that just paused has found out something by which the route is to be chosen again, at once. */
  movesRoute = false;
  /** Set by a step that returns PAUSE: it runs again when the exchange is resumed. The runner takes it back. */
  repeatsStep = false;
  /** Where the request goes; set by the route's split step. */
  cluster: ClusterRef | null = null;
  /** Which entry of a weighted split was chosen, or -1. */
  splitIndex = -1;
  endpoint: Endpoint | null = null;
  /** No permit, no forward: authorization sets it, or the pipeline where none is configured. */
  isPermitted = false;
  /** The client is one of the manager's internal addresses: its `x-envoy-*` control fields are believed. */
  isInternal = false;
  /** The body of a reply that a step made; the head of the reply is `response`. */
  /** Wire text: one character a byte. */
  replyBody = '';
  /** The step that ended the request phase with REPLY or RESET. */
  stoppedBy: Step | null = null;
  /** The status by which the answer of a filter counts among those of the cluster; 0: it does not, as it came from nobody there. */
  chargedStatus = 0;
  failure: Failure | null = null;
  /** FLAGS bits. */
  flags = 0;
  /** Envoy's %RESPONSE_CODE_DETAILS%; empty until known. */
  details = '';
  /** True when the response came from an upstream, not from the sidecar. */
  isUpstreamResponse = false;
  /** The protocol that the client wants to change to (`websocket`), `CONNECT` for that method, or empty. */
  upgrade = '';
  /** Route timeout in milliseconds; 0 is none. */
  timeoutMs = 0;
  /** The idle timeout of the stream in milliseconds; 0 is none. */
  streamIdleTimeoutMs = 0;
  /** The longest the stream may last in milliseconds; 0 is no limit. */
  maxStreamDurationMs = 0;
  /** Attempts made so far, the first included. */
  attempts = 0;
  /** Monotonic milliseconds: head received; request fully received; attempt sent; response head received; response fully sent. 0 is not yet. */
  startMs = 0;
  requestEndMs = 0;
  upstreamStartMs = 0;
  responseStartMs = 0;
  endMs = 0;
  /** Milliseconds since the epoch at `startMs`. */
  startWallMs = 0;
  /** Body bytes from the client, and to it. */
  requestBytes = 0;
  responseBytes = 0;
  /** Bytes of the heads as received and as sent, for the byte metrics. */
  requestHeadBytes = 0;
  responseHeadBytes = 0;
  /** `%UPSTREAM_LOCAL_ADDRESS%`; empty until an upstream connection is used. */
  upstreamLocalAddress = '';
  /** What the handshake with the endpoint found out; null until an upstream connection is used, and for plaintext. */
  upstreamTls: TlsFacts | null = null;
  /** The path as the client sent it, when a route rewrote it; else empty. */
  originalPath = '';
  /** The client's IP as x-forwarded-for gives it where that is trusted; empty: the connection's. */
  clientAddress = '';
  /** True once the route's response header edits were applied; they apply to replies of any origin, once. */
  isResponseEdited = false;
  trace: TraceContext | null = null;
  /** Random number in [0, 1) drawn once per request on first use by a split; negative before. */
  splitPoint = -1;
  /** RoutingPriority HIGH: the other set of circuit breakers. */
  isHighPriority = false;
  /** What the route's hash policies made of the request, as two unsigned 32-bit halves; meaningless without `hasHash`. */
  hasHash = false;
  hashHigh = 0;
  hashLow = 0;
  /** A sticky split met somebody without its cookie, who is to get one. */
  isNewVisitor = false;
  /** How many endpoints this attempt's host predicates have refused already: hashing then looks elsewhere. */
  pickRound = 0;
  /** The endpoint (`address:port`) that a session asks for (stateful session, override host); empty: any. */
  sessionEndpoint = '';
  /** True: that endpoint or none. */
  isSessionStrict = false;
  /** What the route wants of endpoints' metadata; null: nothing. */
  subsetMatch: MetadataMatch | null = null;
  /** How attempts are made, when the route or the request says; null: once. */
  retry: RetryPlan | null = null;
  /** Endpoints of the attempts so far; kept only where a retry policy avoids them. */
  readonly tried: Endpoint[] = [];
  /** After PAUSE: the driver goes on by itself after so many milliseconds; 0: whoever paused resumes. */
  pauseMs = 0;
  /** After PAUSE: the driver takes so much of the request body in before it goes on; 0: none. */
  holdBytesMax = 0;
  /** A larger body goes on with what there is of it, instead of being answered with 413. */
  holdsPartial = false;
  /** What was held of the body, once it was; null: nothing was asked for, or it has none. */
  heldBody: Buffer | null = null;
  isHeldPartial = false;
  /** What filters hold for this exchange until its end: a bit each (FilterScope.bit). */
  held = 0;
  /**
   * Priorities whose endpoints a retry should not get again (retry_priority previous_priorities), a bit each from 1 for
   * priority 0. A picker leaves them out unless nobody else is left; 0 is none.
   */
  excludedPriorities = 0;
  /** When all must be over, on the clock's now(): the route's timeout or what the caller has left. 0: never. */
  deadlineMs = 0;
  /** Attempts tell the next hop how much of that is left. */
  tellsTimeLeft = false;
  /** The route takes its timeout from `grpc-timeout`, which then says what is left. */
  heedsGrpcTimeout = false;
  /** Faults that each attempt may meet; null: none. */
  attemptFault: AttemptFault | null = null;
  /** A sidecar nearer to the client retries failed responses: ours retries only what never reached an app. */
  isRetriedAbove = false;
  /** Attempts carry `x-outrigger-attempt`: a request of the app of a mesh. */
  marksAttempts = false;
  /** Counted in the chain book until it ends, there under this id where that is not empty. */
  isInChain = false;
  chainId = '';
  /** What happened on the way that a trace should tell; null until something did. */
  events: ExchangeEvent[] | null = null;
  /** Dynamic metadata: what filters found out for those after them, by namespace (`envoy.filters.http.jwt_authn`). Values are shared: never change one. */
  readonly metadata = new ExchangeMetadata();
  /** Set once by the driver that owns this exchange; null in tests of single steps. */
  resumer: Resumer | null = null;

  reset(): void {
    this.epoch++;
    this.pc = 0;
    this.request.reset();
    this.response.reset();
    this.plan = null;
    this.isUnrouted = false;
    this.movesRoute = false;
    this.cluster = null;
    this.splitIndex = -1;
    this.endpoint = null;
    this.isPermitted = false;
    this.isInternal = false;
    this.replyBody = '';
    this.stoppedBy = null;
    this.chargedStatus = 0;
    this.failure = null;
    this.flags = 0;
    this.details = '';
    this.isUpstreamResponse = false;
    this.upgrade = '';
    this.timeoutMs = 0;
    this.streamIdleTimeoutMs = 0;
    this.maxStreamDurationMs = 0;
    this.attempts = 0;
    this.startMs = 0;
    this.requestEndMs = 0;
    this.upstreamStartMs = 0;
    this.responseStartMs = 0;
    this.endMs = 0;
    this.startWallMs = 0;
    this.requestBytes = 0;
    this.responseBytes = 0;
    this.requestHeadBytes = 0;
    this.responseHeadBytes = 0;
    this.upstreamLocalAddress = '';
    this.upstreamTls = null;
    this.originalPath = '';
    this.clientAddress = '';
    this.isResponseEdited = false;
    this.trace = null;
    this.splitPoint = -1;
    this.isHighPriority = false;
    this.#forgetHash();
    this.isNewVisitor = false;
    this.pickRound = 0;
    this.sessionEndpoint = '';
    this.isSessionStrict = false;
    this.subsetMatch = null;
    this.retry = null;
    if (this.tried.length > 0) this.tried.length = 0;
    this.pauseMs = 0;
    this.holdBytesMax = 0;
    this.holdsPartial = false;
    this.heldBody = null;
    this.isHeldPartial = false;
    this.held = 0;
    this.excludedPriorities = 0;
    this.deadlineMs = 0;
    this.tellsTimeLeft = false;
    this.heedsGrpcTimeout = false;
    this.attemptFault = null;
    this.isRetriedAbove = false;
    this.marksAttempts = false;
    this.isInChain = false;
    this.chainId = '';
    this.events = null;
    if (this.metadata.size > 0) this.metadata.clear();
  }

  #forgetHash(): void {
    this.hasHash = false;
    this.hashHigh = 0;
    this.hashLow = 0;
  }

  /** Notes an event for the span. Exceptions only: it makes an object. `name` is `retry`, `ejected` or the like. */
  note(timeMs: number, name: string, detail: string): void {
    this.events ??= [];
    if (this.events.length < EVENTS_MAX) this.events.push({ timeMs, name, detail });
  }
}
