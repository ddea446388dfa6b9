// @hot
// Limits of a RateLimitPolicy that Envoy has no words for (`outrigger.ratelimit`): by the caller's identity, divided among
// the instances of a service, with the fields of the current IETF draft. A request is asked of all limits that match it before
// it takes from any, so that what one limit refuses costs the others nothing: a greedy caller empties its own bucket alone.
// Callers without an identity share one bucket.
import type { HeaderId } from '../base/brand.ts';
import type { Clock } from '../base/clock.ts';
import type { KeyedBuckets } from '../base/keyed-buckets.ts';
import type { FillRate, RateBucket } from '../base/rate-bucket.ts';
import { internHeader } from '../http/header-name.ts';
import type { Exchange } from '../plan/exchange.ts';
import type { FilterTally } from '../plan/filter-tally.ts';
import { isGrpcRequest } from '../plan/grpc-request.ts';
import type { HeaderPredicate } from '../plan/header-match.ts';
import { CONTINUE, REPLY, type Verdict } from '../plan/plan.ts';
import { FLAGS } from '../plan/response-flags.ts';
import type { LimitPortion } from './limit-portion.ts';

/** The statistics `http.PREFIX.ratelimit.LIMIT.*`. */
export const OWN_STATS = [
  { name: 'allowed', kind: 'counter' },
  { name: 'limited', kind: 'counter' },
  { name: 'shadow_limited', kind: 'counter' },
] as const;
const ALLOWED = 0;
const LIMITED = 1;
const SHADOW_LIMITED = 2;

export interface OwnLimit {
  readonly name: string;
  readonly rate: FillRate;
  /** `"NAME";q=…;w=…` */
  readonly policy: string;
  readonly matches: readonly HeaderPredicate[];
  /** For all requests together; null: each key has one of `keyed`. */
  readonly bucket: RateBucket | null;
  readonly keyed: KeyedBuckets | null;
  /** What the key is: this field, or the caller's identity where it is null. */
  readonly header: HeaderId | null;
  /** By identity. */
  readonly overrides: ReadonlyMap<string, FillRate>;
  /** This instance's part of the limit; null: it is not divided. */
  readonly portion: LimitPortion | null;
  readonly isShadow: boolean;
  readonly tally: FilterTally;
  readonly reply: LimitReply;
}

/** What a refused client gets, and what every client is told; the same for all limits of a policy. */
export interface LimitReply {
  readonly status: number;
  readonly headers: readonly (readonly [id: HeaderId, value: string])[];
  readonly fields: 'none' | 'x-ratelimit' | 'ratelimit';
}

/** Which bucket a response tells of. */
export interface Standing {
  limit: OwnLimit | null;
  rate: FillRate;
  tokens: number;
}

export interface OwnLimits {
  readonly limits: readonly OwnLimit[];
  readonly clock: Clock;
  /** Null where no limit tells fields. */
  readonly standings: WeakMap<Exchange, Standing> | null;
  /** Of Exchange.held. */
  readonly bit: number;
}

const GRPC_STATUS = internHeader('grpc-status');
const RETRY_AFTER = internHeader('retry-after');
const POLICY = internHeader('ratelimit-policy');
const RATE_LIMIT = internHeader('ratelimit');
const LIMIT = internHeader('x-ratelimit-limit');
const REMAINING = internHeader('x-ratelimit-remaining');
const RESET = internHeader('x-ratelimit-reset');
const DETAILS = 'local_rate_limited';
const RESOURCE_EXHAUSTED = '8';

/** What the limits of the request at hand have; good within one call. */
const buckets: (RateBucket | null)[] = [];
const rates: FillRate[] = [];
const costs: number[] = [];

export function runOwnLimits(x: Exchange, arg: OwnLimits): Verdict {
  const nowMs = arg.clock.now();
  const refusing = find(x, arg, nowMs);
  if (refusing >= 0) return refuse(x, arg, refusing, nowMs);
  const { limits } = arg;
  let lowest = -1;
  let left = Number.POSITIVE_INFINITY;
  for (let i = 0; i < limits.length; i++) {
    const bucket = buckets[i] as RateBucket | null;
    if (bucket === null) continue;
    const limit = limits[i] as OwnLimit;
    const rate = rates[i] as FillRate;
    const isTaken = bucket.take(nowMs, rate, costs[i] as number);
    if (!isTaken && !limit.isShadow) return refuse(x, arg, i, nowMs);
    limit.tally.add(isTaken ? ALLOWED : SHADOW_LIMITED, 1);
    if (arg.standings === null || limit.isShadow || limit.reply.fields === 'none') continue;
    const tokens = bucket.tokens(nowMs, rate) / (costs[i] as number);
    if (tokens >= left) continue;
    left = tokens;
    lowest = i;
  }
  if (lowest >= 0) note(x, arg, lowest, left);
  return CONTINUE;
}

/** Lays the buckets of the request, null where a limit is not for it; the first limit that has no token for it, or -1. */
function find(x: Exchange, { limits }: OwnLimits, nowMs: number): number {
  let refusing = -1;
  for (let i = 0; i < limits.length; i++) {
    const limit = limits[i] as OwnLimit;
    buckets[i] = null;
    if (!isFor(x, limit)) continue;
    const bucket = bucketOf(x, limit, i, nowMs);
    if (bucket === null) continue;
    const { portion } = limit;
    if (portion !== null) {
      portion.ask(nowMs, bucket, limit.rate);
      rates[i] = portion.rate;
    }
    const cost = portion === null ? 1 : portion.cost;
    buckets[i] = bucket;
    costs[i] = cost;
    if (refusing < 0 && !limit.isShadow && bucket.tokens(nowMs, rates[i] as FillRate) + SLACK < cost) refusing = i;
  }
  return refusing;
}

const SLACK = 1e-9;

function isFor(x: Exchange, { matches }: OwnLimit): boolean {
  for (let i = 0; i < matches.length; i++) {
    const holds = matches[i] as HeaderPredicate;
    if (!holds(x.request)) return false;
  }
  return true;
}

/** Null: the request has no such key. Lays its rate. */
function bucketOf(x: Exchange, limit: OwnLimit, index: number, nowMs: number): RateBucket | null {
  rates[index] = limit.rate;
  if (limit.bucket !== null || limit.keyed === null) return limit.bucket;
  if (limit.header !== null) {
    // Of several fields of the name the first one counts, as in Envoy.
    const value = x.request.get(limit.header);
    return value === null ? null : limit.keyed.of(value, nowMs, limit.rate);
  }
  const caller = x.connection.peerPrincipal;
  const rate = limit.overrides.get(caller) ?? limit.rate;
  rates[index] = rate;
  return limit.keyed.of(caller, nowMs, rate);
}

function refuse(x: Exchange, arg: OwnLimits, index: number, nowMs: number): Verdict {
  const limit = arg.limits[index] as OwnLimit;
  const rate = rates[index] as FillRate;
  const bucket = buckets[index] as RateBucket | null;
  limit.tally.add(LIMITED, 1);
  x.flags |= FLAGS.RL;
  x.details = DETAILS;
  x.replyBody = DETAILS;
  x.response.status = limit.reply.status;
  if (isGrpcRequest(x.request)) x.response.set(GRPC_STATUS, RESOURCE_EXHAUSTED);
  const tokens = bucket === null ? 0 : bucket.tokens(nowMs, rate);
  const cost = Math.min(costs[index] as number, rate.tokensMax);
  x.response.set(RETRY_AFTER, String(Math.max(1, Math.ceil((cost - tokens) / rate.tokensPerMs / 1000))));
  const { headers } = limit.reply;
  for (let i = 0; i < headers.length; i++) {
    const header = headers[i] as readonly [HeaderId, string];
    x.response.set(header[0], header[1]);
  }
  if (limit.reply.fields !== 'none') note(x, arg, index, tokens / (costs[index] as number));
  return REPLY;
}

function note(x: Exchange, { standings, limits, bit }: OwnLimits, index: number, tokens: number): void {
  if (standings === null) return;
  let standing = standings.get(x);
  if (standing === undefined) {
    standing = { limit: null, rate: rates[index] as FillRate, tokens: 0 };
    standings.set(x, standing);
  }
  standing.limit = limits[index] as OwnLimit;
  standing.rate = rates[index] as FillRate;
  standing.tokens = tokens;
  x.held |= bit;
}

/** Tells the client how the limit stands that is closest: draft-ietf-httpapi-ratelimit-headers, or the older fields. */
export function tellOwnLimit(x: Exchange, arg: OwnLimits): Verdict {
  if ((x.held & arg.bit) === 0 || arg.standings === null) return CONTINUE;
  x.held &= ~arg.bit;
  const standing = arg.standings.get(x);
  if (standing === undefined || standing.limit === null) return CONTINUE;
  const { limit, rate, tokens } = standing;
  const remaining = String(Math.max(0, Math.floor(tokens)));
  const reset = String(tokens >= 1 ? 0 : Math.ceil((1 - tokens) / rate.tokensPerMs / 1000));
  if (limit.reply.fields === 'ratelimit') {
    x.response.add(POLICY, limit.policy);
    x.response.add(RATE_LIMIT, '"' + limit.name + '";r=' + remaining + ';t=' + reset);
    return CONTINUE;
  }
  x.response.add(LIMIT, String(rate.tokensMax));
  x.response.add(REMAINING, remaining);
  x.response.add(RESET, reset);
  return CONTINUE;
}
