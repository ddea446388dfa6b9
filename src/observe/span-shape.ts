// What the spans of one hop look like: names, kinds, times, status and attributes by the
// OpenTelemetry HTTP semantic conventions, with the tags that Envoy and Istio users search for.
// Runs for sampled requests only.
import { H } from '../http/header-name.ts';
import type { Exchange } from '../plan/exchange.ts';
import { flagLetters } from '../plan/response-flags.ts';
import { tagValue, type SpanTag } from './custom-tags.ts';
import type { EarlierAttempt, HopTrace } from './hop-trace.ts';
import type { NodeIdentity } from './node-identity.ts';

export type SpanAttributes = Record<string, string | number>;

/** Something that happened inside of a span. */
export interface SpanEvent {
  /** Milliseconds since the epoch, with a fraction. */
  readonly timeMs: number;
  readonly name: string;
  /** Empty: nothing more is said. */
  readonly detail: string;
}

/** A finished span, before any exporter's own types. */
export interface SpanRecord {
  readonly kind: 'server' | 'client';
  readonly name: string;
  readonly traceId: string;
  readonly spanId: string;
  /** Empty at the root. */
  readonly parentSpanId: string;
  readonly isParentRemote: boolean;
  readonly state: string;
  /** Milliseconds since the epoch, with a fraction. */
  readonly startMs: number;
  readonly endMs: number;
  readonly isError: boolean;
  readonly attributes: SpanAttributes;
  readonly events: readonly SpanEvent[];
}

export interface SpanShapeInit {
  readonly node: NodeIdentity;
  readonly isInbound: boolean;
  readonly tags: readonly SpanTag[];
  /** Route.decorator.operation: the name of the server span; empty for the method. */
  readonly operation: string;
  readonly pathLengthMax: number;
  /** One span for the whole hop (spawn_upstream_span: false). */
  readonly isSingle: boolean;
}

const NO_EVENTS: readonly SpanEvent[] = Object.freeze([]);

const METHODS = new Set(['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE', 'PATCH', 'QUERY']);

export class SpanShape {
  readonly isSingle: boolean;
  readonly #init: SpanShapeInit;
  readonly #fixed: SpanAttributes;

  constructor(init: SpanShapeInit) {
    this.isSingle = init.isSingle;
    this.#init = init;
    this.#fixed = fixedAttributes(init.node);
  }

  /** The server span first, then one client span for each try that was made; the last of them tells what happened. */
  spansOf(x: Exchange, trace: HopTrace): SpanRecord[] {
    const hasUpstream = x.attempts > 0 || trace.attemptStartMs > 0;
    const records: SpanRecord[] = [];
    // A hop that is one span is a client's where it leaves the workload, a server's where it enters.
    const isAlone = this.isSingle || !hasUpstream;
    if (!this.isSingle || this.#init.isInbound) records.push(this.#server(x, trace, isAlone));
    else records.push(this.#client(x, trace));
    if (isAlone) return records;
    const { earlier } = trace;
    if (earlier !== null) {
      for (const [index, attempt] of earlier.entries()) records.push(this.#earlier(x, trace, attempt, index));
    }
    records.push(this.#client(x, trace));
    return records;
  }

  #server(x: Exchange, trace: HopTrace, isAlone: boolean): SpanRecord {
    const { status } = x.response;
    const { connection } = x;
    const isError = status >= 500 || status === 0;
    const attributes: SpanAttributes = { ...this.#fixed };
    setMethod(attributes, x.request.method);
    const path = x.originalPath === '' ? trace.path : x.originalPath;
    const question = path.indexOf('?');
    attributes['url.scheme'] = x.request.scheme;
    attributes['url.path'] = this.#cut(question === -1 ? path : path.slice(0, question));
    if (question !== -1) attributes['url.query'] = this.#cut(path.slice(question + 1));
    setServer(attributes, trace.authority, x.request.scheme);
    attributes['client.address'] = clientAddress(x);
    attributes['network.peer.address'] = connection.remoteAddress;
    attributes['network.peer.port'] = connection.remotePort;
    attributes['network.protocol.version'] = x.request.minor === 0 ? '1.0' : '1.1';
    this.#common(x, attributes);
    setOutcome(attributes, status, isError ? errorType(x, status) : '');
    return {
      kind: 'server',
      name: this.#name(x),
      traceId: trace.traceId,
      spanId: trace.serverSpanId,
      parentSpanId: trace.parentSpanId,
      isParentRemote: true,
      state: trace.state,
      startMs: x.startWallMs,
      endMs: wallOf(x, x.endMs),
      isError,
      attributes,
      events: isAlone ? eventsOf(x) : NO_EVENTS,
    };
  }

  #client(x: Exchange, trace: HopTrace): SpanRecord {
    // A reply of our own after a failed try says nothing of what the upstream answered.
    const status = x.isUpstreamResponse ? x.response.status : 0;
    const isError = status >= 400 || status === 0;
    const attributes = this.#clientAttributes(x);
    const { endpoint } = x;
    if (endpoint !== null) setPeer(attributes, endpoint.address, endpoint.port);
    const tries = trace.earlier === null ? 0 : trace.earlier.length;
    if (tries > 0) attributes['http.request.resend_count'] = tries;
    this.#common(x, attributes);
    setOutcome(attributes, status, isError ? errorType(x, status) : '');
    const startMs = x.upstreamStartMs || trace.attemptStartMs || x.startMs;
    return {
      ...this.#childOf(x, trace),
      spanId: trace.clientSpanId,
      startMs: wallOf(x, startMs),
      endMs: wallOf(x, x.endMs),
      isError,
      attributes,
      events: eventsOf(x),
    };
  }

  #earlier(x: Exchange, trace: HopTrace, attempt: EarlierAttempt, index: number): SpanRecord {
    const attributes = this.#clientAttributes(x);
    if (attempt.address !== '') setPeer(attributes, attempt.address, attempt.port);
    if (index > 0) attributes['http.request.resend_count'] = index;
    const { status, errorType: cause } = attempt;
    const isError = status >= 400 || status === 0;
    setOutcome(attributes, status, isError ? cause || (status === 0 ? '_OTHER' : String(status)) : '');
    return {
      ...this.#childOf(x, trace),
      spanId: attempt.spanId,
      startMs: wallOf(x, attempt.startMs),
      endMs: wallOf(x, attempt.endMs),
      isError,
      attributes,
      events: NO_EVENTS,
    };
  }

  #childOf(
    x: Exchange,
    trace: HopTrace,
  ): Pick<SpanRecord, 'kind' | 'name' | 'traceId' | 'parentSpanId' | 'isParentRemote' | 'state'> {
    return {
      kind: 'client',
      name: this.isSingle ? this.#name(x) : methodName(x.request.method),
      traceId: trace.traceId,
      parentSpanId: this.isSingle ? trace.parentSpanId : trace.serverSpanId,
      isParentRemote: this.isSingle,
      state: trace.state,
    };
  }

  #clientAttributes(x: Exchange): SpanAttributes {
    const attributes: SpanAttributes = { ...this.#fixed };
    const { request } = x;
    setMethod(attributes, request.method);
    attributes['url.full'] = `${request.scheme}://${request.authority}${this.#cut(request.path)}`;
    setServer(attributes, request.authority, request.scheme);
    return attributes;
  }

  #common(x: Exchange, attributes: SpanAttributes): void {
    const { request } = x;
    setIfAny(attributes, 'user_agent.original', request.get(H.userAgent));
    setIfAny(attributes, 'guid:x-request-id', request.get(H.requestId));
    if (x.cluster !== null) attributes['upstream_cluster'] = x.cluster.name;
    attributes['response_flags'] = flagLetters(x.flags);
    attributes['request_size'] = x.requestBytes;
    attributes['response_size'] = x.responseBytes;
    for (const tag of this.#init.tags) setIfAny(attributes, tag.name, tagValue(x, tag));
  }

  #name(x: Exchange): string {
    return this.#init.operation === '' ? methodName(x.request.method) : this.#init.operation;
  }

  #cut(text: string): string {
    return text.length > this.#init.pathLengthMax ? text.slice(0, this.#init.pathLengthMax) : text;
  }
}

function fixedAttributes(node: NodeIdentity): SpanAttributes {
  const attributes: SpanAttributes = { component: 'proxy' };
  setIfAny(attributes, 'node_id', node.id);
  setIfAny(attributes, 'istio.canonical_service', node.canonicalService);
  setIfAny(attributes, 'istio.canonical_revision', node.canonicalRevision);
  setIfAny(attributes, 'istio.mesh_id', node.meshId);
  setIfAny(attributes, 'istio.namespace', node.namespace);
  setIfAny(attributes, 'istio.cluster_id', node.clusterId);
  return attributes;
}

function setIfAny(attributes: SpanAttributes, name: string, value: string | null): void {
  if (value !== null && value !== '') attributes[name] = value;
}

/** An unknown method is `_OTHER`: its own text could name anything. */
function setMethod(attributes: SpanAttributes, method: string): void {
  const isKnown = METHODS.has(method);
  attributes['http.request.method'] = isKnown ? method : '_OTHER';
  if (!isKnown) attributes['http.request.method_original'] = method;
}

/** Semantic conventions: the name of a span of an unknown method is `HTTP`. */
function methodName(method: string): string {
  return METHODS.has(method) ? method : 'HTTP';
}

function setServer(attributes: SpanAttributes, authority: string, scheme: string): void {
  if (authority === '') return;
  const colon = authority.lastIndexOf(':');
  const hasPort = colon !== -1 && !authority.includes(']', colon);
  const port = hasPort ? Number(authority.slice(colon + 1)) : NaN;
  const host = hasPort ? authority.slice(0, colon) : authority;
  attributes['server.address'] = host.startsWith('[') && host.endsWith(']') ? host.slice(1, -1) : host;
  attributes['server.port'] = Number.isInteger(port) && port > 0 ? port : scheme === 'https' ? 443 : 80;
}

function setPeer(attributes: SpanAttributes, address: string, port: number): void {
  attributes['network.peer.address'] = address;
  if (port !== 0) attributes['network.peer.port'] = port;
  attributes['upstream_address'] =
    port === 0 ? address : address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

function clientAddress(x: Exchange): string {
  const forwarded = x.request.get(H.forwardedFor);
  const first = forwarded === null ? '' : (forwarded.split(',')[0] ?? '').trim();
  return first === '' ? x.connection.remoteAddress : first;
}

function setOutcome(attributes: SpanAttributes, status: number, cause: string): void {
  if (status !== 0) attributes['http.response.status_code'] = status;
  if (cause !== '') attributes['error.type'] = cause;
}

function errorType(x: Exchange, status: number): string {
  if (x.failure !== null) return x.failure.kind;
  return status === 0 ? '_OTHER' : String(status);
}

function eventsOf(x: Exchange): readonly SpanEvent[] {
  if (x.events === null) return NO_EVENTS;
  return x.events.map(({ timeMs, name, detail }) => ({ timeMs: wallOf(x, timeMs), name, detail }));
}

/** A monotonic time of this exchange as milliseconds since the epoch; the end of the request when it is not known. */
function wallOf(x: Exchange, monotonicMs: number): number {
  const atMs = monotonicMs === 0 ? performance.now() : monotonicMs;
  return x.startWallMs + Math.max(0, atMs - x.startMs);
}
