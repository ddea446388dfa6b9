// Envoy's rate limit filter as it runs: the descriptors of a request are sent to a rate limit service, and the request waits
// for what it says. Not on the hot path of those who have none: each question is a journey to another process.
// Source: Envoy's rate limit filter and envoy.service.ratelimit.v3.
import { create, fromBinary, toBinary, type JsonObject } from '@bufbuild/protobuf';
import { H, internHeader } from '../http/header-name.ts';
import type { Exchange } from '../plan/exchange.ts';
import type { FilterTally } from '../plan/filter-tally.ts';
import { isGrpcRequest } from '../plan/grpc-request.ts';
import type { HeaderEdits } from '../plan/header-edits.ts';
import { CONTINUE, PAUSE, REPLY, type Verdict } from '../plan/plan.ts';
import type { RemoteCall, RemoteCalls, RemoteGrpcResult } from '../plan/remote-call.ts';
import { FLAGS } from '../plan/response-flags.ts';
import type { WaitingPolicy } from '../plan/waiting-step.ts';
import { wireText } from '../plan/wire-text.ts';
import type { HeaderValue } from '../xds/gen/envoy/config/core/v3/base_pb.js';
import {
  RateLimitRequestSchema,
  RateLimitResponseSchema,
  RateLimitResponse_Code as Code,
  RateLimitResponse_RateLimit_Unit as Unit,
  type RateLimitRequest,
  type RateLimitResponse,
} from '../xds/gen/envoy/service/ratelimit/v3/rls_pb.js';
import { FilledDescriptor, type DescriptorRule } from './rate-descriptors.ts';

/** The statistics `cluster.NAME.ratelimit.*`. */
export const GLOBAL_STATS = [
  { name: 'ok', kind: 'counter' },
  { name: 'error', kind: 'counter' },
  { name: 'over_limit', kind: 'counter' },
  { name: 'failure_mode_allowed', kind: 'counter' },
] as const;
const OK = 0;
const ERROR = 1;
const OVER_LIMIT = 2;
const FAILURE_ALLOWED = 3;

export interface GlobalLimit {
  readonly remote: RemoteCalls;
  /** The service's. */
  readonly cluster: string;
  readonly authority: string | null;
  readonly timeoutMs: number;
  readonly domain: string;
  readonly takesInternal: boolean;
  readonly takesExternal: boolean;
  readonly rules: readonly DescriptorRule[];
  readonly deniesOnFailure: boolean;
  readonly status: number;
  readonly statusOnError: number;
  readonly saysExhausted: boolean;
  /** `x-envoy-ratelimited`. */
  readonly marksLimited: boolean;
  readonly tellsLimits: boolean;
  /** Of answers over the limit. */
  readonly responseEdits: HeaderEdits | null;
  readonly tallyOf: (cluster: string) => FilterTally;
  readonly random: () => number;
  readonly runtimeNumber: (key: string, fallback: number) => number;
  /** Fields that the response gets, and the bit of Exchange.held that says so. */
  readonly added: WeakMap<Exchange, readonly (readonly [name: string, value: string])[]>;
  readonly bit: number;
}

const METHOD = '/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit';
const NAMESPACE = 'envoy.filters.http.ratelimit';
const ENABLED_KEY = 'ratelimit.http_filter_enabled';
const ENFORCING_KEY = 'ratelimit.http_filter_enforcing';
const GRPC_STATUS = internHeader('grpc-status');
const RESOURCE_EXHAUSTED = '8';
const FRAMING: ReadonlySet<string> = new Set(['content-length', 'transfer-encoding', 'connection', 'host']);

/** Descriptors of the exchange whose step has just run. */
let prepared: RateLimitRequest['descriptors'] = [];
const filled = new FilledDescriptor();

export const GLOBAL_LIMIT: WaitingPolicy<GlobalLimit, RemoteGrpcResult> = { prepare, call, settle };

function prepare(x: Exchange, arg: GlobalLimit): Verdict {
  if (!(x.isInternal ? arg.takesInternal : arg.takesExternal)) return CONTINUE;
  if (x.cluster === null || x.cluster.cluster === null) return CONTINUE;
  if (!isDrawn(ENABLED_KEY, arg)) return CONTINUE;
  prepared = descriptorsOf(x, arg);
  return prepared.length === 0 ? CONTINUE : PAUSE;
}

function isDrawn(key: string, { random, runtimeNumber }: GlobalLimit): boolean {
  const percent = runtimeNumber(key, 100);
  return percent >= 100 || random() * 100 < percent;
}

function descriptorsOf(x: Exchange, arg: GlobalLimit): RateLimitRequest['descriptors'] {
  const descriptors: RateLimitRequest['descriptors'] = [];
  for (const { disableKey, entries, override } of arg.rules) {
    if (disableKey !== '' && !isDrawn(`ratelimit.${disableKey}.http_filter_enabled`, arg)) continue;
    if (!filled.fill(x, entries)) continue;
    const limit = override === null ? null : override(x);
    const list = filled.keys.slice(0, filled.count).map((key, i) => ({ key, value: textOf(filled.values[i] ?? '') }));
    const made = create(RateLimitRequestSchema, {
      descriptors: [{ entries: list, ...(limit === null ? {} : { limit }) }],
    });
    descriptors.push(...made.descriptors);
  }
  return descriptors;
}

function call(_x: Exchange, arg: GlobalLimit, done: (result: RemoteGrpcResult) => void): RemoteCall {
  const request = create(RateLimitRequestSchema, { domain: arg.domain, descriptors: prepared });
  const authority = arg.authority === null ? {} : { authority: arg.authority };
  const options = { timeoutMs: arg.timeoutMs, done, ...authority };
  return arg.remote.grpc(arg.cluster, METHOD, toBinary(RateLimitRequestSchema, request), options);
}

function settle(x: Exchange, arg: GlobalLimit, result: RemoteGrpcResult): Verdict {
  const tally = arg.tallyOf(x.cluster?.name ?? '');
  const response = result.kind === 'answered' ? read(result.message) : null;
  if (response === null) return settleError(x, arg, tally);
  if (response.dynamicMetadata !== undefined) noteMetadata(x, response.dynamicMetadata);
  const isOver = response.overallCode === Code.OVER_LIMIT;
  tally.add(isOver ? OVER_LIMIT : OK, 1);
  const added = response.responseHeadersToAdd.flatMap(fieldOf);
  if (isOver && arg.marksLimited) added.push(['x-envoy-ratelimited', 'true']);
  if (arg.tellsLimits) added.push(...limitFields(response));
  if (added.length > 0) {
    arg.added.set(x, added);
    x.held |= arg.bit;
  }
  if (isOver && isDrawn(ENFORCING_KEY, arg)) return refuse(x, arg, response);
  for (const [name, value] of response.requestHeadersToAdd.flatMap(fieldOf)) x.request.add(internHeader(name), value);
  return CONTINUE;
}

function read(message: Uint8Array): RateLimitResponse | null {
  try {
    return fromBinary(RateLimitResponseSchema, message);
  } catch {
    // Bytes that are no answer are a failure of the service.
    return null;
  }
}

function settleError(x: Exchange, arg: GlobalLimit, tally: FilterTally): Verdict {
  tally.add(ERROR, 1);
  if (!arg.deniesOnFailure) {
    tally.add(FAILURE_ALLOWED, 1);
    return CONTINUE;
  }
  x.flags |= FLAGS.RLSE;
  x.details = 'rate_limiter_error';
  x.response.status = arg.statusOnError;
  x.replyBody = '';
  return REPLY;
}

function refuse(x: Exchange, arg: GlobalLimit, response: RateLimitResponse): Verdict {
  x.flags |= FLAGS.RL;
  x.details = 'request_rate_limited';
  x.response.status = arg.status;
  x.chargedStatus = arg.status;
  x.replyBody = Buffer.from(response.rawBody).toString('latin1');
  if (arg.saysExhausted && isGrpcRequest(x.request)) x.response.set(GRPC_STATUS, RESOURCE_EXHAUSTED);
  layAdded(x, arg);
  if (arg.responseEdits !== null) arg.responseEdits.apply(x.response, x);
  return REPLY;
}

/** Lays the fields that the service and the limits give a response, once. */
export function layAdded(x: Exchange, arg: GlobalLimit): Verdict {
  if ((x.held & arg.bit) === 0) return CONTINUE;
  x.held &= ~arg.bit;
  for (const [name, value] of arg.added.get(x) ?? []) {
    const id = internHeader(name);
    // The proxy's own type of a reply gives way to the service's.
    if (id === H.contentType && !x.isUpstreamResponse) x.response.set(id, value);
    else x.response.add(id, value);
  }
  arg.added.delete(x);
  return CONTINUE;
}

/** What could end a field early, or make one message two, is left out. */
function fieldOf({ key, value, rawValue }: HeaderValue): readonly (readonly [string, string])[] {
  const name = key.toLowerCase();
  const text = value === '' && rawValue.length > 0 ? Buffer.from(rawValue).toString('latin1') : wireText(value);
  if (!/^[!#$%&'*+\-.^_`|~0-9a-z]+$/.test(name) || FRAMING.has(name) || /[\0\r\n]/.test(text)) return [];
  return [[name, text]];
}

const SECONDS: Readonly<Partial<Record<Unit, number>>> = {
  [Unit.SECOND]: 1,
  [Unit.MINUTE]: 60,
  [Unit.HOUR]: 3600,
  [Unit.DAY]: 86_400,
  [Unit.MONTH]: 2_592_000,
  [Unit.YEAR]: 31_536_000,
};

/** The limit that is closest, with all windows behind it (draft-polli-ratelimit-headers-03). */
function limitFields({ statuses }: RateLimitResponse): readonly (readonly [string, string])[] {
  let closest: RateLimitResponse['statuses'][number] | null = null;
  let policy = '';
  for (const status of statuses) {
    const { currentLimit } = status;
    if (currentLimit === undefined) continue;
    if (closest === null || status.limitRemaining < closest.limitRemaining) closest = status;
    const window = SECONDS[currentLimit.unit];
    if (window === undefined) continue;
    policy += `, ${currentLimit.requestsPerUnit};w=${window}`;
    const name = wireText(currentLimit.name).replaceAll(/[\0\r\n"]/g, '');
    if (name !== '') policy += `;name="${name}"`;
  }
  if (closest === null) return [];
  return [
    ['x-ratelimit-limit', `${closest.currentLimit?.requestsPerUnit ?? 0}${policy}`],
    ['x-ratelimit-remaining', String(closest.limitRemaining)],
    ['x-ratelimit-reset', String(closest.durationUntilReset?.seconds ?? 0)],
  ];
}

function noteMetadata(x: Exchange, metadata: JsonObject): void {
  if (Object.keys(metadata).length > 0) x.metadata.set(NAMESPACE, Object.freeze(metadata));
}

/** Wire text as the text that protobuf wants; bytes that are no UTF-8 are replaced. */
function textOf(value: string): string {
  return Buffer.from(value, 'latin1').toString('utf8');
}
