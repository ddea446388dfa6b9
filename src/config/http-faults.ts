// The fault section of a VirtualService rule: a delay, an abort, each by its own chance. An HTTP status and a gRPC
// status exclude each other.
import { GRPC_CODES } from '../base/grpc-codes.ts';
import type { Fields } from './fields.ts';

export interface Fault {
  readonly delay: { readonly percent: number; readonly fixedMs: number } | null;
  readonly abort: FaultAbort | null;
}

export interface FaultAbort {
  readonly percent: number;
  /** HTTP; 0 where a gRPC status stands. */
  readonly status: number;
  /** Null where an HTTP status stands. */
  readonly grpcStatus: number | null;
}

const readPercent = (fields: Fields): number => fields.decimal('value', { min: 0, max: 100 }) ?? 0;

export function readFault(fields: Fields): Fault {
  const delay = fields.object('delay', (delay) => {
    delay.later('exponentialDelay');
    const fixedMs = delay.durationMs('fixedDelay');
    if (fixedMs === null && !delay.has('fixedDelay'))
      delay.error('fixedDelay', 'fixedDelay is missing', 'add fixedDelay: 2s or the like');
    const percent = delay.object('percentage', readPercent) ?? delay.decimal('percent', { min: 0, max: 100 }) ?? 0;
    return { percent, fixedMs: fixedMs ?? 0 };
  });
  const abort = fields.object('abort', (abort) => {
    abort.exclusive('httpStatus', 'grpcStatus');
    abort.later('http2Error');
    const status = abort.integer('httpStatus', { min: 200, max: 599 });
    const name = abort.choice('grpcStatus', GRPC_CODES);
    if (status === null && name === null)
      abort.error('', 'an abort needs a status', 'add httpStatus: 503 or grpcStatus: UNAVAILABLE');
    const grpcStatus = name === null ? null : GRPC_CODES.indexOf(name);
    return { percent: abort.object('percentage', readPercent) ?? 0, status: status ?? 0, grpcStatus };
  });
  return { delay, abort };
}
