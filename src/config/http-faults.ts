// The fault and CORS sections of a VirtualService rule. They are read and checked in full; CORS takes
// effect with the policy part, and until then a warning says so.
import { GRPC_CODES } from '../base/grpc-codes.ts';
import type { Fields } from './fields.ts';
import { readStringMatch } from './string-match.ts';
import type { StringMatch } from './string-match.ts';

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

export interface CorsPolicy {
  readonly allowOrigins: readonly StringMatch[];
  readonly allowMethods: readonly string[];
  readonly allowHeaders: readonly string[];
  readonly exposeHeaders: readonly string[];
  readonly maxAgeMs: number | null;
  readonly allowsCredentials: boolean;
}

const readPercent = (fields: Fields): number => fields.decimal('value', { min: 0, max: 100 }) ?? 0;

export function readFault(fields: Fields): Fault {
  const delay = fields.object('delay', (delay) => {
    const fixedMs = delay.durationMs('fixedDelay');
    if (fixedMs === null && !delay.has('fixedDelay'))
      delay.error('fixedDelay', 'fixedDelay is missing', 'add fixedDelay: 2s or the like');
    const percent = delay.object('percentage', readPercent) ?? delay.decimal('percent', { min: 0, max: 100 }) ?? 0;
    return { percent, fixedMs: fixedMs ?? 0 };
  });
  const abort = fields.object('abort', (abort) => {
    abort.exclusive('httpStatus', 'grpcStatus');
    const status = abort.integer('httpStatus', { min: 200, max: 599 });
    const name = abort.choice('grpcStatus', GRPC_CODES);
    if (status === null && name === null)
      abort.error('', 'an abort needs a status', 'add httpStatus: 503 or grpcStatus: UNAVAILABLE');
    const grpcStatus = name === null ? null : GRPC_CODES.indexOf(name);
    return { percent: abort.object('percentage', readPercent) ?? 0, status: status ?? 0, grpcStatus };
  });
  return { delay, abort };
}

export function readCors(fields: Fields): CorsPolicy {
  fields.warning(
    '',
    'corsPolicy is not supported yet and has no effect',
    'remove it, or wait for the version that does it',
  );
  fields.ignore('unmatchedPreflights');
  const origins = fields.texts('allowOrigin').map((value): StringMatch => ({ kind: 'exact', value }));
  return {
    allowOrigins: [...fields.list('allowOrigins', readStringMatch), ...origins],
    allowMethods: fields.texts('allowMethods'),
    allowHeaders: fields.texts('allowHeaders'),
    exposeHeaders: fields.texts('exposeHeaders'),
    maxAgeMs: fields.durationMs('maxAge'),
    allowsCredentials: fields.flag('allowCredentials') ?? false,
  };
}
