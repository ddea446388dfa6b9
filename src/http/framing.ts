// @hot
// Decides how a parsed message is framed (RFC 9112 section 6) and what of it concerns only this hop
// (RFC 9110 section 7.6.1), and takes the hop's own fields out of the Head. Anything two readers could
// frame differently is refused: Content-Length beside Transfer-Encoding, repeated or odd lengths, any
// transfer coding but a single `chunked`.
import { isIPv6 } from 'node:net';
import { HEX, HOST, TOKEN_LOWER } from './byte-class.ts';
import { BY_LENGTH, CHUNKED, NO_BODY, UNTIL_CLOSE, type BodyKind } from './body-decoder.ts';
import { isDisguise, isProtected } from './field-guard.ts';
import { HASH_SEED, H, hashStep, lookUpHeader } from './header-name.ts';
import type { Head } from './head.ts';

/** What inspect() found; one per connection, reused. */
export class Framing {
  bodyKind: BodyKind = NO_BODY;
  /** Bytes, for BY_LENGTH. */
  contentLength = 0;
  /** True when the sender lets the connection live on after this message. */
  isKeptAlive = true;
  expectsContinue = false;
  /** The client says `TE: trailers`: it reads trailers behind a chunked response (RFC 9110 section 10.1.4). */
  takesTrailers = false;
  /** The protocol that the Upgrade field asks for, when Connection says so too; else empty. */
  upgrade = '';
  /** The fields that Connection nominates, when trailers may follow: `,name,name,` in lower case; else empty. */
  nominated = '';
  /** Setting: Transfer-Encoding beside Content-Length wins (RFC 9112 section 6.3) instead of being refused. */
  allowsChunkedLength = false;

  reset(): void {
    this.bodyKind = NO_BODY;
    this.contentLength = 0;
    this.isKeptAlive = true;
    this.expectsContinue = false;
    this.takesTrailers = false;
    this.upgrade = '';
    this.nominated = '';
  }
}

const BAD_REQUEST = 400;
const TOO_LARGE = 413;
const NOT_IMPLEMENTED = 501;

const EXPECTATION_FAILED = 417;

/**
 * Reads the framing of a request head into `framing` and strips hop-by-hop fields. Resolves
 * absolute-form targets into authority and path; one that says https is not believed unless `isTls`.
 * Returns 0, or the status to refuse with.
 */
export function inspectRequest(head: Head, framing: Framing, isTls = false): number {
  framing.reset();
  framing.isKeptAlive = head.minor === 1;
  const host = head.find(H.host);
  if (host === -1) {
    if (head.minor === 1) return BAD_REQUEST;
  } else {
    if (head.find(H.host, host + 1) !== -1) return BAD_REQUEST;
    head.authority = head.valueAt(host);
    if (head.authority === '' || !isAuthority(head.authority)) return BAD_REQUEST;
  }
  const target = resolveTarget(head);
  if (target !== 0) return target;
  if (head.scheme === 'https' && !isTls) return BAD_REQUEST;
  const length = readLength(head, framing);
  if (length !== 0) return length;
  if (head.has(H.te)) framing.takesTrailers = head.minor === 1 && takesTrailers(head.getJoined(H.te) ?? '');
  // RFC 9110 section 9.3.8: a TRACE request has no content.
  if (framing.bodyKind !== NO_BODY && head.method === 'TRACE') return BAD_REQUEST;
  if (head.has(H.connection)) {
    const refused = readConnection(head, framing);
    if (refused !== 0) return refused;
  }
  if (head.has(H.expect)) {
    // RFC 9110 section 10.1.1: nothing else can be met, and HTTP/1.0 expects nothing.
    if ((head.getJoined(H.expect) ?? '').toLowerCase() !== '100-continue') return EXPECTATION_FAILED;
    framing.expectsContinue = head.minor === 1;
  }
  return stripHopByHop(head) ? 0 : BAD_REQUEST;
}

/**
 * Reads the framing of a response head and strips hop-by-hop fields. `isToHead`: it answers a HEAD
 * request. Returns 0, or 502 when the response must not be passed on.
 */
export function inspectResponse(head: Head, framing: Framing, isToHead: boolean): number {
  framing.reset();
  framing.isKeptAlive = head.minor === 1;
  if (readLength(head, framing) !== 0) return 502;
  const { status } = head;
  const hasTransferEncoding = framing.bodyKind === CHUNKED;
  if (status < 200 || status === 204) {
    // RFC 9112 section 6.1: no transfer coding here, and no body whatever the fields say.
    if (hasTransferEncoding || framing.bodyKind !== NO_BODY) return 502;
    framing.bodyKind = NO_BODY;
    head.remove(H.contentLength);
  } else if (isToHead || status === 304) {
    framing.bodyKind = NO_BODY;
  } else if (framing.bodyKind === NO_BODY && !head.has(H.contentLength)) {
    framing.bodyKind = UNTIL_CLOSE;
    framing.isKeptAlive = false;
  }
  if (head.has(H.connection) && readConnection(head, framing) !== 0) return 502;
  stripHopByHop(head);
  return 0;
}

/** `trailers` among the members of a TE field. */
function takesTrailers(value: string): boolean {
  let start = 0;
  while (start <= value.length) {
    const comma = value.indexOf(',', start);
    const end = comma === -1 ? value.length : comma;
    if (value.slice(start, end).trim().toLowerCase() === 'trailers') return true;
    start = end + 1;
  }
  return false;
}

/** Content-Length and Transfer-Encoding; 0, or the status to refuse with. */
function readLength(head: Head, framing: Framing): number {
  const coding = head.find(H.transferEncoding);
  const length = head.find(H.contentLength);
  if (coding !== -1) {
    if (head.minor === 0) return BAD_REQUEST;
    if (length !== -1) {
      if (!framing.allowsChunkedLength) return BAD_REQUEST;
      head.remove(H.contentLength);
    }
    if (head.find(H.transferEncoding, coding + 1) !== -1) return BAD_REQUEST;
    const value = head.valueAt(coding);
    if (value !== 'chunked' && value.toLowerCase() !== 'chunked')
      return isKnownCoding(value) ? NOT_IMPLEMENTED : BAD_REQUEST;
    framing.bodyKind = CHUNKED;
    return 0;
  }
  if (length === -1) return 0;
  if (head.find(H.contentLength, length + 1) !== -1) return BAD_REQUEST;
  const value = head.valueAt(length);
  const bytes = parseLength(value);
  if (bytes === -1) return BAD_REQUEST;
  if (bytes > Number.MAX_SAFE_INTEGER) return TOO_LARGE;
  // Legal, but the next reader may think of octal: the canonical number goes on.
  if (value.length > 1 && value.charCodeAt(0) === 0x30) head.set(H.contentLength, String(bytes));
  framing.contentLength = bytes;
  framing.bodyKind = bytes === 0 ? NO_BODY : BY_LENGTH;
  return 0;
}

/** Digits only; -1 for anything else; above 2^53-1 the exact value is lost, and nobody needs it. */
function parseLength(value: string): number {
  if (value.length === 0) return -1;
  let bytes = 0;
  for (let i = 0; i < value.length; i++) {
    const digit = value.charCodeAt(i) - 0x30;
    if (digit < 0 || digit > 9) return -1;
    bytes = bytes * 10 + digit;
  }
  return bytes;
}

/** True for one registered transfer coding that we do not implement. */
function isKnownCoding(value: string): boolean {
  const lower = value.toLowerCase();
  return (
    lower === 'gzip' || lower === 'deflate' || lower === 'compress' || lower === 'identity' || lower === 'gzip, chunked'
  );
}

/** Reads the Connection tokens, and removes the fields they nominate. */
function readConnection(head: Head, framing: Framing): number {
  const upgrade = head.get(H.upgrade) ?? '';
  for (let i = head.find(H.connection); i !== -1; i = head.find(H.connection, i + 1)) {
    const value = head.valueAt(i);
    let start = 0;
    while (start <= value.length) {
      const comma = value.indexOf(',', start);
      const end = comma === -1 ? value.length : comma;
      const refused = readOption(head, framing, value, start, end);
      if (refused !== 0) return refused;
      start = end + 1;
    }
  }
  if (framing.upgrade !== '') framing.upgrade = upgrade;
  return 0;
}

function readOption(head: Head, framing: Framing, value: string, from: number, to: number): number {
  let start = from;
  let end = to;
  while (start < end && isBlank(value.charCodeAt(start))) start++;
  while (end > start && isBlank(value.charCodeAt(end - 1))) end--;
  if (start === end) return 0;
  const option = value.slice(start, end).toLowerCase();
  if (option === 'close') {
    framing.isKeptAlive = false;
    return 0;
  }
  if (option === 'keep-alive') {
    return 0;
  }
  if (option === 'upgrade') {
    framing.upgrade = option;
    return 0;
  }
  if (framing.bodyKind === CHUNKED) {
    if (framing.nominated === '') framing.nominated = ',';
    framing.nominated += option + ',';
  }
  return removeNominated(head, option);
}

function removeNominated(head: Head, option: string): number {
  let hash = HASH_SEED;
  for (let i = 0; i < option.length; i++) {
    const lower = TOKEN_LOWER[option.charCodeAt(i)] ?? 0;
    if (lower === 0) return BAD_REQUEST;
    hash = hashStep(hash, lower);
  }
  if (isProtected(option)) return BAD_REQUEST;
  const id = lookUpHeader(hash | 0, option, 0, option.length);
  if (id !== 0) {
    head.remove(id);
    return 0;
  }
  for (let i = 0; i < head.count; i++) {
    if (!head.isRemovedAt(i) && head.nameAt(i).toLowerCase() === option) head.removeAt(i);
  }
  return 0;
}

/** False when a framing or identity field is spelled with underscores, which the next hop may read as the real one. */
function stripHopByHop(head: Head): boolean {
  const { ids, count } = head;
  let isHonest = true;
  for (let i = 0; i < count; i++) {
    const id = ids[i] as number;
    switch (id) {
      case H.connection:
      case H.keepAlive:
      case H.proxyConnection:
      case H.transferEncoding:
      case H.te:
      case H.trailer:
      case H.upgrade:
        head.removeAt(i);
        break;
      default:
        if (isDisguise(id)) isHonest = false;
    }
  }
  return isHonest;
}

/** RFC 9112 section 3.2: origin-form as is, absolute-form split, `*` for OPTIONS only. */
function resolveTarget(head: Head): number {
  const { path } = head;
  if (head.method === 'CONNECT') return resolveTunnel(head);
  if (path.charCodeAt(0) === 0x2f) return 0;
  if (path === '*') return head.method === 'OPTIONS' ? 0 : BAD_REQUEST;
  const colon = path.indexOf('://');
  if (colon === -1) return BAD_REQUEST;
  const scheme = path.slice(0, colon).toLowerCase();
  if (scheme !== 'http' && scheme !== 'https') return BAD_REQUEST;
  const start = colon + 3;
  let end = start;
  while (end < path.length && path.charCodeAt(end) !== 0x2f && path.charCodeAt(end) !== 0x3f) end++;
  const authority = path.slice(start, end);
  if (authority === '' || !isAuthority(authority)) return BAD_REQUEST;
  head.scheme = scheme;
  head.setAuthority(authority);
  if (end === path.length) head.path = head.method === 'OPTIONS' ? '*' : '/';
  else head.path = path.charCodeAt(end) === 0x3f ? '/' + path.slice(end) : path.slice(end);
  return 0;
}

/** RFC 9112 section 3.2.3: host and port, both of them; the target is the authority, and there is no path. */
function resolveTunnel(head: Head): number {
  const { path } = head;
  const colon = path.lastIndexOf(':');
  if (colon <= 0 || colon === path.length - 1 || path.indexOf(']', colon) !== -1) return BAD_REQUEST;
  if (!isAuthority(path)) return BAD_REQUEST;
  head.setAuthority(path);
  head.path = '';
  return 0;
}

/** host[:port] with an IPv6 literal in brackets; no userinfo, no blanks, no empty label games. */
export function isAuthority(authority: string): boolean {
  let end = authority.length;
  if (authority.charCodeAt(0) === 0x5b) {
    const close = authority.indexOf(']');
    // No zone: it means something on the sender's machine only, and isIPv6 would take it.
    if (close === -1 || authority.indexOf('%') !== -1 || !isIPv6(authority.slice(1, close))) return false;
    return close + 1 === end || isPort(authority, close + 1);
  }
  const colon = authority.indexOf(':');
  if (colon !== -1) {
    if (!isPort(authority, colon)) return false;
    end = colon;
    if (end === 0) return false;
  }
  for (let i = 0; i < end; i++) {
    const code = authority.charCodeAt(i);
    if (HOST[code] === 1) continue;
    if (code !== 0x25 || !isEscape(authority, i, end)) return false;
    i += 2;
  }
  return true;
}

/** `%XX` at `at` for a byte that is no control. */
function isEscape(text: string, at: number, end: number): boolean {
  if (at + 2 >= end) return false;
  const high = HEX[text.charCodeAt(at + 1)] ?? 255;
  const low = HEX[text.charCodeAt(at + 2)] ?? 255;
  return high !== 255 && low !== 255 && high >= 2 && (high !== 7 || low !== 15);
}

/** `:` and a port number of up to five digits at `at`, to the end; RFC 3986 lets the port be empty. */
function isPort(authority: string, at: number): boolean {
  if (authority.charCodeAt(at) !== 0x3a || authority.length - at > 6) return false;
  let port = 0;
  for (let i = at + 1; i < authority.length; i++) {
    const code = authority.charCodeAt(i);
    if (code < 0x30 || code > 0x39) return false;
    port = port * 10 + (code - 0x30);
  }
  return port <= 65_535;
}

function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09;
}
