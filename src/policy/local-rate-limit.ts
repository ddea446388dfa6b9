// @hot
// Envoy's local rate limit as it runs: a request takes a token from each bucket whose descriptor it has, the slowest first,
// and one from the bucket for all; where one is missing it is refused, or, in shadow mode, only counted and marked.
// Tokens that it took before it was refused are gone, as in Envoy.
// Source: Envoy's local rate limit filter; buckets as measured on Envoy 1.40.
import type { Clock } from '../base/clock.ts';
import type { KeyedBuckets } from '../base/keyed-buckets.ts';
import type { FillRate, RateBucket } from '../base/rate-bucket.ts';
import { internHeader } from '../http/header-name.ts';
import type { ClusterRef } from '../plan/cluster.ts';
import type { Connection, Exchange } from '../plan/exchange.ts';
import type { FilterTally } from '../plan/filter-tally.ts';
import { isGrpcRequest } from '../plan/grpc-request.ts';
import type { HeaderEdits } from '../plan/header-edits.ts';
import { CONTINUE, REPLY, type Verdict } from '../plan/plan.ts';
import { FLAGS } from '../plan/response-flags.ts';
import { FilledDescriptor, type DescriptorRule } from './rate-descriptors.ts';
import { hits, type Chance } from './chance.ts';

/** The statistics `PREFIX.http_local_rate_limit.*`. */
export const LOCAL_STATS = [
  { name: 'enabled', kind: 'counter' },
  { name: 'enforced', kind: 'counter' },
  { name: 'ok', kind: 'counter' },
  { name: 'rate_limited', kind: 'counter' },
] as const;
const ENABLED = 0;
const ENFORCED = 1;
const OK = 2;
const RATE_LIMITED = 3;

/** A bucket with the speed at which it fills. */
export interface RatedBucket {
  readonly bucket: RateBucket;
  readonly rate: FillRate;
}

/** Buckets for all values of some entries of a descriptor (those that are empty in the configuration). */
export interface WildBuckets {
  readonly keys: readonly string[];
  /** Empty: any. */
  readonly values: readonly string[];
  readonly buckets: KeyedBuckets;
  readonly rate: FillRate;
}

export interface LimitBuckets {
  /** For all requests, or for those that no descriptor matches. */
  readonly fallback: RatedBucket;
  /** By FilledDescriptor.text(). */
  readonly exact: ReadonlyMap<string, RatedBucket>;
  readonly wild: readonly WildBuckets[];
}

export interface LocalLimit {
  readonly tally: FilterTally;
  readonly clock: Clock;
  readonly random: () => number;
  readonly runtimeNumber: (key: string, fallback: number) => number;
  readonly enabled: Chance;
  readonly enforced: Chance;
  readonly status: number;
  /** For gRPC requests: RESOURCE_EXHAUSTED instead of UNAVAILABLE. */
  readonly saysExhausted: boolean;
  readonly responseEdits: HeaderEdits | null;
  /** Of requests that pass although they are over the limit. */
  readonly requestEdits: HeaderEdits | null;
  /** Those of the route that the request took. */
  readonly rules: readonly DescriptorRule[];
  readonly buckets: LimitBuckets;
  /** Each downstream connection has buckets of its own, made here; null: all have `buckets`. */
  readonly perConnection: PerConnection | null;
  readonly alwaysTakesFallback: boolean;
  /** The sidecar has one part in as many as this cluster has members; null: all of the limit. */
  readonly sharedWith: ClusterRef | null;
  /** Which bucket decided, for the X-RateLimit fields of the response; null: they are not wanted. */
  readonly deciding: WeakMap<Exchange, RatedBucket> | null;
  /** Of Exchange.held: the limit was asked. */
  readonly bit: number;
}

export class PerConnection {
  readonly #known = new WeakMap<Connection, LimitBuckets>();
  readonly #make: () => LimitBuckets;

  constructor(make: () => LimitBuckets) {
    this.#make = make;
  }

  of(connection: Connection): LimitBuckets {
    const known = this.#known.get(connection);
    if (known !== undefined) return known;
    const made = this.#make();
    this.#known.set(connection, made);
    return made;
  }

  /** Plans are printed without it. */
  toJSON(): undefined {
    return undefined;
  }
}

const GRPC_STATUS = internHeader('grpc-status');
const LIMIT = internHeader('x-ratelimit-limit');
const REMAINING = internHeader('x-ratelimit-remaining');
const RESET = internHeader('x-ratelimit-reset');
const DETAILS = 'local_rate_limited';
const RESOURCE_EXHAUSTED = '8';

/** The matches of the request at hand, the slowest first; good within one call. */
const matches: RatedBucket[] = [];
const descriptor = new FilledDescriptor();

export function runLocalLimit(x: Exchange, arg: LocalLimit): Verdict {
  const { tally } = arg;
  if (!hits(arg.enabled, arg)) return CONTINUE;
  tally.add(ENABLED, 1);
  if (isAllowed(x, arg)) {
    tally.add(OK, 1);
    return CONTINUE;
  }
  tally.add(RATE_LIMITED, 1);
  if (!hits(arg.enforced, arg)) {
    if (arg.requestEdits !== null) arg.requestEdits.apply(x.request, x);
    return CONTINUE;
  }
  tally.add(ENFORCED, 1);
  x.flags |= FLAGS.RL;
  x.details = DETAILS;
  x.replyBody = DETAILS;
  x.response.status = arg.status;
  if (arg.saysExhausted && isGrpcRequest(x.request)) x.response.set(GRPC_STATUS, RESOURCE_EXHAUSTED);
  if (arg.responseEdits !== null) arg.responseEdits.apply(x.response, x);
  return REPLY;
}

function isAllowed(x: Exchange, arg: LocalLimit): boolean {
  const nowMs = arg.clock.now();
  const buckets = arg.perConnection === null ? arg.buckets : arg.perConnection.of(x.connection);
  const cost = arg.sharedWith === null ? 1 : membersOf(arg.sharedWith);
  const count = arg.rules.length === 0 ? 0 : findMatches(x, arg.rules, buckets, nowMs);
  const takesFallback = count === 0 || arg.alwaysTakesFallback;
  let allowed = true;
  let deciding = count === 0 ? buckets.fallback : (matches[0] as RatedBucket);
  for (let i = 0; i < count && allowed; i++) {
    const match = matches[i] as RatedBucket;
    if (match.bucket.take(nowMs, match.rate, cost)) continue;
    allowed = false;
    deciding = match;
  }
  if (allowed && takesFallback && !buckets.fallback.bucket.take(nowMs, buckets.fallback.rate, cost)) {
    allowed = false;
    deciding = buckets.fallback;
  }
  if (arg.deciding !== null) {
    arg.deciding.set(x, deciding);
    x.held |= arg.bit;
  }
  return allowed;
}

/** Lays the matches into `matches`, and says how many there are. */
function findMatches(x: Exchange, rules: readonly DescriptorRule[], buckets: LimitBuckets, nowMs: number): number {
  let count = 0;
  for (let i = 0; i < rules.length; i++) {
    const rule = rules[i] as DescriptorRule;
    // Envoy's local filter leaves out whatever could be switched off.
    if (rule.disableKey !== '' || !descriptor.fill(x, rule.entries)) continue;
    const match = buckets.exact.get(descriptor.text()) ?? findWild(buckets.wild, nowMs);
    if (match === null) continue;
    let at = count;
    while (at > 0 && (matches[at - 1] as RatedBucket).rate.tokensPerMs > match.rate.tokensPerMs) {
      matches[at] = matches[at - 1] as RatedBucket;
      at--;
    }
    matches[at] = match;
    count++;
  }
  return count;
}

function findWild(wild: readonly WildBuckets[], nowMs: number): RatedBucket | null {
  for (let i = 0; i < wild.length; i++) {
    const one = wild[i] as WildBuckets;
    if (!isMatch(one)) continue;
    return { bucket: one.buckets.of(descriptor.text(), nowMs, one.rate), rate: one.rate };
  }
  return null;
}

function isMatch({ keys, values }: WildBuckets): boolean {
  if (keys.length !== descriptor.count) return false;
  for (let i = 0; i < keys.length; i++) {
    if (keys[i] !== descriptor.keys[i]) return false;
    if (values[i] !== '' && values[i] !== descriptor.values[i]) return false;
  }
  return true;
}

function membersOf(ref: ClusterRef): number {
  return ref.cluster === null ? 1 : Math.max(1, ref.cluster.endpoints.length);
}

/** Tells the client how the bucket stands that decided (draft-polli-ratelimit-headers-03). */
export function tellLimit(x: Exchange, arg: LocalLimit): Verdict {
  if ((x.held & arg.bit) === 0 || arg.deciding === null) return CONTINUE;
  x.held &= ~arg.bit;
  const deciding = arg.deciding.get(x);
  if (deciding === undefined) return CONTINUE;
  const { bucket, rate } = deciding;
  const tokens = bucket.tokens(arg.clock.now(), rate);
  const waitMs = tokens >= 1 ? 0 : Math.ceil((1 - tokens) / rate.tokensPerMs);
  x.response.add(LIMIT, String(rate.tokensMax));
  x.response.add(REMAINING, String(Math.floor(tokens)));
  x.response.add(RESET, String(Math.ceil(waitMs / 1000)));
  return CONTINUE;
}
