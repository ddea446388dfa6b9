// @hot
// The steps that decide where a request goes: one cluster, one of several by weight, or the one that a
// header names. When no such cluster is live they answer at once with the configured status and flag
// NC, as Envoy does.
import type { Exchange } from '../plan/exchange.ts';
import type { ClusterRef } from '../plan/cluster.ts';
import { type HeaderSource, readHeader } from '../plan/header-source.ts';
import type { HeaderId } from '../base/brand.ts';
import { CONTINUE, REPLY, type Verdict } from '../plan/plan.ts';
import { isGrpcRequest } from '../plan/grpc-request.ts';
import { FLAGS } from '../plan/response-flags.ts';
import { splitPoint } from '../plan/fraction.ts';
import { GRPC_TIMEOUT, grpcTimeoutMs, grpcTimeoutOf } from '../plan/grpc-timeout.ts';
import { hashRequest, type HashPolicies } from './hash-policy.ts';
import { applyResponseEdits, type ResponseEdits } from '../plan/header-edits.ts';
import { stickyChoice, type StickySplit } from './sticky-split.ts';

export interface ForwardTimes {
  /** 0 is none. */
  readonly timeoutMs: number;
  /** 0 is none; -1 leaves the manager's. */
  readonly idleTimeoutMs: number;
  /** 0 is none; -1 leaves the manager's. */
  readonly maxStreamDurationMs: number;
}

export function runTimes(x: Exchange, arg: ForwardTimes): Verdict {
  x.timeoutMs = arg.timeoutMs;
  if (arg.idleTimeoutMs >= 0) x.streamIdleTimeoutMs = arg.idleTimeoutMs;
  if (arg.maxStreamDurationMs >= 0) x.maxStreamDurationMs = arg.maxStreamDurationMs;
  return CONTINUE;
}

export function runHighPriority(x: Exchange): Verdict {
  x.isHighPriority = true;
  return CONTINUE;
}

/** RouteAction.max_grpc_timeout: a gRPC request brings its own timeout. */
export interface GrpcTimeout {
  /** 0 is no bound. */
  readonly maxMs: number;
  /** grpc_timeout_offset: taken off what the request says, unless nothing would be left. */
  readonly offsetMs: number;
}

export function runGrpcTimeout(x: Exchange, arg: GrpcTimeout): Verdict {
  const { request } = x;
  if (!isGrpcRequest(request)) return CONTINUE;
  // Without a grpc-timeout the request may take for ever, as far as the route lets it.
  let timeoutMs = Math.max(grpcTimeoutMs(request), 0);
  if (arg.offsetMs < timeoutMs) timeoutMs -= arg.offsetMs;
  if (arg.maxMs > 0 && (timeoutMs === 0 || timeoutMs > arg.maxMs)) timeoutMs = arg.maxMs;
  x.timeoutMs = timeoutMs;
  x.heedsGrpcTimeout = true;
  return CONTINUE;
}

export interface GrpcLimit {
  /** grpc_timeout_header_max: the request's own grpc-timeout is the limit, up to this; 0 is no bound. */
  readonly maxMs: number;
  /** Taken off the request's own, so that the sidecar gives up before its client does. */
  readonly offsetMs: number;
}

export function runGrpcLimit(x: Exchange, arg: GrpcLimit): Verdict {
  let limitMs = grpcTimeoutMs(x.request);
  if (limitMs === -1) return CONTINUE;
  if (arg.maxMs > 0 && limitMs > arg.maxMs) limitMs = arg.maxMs;
  // A time that is over before it began still ends the stream, at once.
  x.maxStreamDurationMs = Math.max(limitMs - arg.offsetMs, 1);
  return CONTINUE;
}

/** The next hop of a gRPC request is told how long its stream may last, or nothing where that is for ever. */
export function runTellLimit(x: Exchange): Verdict {
  if (!isGrpcRequest(x.request)) return CONTINUE;
  if (x.maxStreamDurationMs > 0) x.request.set(GRPC_TIMEOUT, grpcTimeoutOf(x.maxStreamDurationMs));
  else x.request.remove(GRPC_TIMEOUT);
  return CONTINUE;
}

/** What is answered when no such cluster is live. */
export interface NotFound {
  readonly status: number;
  readonly edits: ResponseEdits;
  /** True: filters run first, and a later step answers. */
  readonly isDeferred: boolean;
}

export interface ForwardToCluster {
  readonly to: ClusterRef;
  readonly notFound: NotFound;
}

export function runCluster(x: Exchange, arg: ForwardToCluster): Verdict {
  x.cluster = arg.to;
  return arg.to.cluster === null ? replyNoCluster(x, arg.notFound) : CONTINUE;
}

export interface ForwardByHeader {
  readonly source: HeaderSource;
  readonly clusterRef: (name: string) => ClusterRef;
  /** Names of live clusters that some request has sent. */
  readonly known: Map<string, ClusterRef>;
  readonly notFound: NotFound;
}

/** Names kept for one route; beyond that they are looked up each time. */
const KNOWN_MAX = 1024;

export function runClusterHeader(x: Exchange, arg: ForwardByHeader): Verdict {
  const name = readHeader(x.request, arg.source);
  if (name === null || name === '') return replyNoCluster(x, arg.notFound);
  const to = refOf(arg, name);
  x.cluster = to;
  return to.cluster === null ? replyNoCluster(x, arg.notFound) : CONTINUE;
}

function refOf(arg: ForwardByHeader, name: string): ClusterRef {
  const known = arg.known.get(name);
  if (known !== undefined) return known;
  const to = arg.clusterRef(name);
  // A name that no cluster has is the client's invention: keeping those would keep whatever it sends.
  if (to.cluster !== null && arg.known.size < KNOWN_MAX) arg.known.set(name, to);
  return to;
}

export interface SplitTarget {
  /** Null when a header names the cluster. */
  readonly to: ClusterRef | null;
  readonly byHeader: ForwardByHeader | null;
  readonly weight: number;
  /** Empty when no runtime key can change the weight. */
  readonly runtimeKey: string;
  /** Host to send; empty leaves it. */
  readonly host: string;
}

export interface Split {
  readonly targets: readonly SplitTarget[];
  readonly totalWeight: number;
  readonly hasRuntimeKeys: boolean;
  /** UNKNOWN (0) when no header carries the random value. */
  readonly valueHeader: HeaderId;
  /** use_hash_policy: the hash carries the random value; null where it does not. */
  readonly hash: HashPolicies | null;
  /** Keeps everybody with one destination; null where it is a matter of chance. */
  readonly sticky: StickySplit | null;
  /** Room for the weights of now, for the sticky split. */
  readonly weights: Float64Array;
  readonly random: () => number;
  readonly runtimeNumber: (key: string, fallback: number) => number;
  readonly notFound: NotFound;
}

export function runSplit(x: Exchange, arg: Split): Verdict {
  const { targets } = arg;
  const total = arg.hasRuntimeKeys ? currentTotal(arg) : arg.totalWeight;
  let chosen = arg.sticky === null ? -1 : stuckTo(x, arg, arg.sticky);
  if (chosen === -1) chosen = drawn(x, arg, total);
  x.splitIndex = chosen;
  const target = targets[chosen] as SplitTarget;
  if (target.byHeader !== null) return runClusterHeader(x, target.byHeader);
  x.cluster = target.to;
  return target.to === null || target.to.cluster === null ? replyNoCluster(x, arg.notFound) : CONTINUE;
}

function drawn(x: Exchange, arg: Split, total: number): number {
  const { targets } = arg;
  const value = selectedValue(x, arg, total);
  let end = 0;
  for (let i = 0; i < targets.length; i++) {
    end += weightOf(arg, targets[i] as SplitTarget);
    if (value < end) return i;
  }
  return targets.length - 1;
}

function stuckTo(x: Exchange, arg: Split, sticky: StickySplit): number {
  const { targets, weights } = arg;
  for (let i = 0; i < targets.length; i++) weights[i] = weightOf(arg, targets[i] as SplitTarget);
  return stickyChoice(x, sticky, weights);
}

function weightOf(arg: Split, target: SplitTarget): number {
  return target.runtimeKey === '' ? target.weight : arg.runtimeNumber(target.runtimeKey, target.weight);
}

function currentTotal(arg: Split): number {
  let total = 0;
  for (let i = 0; i < arg.targets.length; i++) total += weightOf(arg, arg.targets[i] as SplitTarget);
  return total;
}

/** A whole number in [0, total). */
function selectedValue(x: Exchange, arg: Split, total: number): number {
  if (total <= 0) return 0;
  if (arg.hash !== null) {
    hashRequest(x, arg.hash, false);
    if (x.hasHash) return bigModulo(x.hashHigh, x.hashLow, total);
  }
  if (arg.valueHeader !== 0) {
    const first = x.request.find(arg.valueHeader);
    if (first !== -1 && x.request.find(arg.valueHeader, first + 1) === -1) {
      const value = moduloOf(x.request.valueAt(first), total);
      if (value !== -1) return value;
    }
  }
  return Math.floor(splitPoint(x, arg.random) * total);
}

/** The unsigned 64-bit integer in `text` (a plus may stand before it), modulo `total`; -1 when it is none. */
export function moduloOf(text: string, total: number): number {
  let start = text.charCodeAt(0) === 0x2b ? 1 : 0;
  if (start === text.length) return -1;
  while (start < text.length - 1 && text.charCodeAt(start) === 0x30) start++;
  const length = text.length - start;
  if (length > 20) return -1;
  if (length === 20 && text.slice(start) > '18446744073709551615') return -1;
  let rest = 0;
  for (let i = start; i < text.length; i++) {
    const digit = text.charCodeAt(i) - 0x30;
    if (digit < 0 || digit > 9) return -1;
    rest = (rest * 10 + digit) % total;
  }
  return rest;
}

/** A 64-bit number modulo `total`, which may have 32 bits: bit by bit, because the product would not fit. */
function bigModulo(high: number, low: number, total: number): number {
  let rest = high % total;
  for (let bit = 31; bit >= 0; bit--) rest = (rest * 2 + ((low >>> bit) & 1)) % total;
  return rest;
}

export function runSplitHost(x: Exchange, arg: Split): Verdict {
  const target = arg.targets[x.splitIndex];
  if (target !== undefined && target.host !== '') x.request.setAuthority(target.host);
  return CONTINUE;
}

/** After the filters: what has no live cluster goes no further. */
export function runRequire(x: Exchange, arg: NotFound): Verdict {
  return x.cluster === null || x.cluster.cluster === null ? replyNoCluster(x, arg) : CONTINUE;
}

/** Envoy: the configured status, no body, flag NC, details `cluster_not_found`. */
export function replyNoCluster(x: Exchange, arg: NotFound): Verdict {
  if (arg.isDeferred) return CONTINUE;
  x.response.status = arg.status;
  x.replyBody = '';
  x.flags |= FLAGS.NC;
  x.details = 'cluster_not_found';
  applyResponseEdits(x, arg.edits);
  return REPLY;
}
