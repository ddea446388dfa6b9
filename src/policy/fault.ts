// @hot
// Faults on purpose, as Envoy's fault filter injects them: a delay, then an abort, each by its own chance, for the
// requests that the settings match. The filter stands before the router, so that a retry does not meet it again
// and the route's timeout does not count it; faults of single attempts are in attempt-fault.ts.
// Source: Envoy HTTP fault filter; order and rules as measured on Envoy 1.40.
import type { HeaderId } from '../base/brand.ts';
import type { Budget } from '../base/shared-limits.ts';
import type { Clock } from '../base/clock.ts';
import { internHeader } from '../http/header-name.ts';
import type { Exchange } from '../plan/exchange.ts';
import type { FilterTally } from '../plan/filter-tally.ts';
import { abortWith, faultStatus } from '../plan/attempt-fault.ts';
import type { HeaderPredicate } from '../plan/header-match.ts';
import { CONTINUE, PAUSE, REPLY, type Verdict } from '../plan/plan.ts';
import { FLAGS } from '../plan/response-flags.ts';

/** The statistics `http.PREFIX.fault.*`. */
export const FAULT_STATS = [
  { name: 'delays_injected', kind: 'counter' },
  { name: 'aborts_injected', kind: 'counter' },
  { name: 'active_faults', kind: 'gauge' },
  { name: 'faults_overflow', kind: 'counter' },
  { name: 'response_rl_injected', kind: 'counter' },
] as const;
const DELAYS = 0;
const ABORTS = 1;
const ACTIVE = 2;
const OVERFLOW = 3;

/** The share of requests: `numerator` of `denominator`. */
export interface FaultShare {
  readonly numerator: number;
  readonly denominator: number;
}

export interface FaultDelay {
  /** 0: the request says it in `x-envoy-fault-delay-request`. */
  readonly fixedMs: number;
  readonly share: FaultShare;
}

export interface FaultAbort {
  /** An HTTP status, 0 for none. */
  readonly status: number;
  /** A gRPC status, -1 for none. */
  readonly grpcStatus: number;
  /** The request says it in `x-envoy-fault-abort-request` or `-abort-grpc-request`. */
  readonly isByHeader: boolean;
  readonly share: FaultShare;
}

/** Runtime keys that win over the settings. */
export interface FaultKeys {
  readonly delayPercent: string;
  readonly delayMs: string;
  readonly abortPercent: string;
  readonly abortStatus: string;
  readonly abortGrpcStatus: string;
  readonly activeMax: string;
}

/** What the fault filters of one name share, whatever the settings of a route. */
export interface FaultState {
  readonly tally: FilterTally;
  /** The tally of one downstream cluster. */
  readonly tallyOf: (cluster: string) => FilterTally;
  /** Faults under way, in all threads. */
  readonly budget: Budget;
  readonly clock: Clock;
  readonly random: () => number;
  readonly runtimeNumber: (key: string, fallback: number) => number;
  /** Of Exchange.held. */
  readonly bit: number;
}

export interface FaultSettings {
  readonly state: FaultState;
  readonly delay: FaultDelay | null;
  readonly abort: FaultAbort | null;
  /** Empty: any. */
  readonly cluster: string;
  readonly headers: readonly HeaderPredicate[];
  /** Null: any. */
  readonly nodes: ReadonlySet<string> | null;
  readonly activeMax: number;
  readonly keys: FaultKeys;
  readonly countsByCluster: boolean;
}

const NODE = internHeader('x-envoy-downstream-service-node');
const CALLER = internHeader('x-envoy-downstream-service-cluster');
const DELAY = internHeader('x-envoy-fault-delay-request');
const DELAY_PERCENT = internHeader('x-envoy-fault-delay-request-percentage');
const ABORT = internHeader('x-envoy-fault-abort-request');
const ABORT_GRPC = internHeader('x-envoy-fault-abort-grpc-request');
const ABORT_PERCENT = internHeader('x-envoy-fault-abort-request-percentage');
const UNLIMITED = 0x7fffffff;

/** Pauses the exchange where the delay hits. */
export function runDelay(x: Exchange, arg: FaultSettings): Verdict {
  const delayMs = drawDelay(x, arg);
  if (delayMs === 0) return CONTINUE;
  x.pauseMs = delayMs;
  return PAUSE;
}

/** Answers where the abort hits. */
export function runAbort(x: Exchange, arg: FaultSettings): Verdict {
  const status = drawAbort(x, arg);
  if (status === 0) return CONTINUE;
  abortWith(x, status);
  return REPLY;
}

/** The delay that hits now, in milliseconds, counted and told; 0 when none does. */
export function drawDelay(x: Exchange, arg: FaultSettings): number {
  const { delay, state } = arg;
  if (delay === null || !matches(x, arg)) return 0;
  const caller = callerOf(x);
  if (!hits(x, { settings: arg, share: delay.share, isDelay: true, caller })) return 0;
  const delayMs = delayOf(x, arg, delay, caller);
  if (delayMs <= 0 || !begins(x, arg)) return 0;
  count(arg, caller, DELAYS);
  x.flags |= FLAGS.DI;
  x.note(state.clock.now(), 'fault', 'delay of ' + delayMs + ' ms');
  return delayMs;
}

/** The abort that hits now, counted and told, as `faultStatus` has it; 0 when none does. */
export function drawAbort(x: Exchange, arg: FaultSettings): number {
  const { abort, state } = arg;
  if (abort === null || !matches(x, arg)) return 0;
  const caller = callerOf(x);
  if (!hits(x, { settings: arg, share: abort.share, isDelay: false, caller })) return 0;
  const status = statusOf(x, arg, abort, caller);
  const grpcStatus = status === 0 ? grpcStatusOf(x, arg, abort, caller) : -1;
  if ((status === 0 && grpcStatus === -1) || !begins(x, arg)) return 0;
  count(arg, caller, ABORTS);
  x.flags |= FLAGS.FI;
  x.note(state.clock.now(), 'fault', grpcStatus === -1 ? 'abort with ' + status : 'abort with gRPC ' + grpcStatus);
  return faultStatus(status, grpcStatus);
}

/** A fault lasts as long as its exchange. */
export function endFault(x: Exchange, state: FaultState): Verdict {
  if ((x.held & state.bit) !== 0) {
    x.held &= ~state.bit;
    state.tally.add(ACTIVE, -1);
    state.budget.release();
  }
  return CONTINUE;
}

/** One exchange counts once, however many faults it meets. */
function begins(x: Exchange, { state, activeMax, keys }: FaultSettings): boolean {
  if ((x.held & state.bit) !== 0) return true;
  const max = Math.min(state.runtimeNumber(keys.activeMax, activeMax), UNLIMITED);
  if (!state.budget.acquire(max)) {
    state.tally.add(OVERFLOW, 1);
    return false;
  }
  state.tally.add(ACTIVE, 1);
  x.held |= state.bit;
  return true;
}

function count({ state, countsByCluster }: FaultSettings, caller: string, index: number): void {
  state.tally.add(index, 1);
  if (caller !== '' && countsByCluster) state.tallyOf(caller).add(index, 1);
}

function matches(x: Exchange, { cluster, nodes, headers }: FaultSettings): boolean {
  if (cluster !== '' && (x.cluster === null || x.cluster.name !== cluster)) return false;
  if (nodes !== null && !nodes.has(x.request.get(NODE) ?? '')) return false;
  for (let i = 0; i < headers.length; i++) {
    const predicate = headers[i] as HeaderPredicate;
    if (!predicate(x.request)) return false;
  }
  return true;
}

/** Who asks; empty when it is not known. */
function callerOf(x: Exchange): string {
  return x.request.get(CALLER) ?? '';
}

interface Chance {
  readonly settings: FaultSettings;
  readonly share: FaultShare;
  readonly isDelay: boolean;
  readonly caller: string;
}

function hits(x: Exchange, { settings, share, isDelay, caller }: Chance): boolean {
  const { state, keys } = settings;
  const key = isDelay ? keys.delayPercent : keys.abortPercent;
  const own = caller === '' ? '' : 'fault.http.' + caller + (isDelay ? DELAY_PERCENT_KEY : ABORT_PERCENT_KEY);
  let percent = own === '' ? -1 : state.runtimeNumber(own, -1);
  if (percent < 0) percent = state.runtimeNumber(key, -1);
  if (percent >= 0) return state.random() * 100 < percent;
  const isByHeader = isDelay ? settings.delay?.fixedMs === 0 : settings.abort?.isByHeader === true;
  let { numerator } = share;
  if (isByHeader) {
    const asked = numberOf(x, isDelay ? DELAY_PERCENT : ABORT_PERCENT);
    if (asked !== -1 && asked < numerator) numerator = asked;
  }
  return numerator > 0 && state.random() * share.denominator < numerator;
}

const DELAY_PERCENT_KEY = '.delay.fixed_delay_percent';
const ABORT_PERCENT_KEY = '.abort.abort_percent';

function delayOf(x: Exchange, { state, keys }: FaultSettings, delay: FaultDelay, caller: string): number {
  const asked = delay.fixedMs > 0 ? delay.fixedMs : numberOf(x, DELAY);
  if (asked === -1) return 0;
  const delayMs = state.runtimeNumber(keys.delayMs, asked);
  return caller === '' ? delayMs : state.runtimeNumber('fault.http.' + caller + '.delay.fixed_duration_ms', delayMs);
}

function statusOf(x: Exchange, { state, keys }: FaultSettings, abort: FaultAbort, caller: string): number {
  let { status } = abort;
  if (abort.isByHeader) {
    const asked = numberOf(x, ABORT);
    status = asked >= 200 && asked < 600 ? asked : 0;
  }
  if (status === 0) return 0;
  const now = state.runtimeNumber(keys.abortStatus, status);
  return caller === '' ? now : state.runtimeNumber('fault.http.' + caller + '.abort.http_status', now);
}

function grpcStatusOf(x: Exchange, { state, keys }: FaultSettings, abort: FaultAbort, caller: string): number {
  const status = abort.isByHeader ? numberOf(x, ABORT_GRPC) : abort.grpcStatus;
  if (status === -1) return -1;
  const now = state.runtimeNumber(keys.abortGrpcStatus, status);
  return caller === '' ? now : state.runtimeNumber('fault.http.' + caller + '.abort.grpc_status', now);
}

const DIGITS_MAX = 9;

/** The whole number in a field; -1 when it is absent or none. */
function numberOf(x: Exchange, name: HeaderId): number {
  const text = x.request.get(name);
  if (text === null || text === '' || text.length > DIGITS_MAX) return -1;
  let value = 0;
  for (let i = 0; i < text.length; i++) {
    const digit = text.charCodeAt(i) - 0x30;
    if (digit < 0 || digit > 9) return -1;
    value = value * 10 + digit;
  }
  return value;
}
