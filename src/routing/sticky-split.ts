// @hot
// A weighted split that keeps everybody where they are: weighted rendezvous hashing of who asks (a header, a
// cookie or the identity of the peer) with the name of each destination. Each destination draws a number from
// both; its score is that number's exponential divided by its weight, and the least score wins. When a weight
// grows, relative to the others, its score falls for everybody and nothing else changes: some come to it, nobody
// leaves it. A user's own numbers never change, so shares may be moved any number of times.
//
//   score(i) = -ln(u(key, name i)) / weight(i)
import { Hash64, hexOfHalves } from '../base/hash64.ts';
import { internHeader } from '../http/header-name.ts';
import type { Exchange } from '../plan/exchange.ts';
import { readHeader, type HeaderSource } from '../plan/header-source.ts';
import { CONTINUE, type Verdict } from '../plan/plan.ts';
import { cookieOf } from '../plan/request-cookie.ts';
import { splitPoint } from '../plan/fraction.ts';

export interface StickySplit {
  /** Exactly one of header, cookie and `isIdentity`. */
  readonly header: HeaderSource | null;
  /** The cookie's name, or empty. It is made for who comes without it. */
  readonly cookie: string;
  /** What follows the value in Set-Cookie. */
  readonly attributes: string;
  /** The peer's certificate tells who it is, or its address where it has none. */
  readonly isIdentity: boolean;
  /** Two halves of the hash of each destination's name. */
  readonly seeds: Uint32Array;
  readonly random: () => number;
}

const SET_COOKIE = internHeader('set-cookie');
const TWO_32 = 4294967296;
const hash = new Hash64();

/** The index of the destination; -1 when the request does not say who it is from, or no weight is above 0. */
export function stickyChoice(x: Exchange, arg: StickySplit, weights: Float64Array): number {
  const key = keyOf(x, arg);
  if (key === null) return -1;
  hash.xx(key);
  return rendezvous(hash.high, hash.low, arg.seeds, weights);
}

/** The step that gives a new visitor the cookie by which it was sorted. */
export function addStickyCookie(x: Exchange, arg: StickySplit): Verdict {
  if (!x.isNewVisitor || !x.isUpstreamResponse) return CONTINUE;
  x.response.add(SET_COOKIE, arg.cookie + '=' + visitorOf(x, arg) + arg.attributes);
  return CONTINUE;
}

function keyOf(x: Exchange, arg: StickySplit): string | null {
  if (arg.header !== null) {
    const value = readHeader(x.request, arg.header);
    return value === '' ? null : value;
  }
  if (arg.isIdentity) {
    const { peerPrincipal, remoteAddress } = x.connection;
    if (peerPrincipal !== '') return peerPrincipal;
    return x.clientAddress === '' ? remoteAddress : x.clientAddress;
  }
  const value = cookieOf(x.request, arg.cookie);
  if (value !== null && value !== '') return value;
  x.isNewVisitor = true;
  return visitorOf(x, arg);
}

/** Made of the exchange's random number, so that it is the same at the request and at the response. */
function visitorOf(x: Exchange, arg: StickySplit): string {
  const scaled = splitPoint(x, arg.random) * TWO_32;
  const high = Math.floor(scaled);
  return hexOfHalves(high, Math.floor((scaled - high) * TWO_32));
}

function rendezvous(high: number, low: number, seeds: Uint32Array, weights: Float64Array): number {
  let best = -1;
  let bestScore = Infinity;
  for (let i = 0; i < weights.length; i++) {
    const weight = weights[i] as number;
    if (weight <= 0) continue;
    const score = -Math.log(mixed(high ^ (seeds[2 * i] as number), low ^ (seeds[2 * i + 1] as number))) / weight;
    if (score < bestScore || best === -1) {
      best = i;
      bestScore = score;
    }
  }
  return best;
}

/** 64 bits to a number in (0, 1): every bit of them changes all of it. */
function mixed(high: number, low: number): number {
  const first = avalanche(low ^ avalanche(high));
  const second = avalanche(high ^ first);
  return ((first >>> 5) * 67108864 + (second >>> 6) + 0.5) / 9007199254740992;
}

/** The finalizer of MurmurHash3, 32 bits. */
function avalanche(word: number): number {
  let mix = word ^ (word >>> 16);
  mix = Math.imul(mix, 0x85ebca6b);
  mix ^= mix >>> 13;
  mix = Math.imul(mix, 0xc2b2ae35);
  return mix ^ (mix >>> 16);
}
