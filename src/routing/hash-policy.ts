// @hot
// What a route's hash policies make of a request: each that finds its value changes the hash (rotated left by
// one, then XORed), and a terminal one ends the list once there is a hash. Balancers that hash go by it. A
// cookie policy with a lifetime makes the cookie that is not there, out of the connection's addresses.
// Source: Envoy RouteAction.HashPolicy.
import type { HeaderId } from '../base/brand.ts';
import { Hash64, hexOfHalves } from '../base/hash64.ts';
import { internHeader } from '../http/header-name.ts';
import { formatAddress } from '../plan/cluster.ts';
import type { Exchange } from '../plan/exchange.ts';
import { readHeader, type HeaderSource } from '../plan/header-source.ts';
import { CONTINUE, type Verdict } from '../plan/plan.ts';
import { cookieOf } from '../plan/request-cookie.ts';
import { queryParameter } from '../plan/query-match.ts';

export interface HashCookie {
  readonly name: string;
  /** False: a cookie that is not there gives no hash. */
  readonly isMade: boolean;
  /** What follows the value in Set-Cookie. */
  readonly attributes: string;
}

export interface HashPolicy {
  readonly kind: 'header' | 'cookie' | 'source-ip' | 'query';
  /** Null but for headers. */
  readonly header: HeaderSource | null;
  /** What is hashed instead of a header's value; null: the value. */
  readonly rewrite: ((value: string) => string) | null;
  /** Null but for cookies. */
  readonly cookie: HashCookie | null;
  /** Of a query parameter. */
  readonly parameter: string;
  readonly isTerminal: boolean;
}

export interface HashPolicies {
  readonly list: readonly HashPolicy[];
}

const SET_COOKIE = internHeader('set-cookie');
const hash = new Hash64();

/** The step after a route's edits, so that the hash is of what the upstream gets. */
export function runHash(x: Exchange, arg: HashPolicies): Verdict {
  hashRequest(x, arg, true);
  return CONTINUE;
}

/** Sets the hash of the exchange. Without `makesCookies` a cookie that is not there gives none. */
export function hashRequest(x: Exchange, arg: HashPolicies, makesCookies: boolean): void {
  const { list } = arg;
  x.hasHash = false;
  for (let i = 0; i < list.length; i++) {
    const policy = list[i] as HashPolicy;
    if (hashPolicy(x, policy, makesCookies)) mixIn(x);
    if (policy.isTerminal && x.hasHash) return;
  }
}

/** The step that tells the client the cookies that were made for it, when its cluster went by them. */
export function addHashCookies(x: Exchange, arg: HashPolicies): Verdict {
  if (!x.isUpstreamResponse || x.cluster === null || x.cluster.cluster === null) return CONTINUE;
  if (x.cluster.cluster.picker.usesHash !== true) return CONTINUE;
  const { list } = arg;
  let hasHash = false;
  for (let i = 0; i < list.length; i++) {
    const policy = list[i] as HashPolicy;
    const { cookie } = policy;
    if (cookie !== null && cookie.isMade && isAbsent(x, cookie)) {
      x.response.add(SET_COOKIE, cookie.name + '="' + madeCookie(x) + '"' + cookie.attributes);
    }
    if (!policy.isTerminal) continue;
    if (!hasHash) hasHash = hasAnyValue(x, list, i);
    if (hasHash) return CONTINUE;
  }
  return CONTINUE;
}

function hasAnyValue(x: Exchange, list: readonly HashPolicy[], last: number): boolean {
  for (let i = 0; i <= last; i++) if (valueOf(x, list[i] as HashPolicy, true) !== null) return true;
  return false;
}

/** Hashes what the policy looks at; false when the request has none of it. */
function hashPolicy(x: Exchange, policy: HashPolicy, makesCookies: boolean): boolean {
  const { header } = policy;
  if (header !== null && header.place === 'header' && !header.joins) {
    const first = x.request.find(header.id);
    if (first !== -1 && x.request.find(header.id, first + 1) !== -1) {
      hashLines(x, header.id, policy.rewrite);
      return true;
    }
  }
  const value = valueOf(x, policy, makesCookies);
  if (value === null) return false;
  hash.xx(value);
  return true;
}

/** Null when the request has none; of a header with several lines the first. */
function valueOf(x: Exchange, policy: HashPolicy, makesCookies: boolean): string | null {
  const { kind, header, cookie } = policy;
  if (kind === 'header') return header === null ? null : headerValue(x, header, policy.rewrite);
  if (kind === 'query') return queryParameter(x.request.path, policy.parameter);
  if (kind === 'source-ip') {
    const address = x.clientAddress === '' ? x.connection.remoteAddress : x.clientAddress;
    return address === '' ? null : address;
  }
  if (cookie === null) return null;
  if (!isAbsent(x, cookie)) return cookieOf(x.request, cookie.name);
  return cookie.isMade && makesCookies ? madeCookie(x) : null;
}

/** An empty cookie counts as none. */
function isAbsent(x: Exchange, cookie: HashCookie): boolean {
  const value = cookieOf(x.request, cookie.name);
  return value === null || value === '';
}

function madeCookie(x: Exchange): string {
  const { connection } = x;
  hash.xx(
    formatAddress(connection.remoteAddress, connection.remotePort) +
      formatAddress(connection.localAddress, connection.localPort),
  );
  return hexOfHalves(hash.high, hash.low);
}

function headerValue(x: Exchange, header: HeaderSource, rewrite: HashPolicy['rewrite']): string | null {
  return rewritten(readHeader(x.request, header), rewrite);
}

/** Several lines of a header are put in order, so that theirs does not matter; each seeds the hash of the next. */
function hashLines(x: Exchange, id: HeaderId, rewrite: HashPolicy['rewrite']): void {
  const { request } = x;
  const values: string[] = [];
  for (let i = request.find(id); i !== -1; i = request.find(id, i + 1)) {
    values.push(rewrite === null ? request.valueAt(i) : rewrite(request.valueAt(i)));
  }
  values.sort(byBytes);
  hash.xx(values[0] as string);
  for (let i = 1; i < values.length; i++) hash.xx(values[i] as string, hash.low, hash.high);
}

function rewritten(value: string | null, rewrite: HashPolicy['rewrite']): string | null {
  return value === null || rewrite === null ? value : rewrite(value);
}

function byBytes(left: string, right: string): number {
  return left < right ? -1 : left > right ? 1 : 0;
}

/** Rotates what there is and adds what was hashed last. */
function mixIn(x: Exchange): void {
  const high = x.hasHash ? x.hashHigh : 0;
  const low = x.hasHash ? x.hashLow : 0;
  x.hashHigh = (((high << 1) | (low >>> 31)) ^ hash.high) >>> 0;
  x.hashLow = (((low << 1) | (high >>> 31)) ^ hash.low) >>> 0;
  x.hasHash = true;
}
