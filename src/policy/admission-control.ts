// @hot
// Admission control, as Envoy's filter has it: while too few requests succeed, new ones are turned away with a chance
// that grows with the share that fails, before they cost anything. What is turned away does not count.
//   P(reject) = max(0, (n - successes / threshold) / (n + 1)) ^ (1 / aggression), at most the maximum
// Source: envoy.extensions.filters.http.admission_control.v3.
import { internHeader } from '../http/header-name.ts';
import type { Exchange } from '../plan/exchange.ts';
import type { FilterTally } from '../plan/filter-tally.ts';
import { isGrpcRequest } from '../plan/grpc-request.ts';
import { CONTINUE, REPLY, type Verdict } from '../plan/plan.ts';
import type { SamplingWindow } from './sampling-window.ts';

/** The statistics `http.PREFIX.admission_control.*`. */
export const ADMISSION_STATS = [
  { name: 'rq_rejected', kind: 'counter' },
  { name: 'rq_success', kind: 'counter' },
  { name: 'rq_failure', kind: 'counter' },
] as const;
const REJECTED = 0;
const SUCCESS = 1;
const FAILURE = 2;

/** A value that a runtime key may replace; the key is empty where there is none. */
export interface RuntimeValue {
  readonly key: string;
  readonly value: number;
}

export interface AdmissionSettings {
  readonly window: SamplingWindow;
  readonly tally: FilterTally;
  readonly random: () => number;
  readonly runtimeNumber: (key: string, fallback: number) => number;
  /** Of Exchange.held: the request was let in and counts. */
  readonly bit: number;
  /** 1 when it is on. */
  readonly enabled: RuntimeValue;
  readonly aggression: RuntimeValue;
  /** Percent of successes below which requests are turned away. */
  readonly successThreshold: RuntimeValue;
  /** Requests per second below which none is. */
  readonly rateThreshold: RuntimeValue;
  /** Percent. */
  readonly rejectionMax: RuntimeValue;
  /** By status of the response, from 0 to 999. */
  readonly isSuccess: Uint8Array;
  /** By gRPC status. */
  readonly isGrpcSuccess: Uint8Array;
}

const GRPC_STATUS = internHeader('grpc-status');

export function runAdmission(x: Exchange, arg: AdmissionSettings): Verdict {
  if (valueOf(arg, arg.enabled) === 0) return CONTINUE;
  if (!turnsAway(arg)) {
    x.held |= arg.bit;
    return CONTINUE;
  }
  arg.tally.add(REJECTED, 1);
  x.response.status = 503;
  x.replyBody = '';
  x.details = 'denied_by_admission_control';
  return REPLY;
}

/** The request that was let in has been answered. */
export function endAdmission(x: Exchange, arg: AdmissionSettings): Verdict {
  if ((x.held & arg.bit) === 0) return CONTINUE;
  x.held &= ~arg.bit;
  const { status } = x.response;
  // Nobody answered: the client has left before.
  if (status === 0) return CONTINUE;
  const isSuccess = isGrpcRequest(x.request) ? isGrpcWell(x, arg) : arg.isSuccess[status] === 1;
  arg.tally.add(isSuccess ? SUCCESS : FAILURE, 1);
  arg.window.note(isSuccess);
  return CONTINUE;
}

function isGrpcWell(x: Exchange, arg: AdmissionSettings): boolean {
  const text = x.response.get(GRPC_STATUS);
  if (text === null) return x.response.status === 200;
  return arg.isGrpcSuccess[Number(text)] === 1;
}

function turnsAway(arg: AdmissionSettings): boolean {
  const { window } = arg;
  window.advance();
  if (window.requestsPerSecond < valueOf(arg, arg.rateThreshold)) return false;
  const threshold = Math.max(1, valueOf(arg, arg.successThreshold)) / 100;
  const { requests, successes } = window;
  let chance = (requests - successes / threshold) / (requests + 1);
  if (chance <= 0) return false;
  const aggression = Math.max(1, valueOf(arg, arg.aggression));
  if (aggression !== 1) chance = Math.pow(chance, 1 / aggression);
  chance = Math.min(chance, valueOf(arg, arg.rejectionMax) / 100);
  return arg.random() < chance;
}

function valueOf(arg: AdmissionSettings, { key, value }: RuntimeValue): number {
  return key === '' ? value : arg.runtimeNumber(key, value);
}
