// @hot
// Where in a request tokens stand: headers with a prefix, query parameters, cookies, read exactly as Envoy reads them.
// The prefix may stand anywhere in the value, and the token begins at the first letter behind it that base64url has;
// parameters are percent-decoded; of several parameters or cookies of one name the first counts, of a header every
// line. Taking a token out of the query leaves the bytes of the other parameters as they are (Envoy writes them anew).
// Source: Envoy source/extensions/filters/http/jwt_authn/extractor.cc.
import type { HeaderId } from '../base/brand.ts';
import type { Head } from '../http/head.ts';
import { cookieOf } from '../plan/request-cookie.ts';

export interface TokenPlace {
  readonly kind: 'header' | 'param' | 'cookie';
  /** Of a parameter or a cookie, as wire text; of a header for printing. */
  readonly name: string;
  readonly header: HeaderId;
  /** Headers: several lines count as one value (plan/joined-header.ts). */
  readonly joins: boolean;
  /** Headers: what stands in front of the token; may be empty. */
  readonly prefix: string;
  /** Who may have made a token that stands here; null: anybody. */
  readonly issuers: ReadonlySet<string> | null;
}

const QUESTION = 0x3f;
const AND = 0x26;
const EQUALS = 0x3d;
const PERCENT = 0x25;

/** The token in a header's value; null: none stands there. */
export function tokenOfHeader(value: string, prefix: string): string | null {
  if (prefix === '') return value;
  const at = value.indexOf(prefix);
  if (at === -1) return null;
  for (let i = at + prefix.length; i < value.length; i++) {
    if (isTokenLetter(value.charCodeAt(i))) return i === 0 ? value : value.slice(i);
  }
  return value;
}

/** How many of the places hold something: each line of a header counts. */
export function countTokens(head: Head, places: readonly TokenPlace[]): number {
  let count = 0;
  for (let i = 0; i < places.length; i++) {
    const place = places[i] as TokenPlace;
    if (place.kind === 'param') {
      if (paramOf(head.path, place.name) !== null) count++;
    } else if (place.kind === 'cookie') {
      if (cookieOf(head, place.name) !== null) count++;
    } else {
      for (let at = head.find(place.header); at !== -1; at = head.find(place.header, at + 1)) {
        if (tokenOfHeader(head.valueAt(at), place.prefix) !== null) count++;
      }
    }
  }
  return count;
}

function isTokenLetter(code: number): boolean {
  const lower = code | 0x20;
  if (lower >= 0x61 && lower <= 0x7a) return code < 0x80;
  return (code >= 0x30 && code <= 0x39) || code === 0x2d || code === 0x5f || code === 0x2e;
}

/** The first value of the query parameter `name`, decoded; null: there is none. */
export function paramOf(path: string, name: string): string | null {
  let at = queryStart(path);
  if (at === -1) return null;
  while (at < path.length) {
    const end = pairEnd(path, at);
    const equals = equalsIn(path, at, end);
    if (isNamed(path, at, equals, name)) return percentDecoded(path, equals === end ? end : equals + 1, end);
    at = end + 1;
  }
  return null;
}

/** Takes every parameter `name` out of the path. */
export function removeParam(head: Head, name: string): void {
  const { path } = head;
  const start = queryStart(path);
  if (start === -1) return;
  let query = '';
  let at = start;
  while (at < path.length) {
    const end = pairEnd(path, at);
    if (!isNamed(path, at, equalsIn(path, at, end), name)) query += (query === '' ? '?' : '&') + path.slice(at, end);
    at = end + 1;
  }
  head.path = path.slice(0, start - 1) + query;
}

function queryStart(path: string): number {
  for (let i = 0; i < path.length; i++) if (path.charCodeAt(i) === QUESTION) return i + 1;
  return -1;
}

function pairEnd(path: string, start: number): number {
  for (let i = start; i < path.length; i++) if (path.charCodeAt(i) === AND) return i;
  return path.length;
}

/** Where the name ends: at `=`, or with the pair. */
function equalsIn(path: string, start: number, end: number): number {
  for (let i = start; i < end; i++) if (path.charCodeAt(i) === EQUALS) return i;
  return end;
}

function isNamed(path: string, start: number, end: number, name: string): boolean {
  if (end - start === name.length && path.startsWith(name, start)) return true;
  if (end - start <= name.length) return false;
  return percentDecoded(path, start, end) === name;
}

/** `%XX` becomes the byte; anything else stays, as Envoy has it. */
export function percentDecoded(text: string, start: number, end: number): string {
  let decoded = '';
  let from = start;
  for (let i = start; i + 2 < end; i++) {
    if (text.charCodeAt(i) !== PERCENT) continue;
    const high = hexValue(text.charCodeAt(i + 1));
    const low = hexValue(text.charCodeAt(i + 2));
    if (high === -1 || low === -1) continue;
    decoded += text.slice(from, i) + String.fromCharCode(high * 16 + low);
    i += 2;
    from = i + 1;
  }
  return from === start ? text.slice(start, end) : decoded + text.slice(from, end);
}

function hexValue(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  const lower = code | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}
