// Reads and writes trace contexts: W3C traceparent and tracestate (Trace Context level 1), and B3 in
// its one-header and many-header forms. W3C wins when both came. Whatever is not valid counts as
// absent: the hop then starts a trace of its own and drops a tracestate that belonged to nothing.
import type { Head } from '../http/head.ts';
import { H, internHeader } from '../http/header-name.ts';

export const B3 = {
  single: internHeader('b3'),
  traceId: internHeader('x-b3-traceid'),
  spanId: internHeader('x-b3-spanid'),
  parentSpanId: internHeader('x-b3-parentspanid'),
  sampled: internHeader('x-b3-sampled'),
  flags: internHeader('x-b3-flags'),
} as const;

export type Decision = 'sampled' | 'not-sampled' | 'debug' | 'deferred';

/** What a request said about its trace. */
export interface IncomingTrace {
  /** 32 lower-case hex digits; empty when the request named no trace. */
  readonly traceId: string;
  /** 16 lower-case hex digits; empty when the request named no span. */
  readonly spanId: string;
  readonly decision: Decision;
  /** The valid tracestate that came along; empty without one. */
  readonly state: string;
  /** The B3 forms in which the request spoke, so that the next hop is spoken to in the same. */
  readonly hasB3Single: boolean;
  readonly hasB3Multi: boolean;
  /** True: the trace id was 64 bits wide in B3, and goes on so. */
  readonly isShort: boolean;
}

interface Identity {
  readonly traceId: string;
  readonly spanId: string;
  readonly decision: Decision;
  readonly isShort: boolean;
}

const NOTHING: Identity = { traceId: '', spanId: '', decision: 'deferred', isShort: false };
export const NO_TRACE: IncomingTrace = { ...NOTHING, state: '', hasB3Single: false, hasB3Multi: false };

const ZERO_TRACE = '0'.repeat(32);
const ZERO_SPAN = '0'.repeat(16);
const STATE_MEMBERS_MAX = 32;
const STATE_LENGTH_MAX = 8192;

/** The context that arrived with `request`. */
export function readTrace(request: Head): IncomingTrace {
  const hasParent = request.has(H.traceparent);
  const hasB3Single = request.has(B3.single);
  const hasB3Multi =
    request.has(B3.traceId) || request.has(B3.spanId) || request.has(B3.sampled) || request.has(B3.flags);
  if (!hasParent && !hasB3Single && !hasB3Multi) return NO_TRACE;
  const w3c = hasParent ? readParent(request) : null;
  if (w3c !== null) return { ...w3c, state: readState(request), hasB3Single, hasB3Multi };
  const b3 =
    (hasB3Single ? parseB3(request.get(B3.single) ?? '') : null) ?? (hasB3Multi ? readMulti(request) : NOTHING);
  return { ...b3, state: '', hasB3Single, hasB3Multi };
}

/** Two traceparent lines are no traceparent (Trace Context section 3.2). */
function readParent(request: Head): Identity | null {
  const at = request.find(H.traceparent);
  if (request.find(H.traceparent, at + 1) !== -1) return null;
  return parseTraceparent(request.valueAt(at));
}

/** `version-traceid-parentid-flags`; null when invalid by Trace Context section 3.2.2. */
export function parseTraceparent(value: string): Identity | null {
  const text = value.trim();
  if (text.length < 55 || text[2] !== '-' || text[35] !== '-' || text[52] !== '-') return null;
  const version = text.slice(0, 2);
  if (!isHex(version) || version === 'ff') return null;
  // A future version may append fields, behind one more dash.
  if (text.length > 55 && (version === '00' || text[55] !== '-')) return null;
  const traceId = text.slice(3, 35);
  const spanId = text.slice(36, 52);
  const flags = text.slice(53, 55);
  if (!isTraceId(traceId) || !isSpanId(spanId) || !isHex(flags)) return null;
  const isSampled = (Number.parseInt(flags, 16) & 1) === 1;
  return { traceId, spanId, decision: isSampled ? 'sampled' : 'not-sampled', isShort: false };
}

/** All tracestate lines joined, or empty when one member is invalid (section 3.3.1). */
function readState(request: Head): string {
  const joined = request.getJoined(H.tracestate);
  return joined !== null && isValidState(joined) ? joined : '';
}

const STATE_KEY = /^(?:[a-z][a-z0-9_*/-]{0,255}|[a-z0-9][a-z0-9_*/-]{0,240}@[a-z][a-z0-9_*/-]{0,13})$/;
const STATE_VALUE = /^[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]$/;

export function isValidState(state: string): boolean {
  if (state.length > STATE_LENGTH_MAX) return false;
  const keys = new Set<string>();
  for (const part of state.split(',')) {
    const member = part.trim();
    if (member === '') continue;
    const equals = member.indexOf('=');
    const key = member.slice(0, equals);
    if (equals === -1 || keys.has(key) || !STATE_KEY.test(key) || !STATE_VALUE.test(member.slice(equals + 1)))
      return false;
    keys.add(key);
  }
  return keys.size > 0 && keys.size <= STATE_MEMBERS_MAX;
}

/** `traceid-spanid[-sampled[-parentspanid]]`, or a decision alone; null when invalid. */
export function parseB3(value: string): Identity | null {
  const parts = value.trim().toLowerCase().split('-');
  const [first = '', spanId = '', sampled, parentSpanId] = parts;
  if (parts.length === 1) {
    const decision = decisionOf(first);
    return decision === null ? null : { ...NOTHING, decision };
  }
  const decision = sampled === undefined ? 'deferred' : decisionOf(sampled);
  const isParentValid = parentSpanId === undefined || isSpanId(parentSpanId);
  if (parts.length > 4 || decision === null || !isParentValid) return null;
  return identity(first, spanId, decision);
}

function readMulti(request: Head): Identity {
  const sampled = request.get(B3.sampled);
  const isDebug = request.get(B3.flags)?.trim() === '1';
  const said = sampled === null ? 'deferred' : (decisionOf(sampled.trim().toLowerCase()) ?? 'deferred');
  const decision = isDebug ? 'debug' : said;
  const traceId = request.get(B3.traceId)?.trim().toLowerCase() ?? '';
  const spanId = request.get(B3.spanId)?.trim().toLowerCase() ?? '';
  // A decision without valid ids still holds: the trace then starts here.
  return identity(traceId, spanId, decision) ?? { ...NOTHING, decision };
}

function identity(traceId: string, spanId: string, decision: Decision): Identity | null {
  const isShort = traceId.length === 16;
  const wide = isShort ? `${ZERO_SPAN}${traceId}` : traceId;
  return isTraceId(wide) && isSpanId(spanId) ? { traceId: wide, spanId, decision, isShort } : null;
}

function decisionOf(text: string): Decision | null {
  switch (text) {
    case '1':
    case 'true':
      return 'sampled';
    case '0':
    case 'false':
      return 'not-sampled';
    case 'd':
      return 'debug';
    default:
      return null;
  }
}

function isTraceId(text: string): boolean {
  return text.length === 32 && isHex(text) && text !== ZERO_TRACE;
}

function isSpanId(text: string): boolean {
  return text.length === 16 && isHex(text) && text !== ZERO_SPAN;
}

/** Lower-case hex only, as both formats demand. */
function isHex(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (!((code >= 0x30 && code <= 0x39) || (code >= 0x61 && code <= 0x66))) return false;
  }
  return true;
}

/** What the next hop is told. */
export interface OutgoingTrace {
  readonly traceId: string;
  readonly spanId: string;
  /** The parent of `spanId`; empty at the root. */
  readonly parentSpanId: string;
  readonly isSampled: boolean;
  readonly isDebug: boolean;
  readonly state: string;
  readonly writesB3Single: boolean;
  readonly writesB3Multi: boolean;
  readonly isShort: boolean;
}

/** Replaces the propagation headers of `request`. */
export function writeTrace(request: Head, trace: OutgoingTrace): void {
  const { traceId, spanId, parentSpanId, isSampled, isDebug } = trace;
  request.set(H.traceparent, '00-' + traceId + '-' + spanId + (isSampled ? '-01' : '-00'));
  if (trace.state !== '') request.set(H.tracestate, trace.state);
  else request.remove(H.tracestate);
  if (!trace.writesB3Single && !trace.writesB3Multi) return;
  const b3TraceId = trace.isShort ? traceId.slice(16) : traceId;
  if (trace.writesB3Single) {
    const decision = isDebug ? 'd' : isSampled ? '1' : '0';
    const parent = parentSpanId === '' ? '' : '-' + parentSpanId;
    request.set(B3.single, b3TraceId + '-' + spanId + '-' + decision + parent);
  }
  if (!trace.writesB3Multi) return;
  request.set(B3.traceId, b3TraceId);
  request.set(B3.spanId, spanId);
  if (parentSpanId === '') request.remove(B3.parentSpanId);
  else request.set(B3.parentSpanId, parentSpanId);
  // Debug implies sampled and is said instead of it.
  if (isDebug) {
    request.set(B3.flags, '1');
    request.remove(B3.sampled);
  } else {
    request.remove(B3.flags);
    request.set(B3.sampled, isSampled ? '1' : '0');
  }
}
