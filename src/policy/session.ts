// @hot
// Sessions that stay with an endpoint, as Envoy's stateful_session filter keeps them: a cookie or a header of
// the request names the endpoint (base64 of `address:port`, in a cookie inside of a small protobuf with the
// time it ends), and the response names the one that answered when that is another. Who may be asked for is
// decided by the cluster (override_host_status). What cannot be read is as if it were not there.
//
//   cookie: base64( 1: address:port, 2: seconds since the epoch )      header: base64(address:port)
//
// Source: Envoy http/stateful_session/{cookie,header}, as measured on Envoy 1.40.
import type { HeaderId } from '../base/brand.ts';
import type { Clock } from '../base/clock.ts';
import { internHeader } from '../http/header-name.ts';
import type { Exchange } from '../plan/exchange.ts';
import { CONTINUE, type Verdict } from '../plan/plan.ts';
import { cookieOf } from '../plan/request-cookie.ts';

export interface SessionSettings {
  /** The header that carries the session; UNKNOWN when a cookie does. */
  readonly header: HeaderId;
  /** The cookie's name; empty when a header carries the session. */
  readonly cookie: string;
  /** The paths that the cookie is for; empty or `/`: all. */
  readonly path: string;
  /** What follows the value in Set-Cookie. */
  readonly attributes: string;
  /** 0: for as long as the browser runs. */
  readonly ttlSeconds: number;
  /** True: that endpoint or none. */
  readonly isStrict: boolean;
  readonly clock: Clock;
}

const SET_COOKIE = internHeader('set-cookie');
const ADDRESS_TAG = 0x0a;
const EXPIRES_TAG = 0x10;
const QUESTION = 0x3f;
const HASH = 0x23;
const SLASH = 0x2f;

export function readSession(x: Exchange, arg: SessionSettings): Verdict {
  const text = arg.cookie === '' ? x.request.get(arg.header) : cookieText(x, arg);
  if (text === null || text === '' || !isBase64(text)) return CONTINUE;
  const bytes = Buffer.from(text, 'base64');
  const address = arg.cookie === '' ? bytes.toString('latin1') : addressOf(bytes, arg.clock.wall() / 1000);
  if (address === '') return CONTINUE;
  x.sessionEndpoint = address;
  x.isSessionStrict = arg.isStrict;
  return CONTINUE;
}

export function writeSession(x: Exchange, arg: SessionSettings): Verdict {
  const { endpoint } = x;
  if (endpoint === null || endpoint.authority === x.sessionEndpoint) return CONTINUE;
  if (arg.cookie === '') {
    x.response.set(arg.header, Buffer.from(endpoint.authority, 'latin1').toString('base64'));
  } else if (isOnPath(x, arg.path)) {
    const expires = arg.ttlSeconds === 0 ? 0 : Math.floor(arg.clock.wall() / 1000) + arg.ttlSeconds;
    x.response.add(SET_COOKIE, arg.cookie + '="' + encodeSession(endpoint.authority, expires) + '"' + arg.attributes);
  }
  return CONTINUE;
}

function cookieText(x: Exchange, arg: SessionSettings): string | null {
  return isOnPath(x, arg.path) ? cookieOf(x.request, arg.cookie) : null;
}

/** The path as the client sent it: up to the cookie's, whole segments. */
function isOnPath(x: Exchange, path: string): boolean {
  if (path === '' || path === '/') return true;
  const asked = x.originalPath === '' ? x.request.path : x.originalPath;
  if (!asked.startsWith(path)) return false;
  if (asked.length === path.length || path.charCodeAt(path.length - 1) === SLASH) return true;
  const next = asked.charCodeAt(path.length);
  return next === SLASH || next === QUESTION || next === HASH;
}

/** As strict as Envoy: groups of four, padded. */
function isBase64(text: string): boolean {
  if (text.length % 4 !== 0) return false;
  let end = text.length;
  if (text.charCodeAt(end - 1) === 0x3d) end--;
  if (text.charCodeAt(end - 1) === 0x3d) end--;
  for (let i = 0; i < end; i++) {
    const byte = text.charCodeAt(i);
    const isLetter = (byte | 0x20) >= 0x61 && (byte | 0x20) <= 0x7a;
    const isDigit = byte >= 0x30 && byte <= 0x39;
    if (!isLetter && !isDigit && byte !== 0x2b && byte !== SLASH) return false;
  }
  return true;
}

/** The address in a cookie; empty when there is none or its time is over. What is no protobuf is the address itself. */
function addressOf(bytes: Buffer, nowSeconds: number): string {
  let address = '';
  let expires = 0;
  let at = 0;
  while (at < bytes.length) {
    const tag = bytes[at] as number;
    const value = varintAt(bytes, at + 1);
    const after = at + 1 + varintLength(bytes, at + 1);
    if (value === -1 || (tag !== ADDRESS_TAG && tag !== EXPIRES_TAG)) return bytes.toString('latin1');
    if (tag === EXPIRES_TAG) {
      expires = value;
      at = after;
    } else {
      if (after + value > bytes.length) return bytes.toString('latin1');
      address = bytes.toString('latin1', after, after + value);
      at = after + value;
    }
  }
  return expires !== 0 && nowSeconds > expires ? '' : address;
}

/** A varint below 2^53, or -1. */
function varintAt(bytes: Buffer, start: number): number {
  let value = 0;
  let unit = 1;
  for (let i = start; i < bytes.length && i < start + 7; i++) {
    const byte = bytes[i] as number;
    value += (byte & 0x7f) * unit;
    if (byte < 0x80) return value;
    unit *= 128;
  }
  return -1;
}

function varintLength(bytes: Buffer, start: number): number {
  let end = start;
  while (end < bytes.length && (bytes[end] as number) >= 0x80) end++;
  return end - start + 1;
}

/** Base64 of the cookie's protobuf. Only for a session that begins or moves. */
export function encodeSession(address: string, expiresSeconds: number): string {
  const bytes = Buffer.allocUnsafe(address.length + 24);
  let at = 0;
  bytes[at++] = ADDRESS_TAG;
  at = putVarint(bytes, at, address.length);
  at += bytes.write(address, at, 'latin1');
  if (expiresSeconds > 0) {
    bytes[at++] = EXPIRES_TAG;
    at = putVarint(bytes, at, expiresSeconds);
  }
  return bytes.toString('base64', 0, at);
}

function putVarint(bytes: Buffer, start: number, value: number): number {
  let at = start;
  let left = value;
  while (left >= 0x80) {
    bytes[at++] = (left % 128) | 0x80;
    left = Math.floor(left / 128);
  }
  bytes[at++] = left;
  return at;
}
