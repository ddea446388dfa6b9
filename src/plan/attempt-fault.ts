// @hot
// Faults of single attempts, as a route has them: asked at the start of each attempt, so that the times of an
// attempt count them and retries see them. policy/attempt-fault.ts makes them.
import { internHeader } from '../http/header-name.ts';
import type { Exchange } from './exchange.ts';
import { isGrpcRequest } from './grpc-request.ts';

const GRPC_STATUS = internHeader('grpc-status');
const BODY = 'fault filter abort';

export interface AttemptFault {
  /** How long this attempt is held before it asks for a connection, in milliseconds; 0 is not. Drawn and counted. */
  delayOf(x: Exchange): number;
  /** What this attempt is answered with instead of being sent: 0 is nothing, else see `faultStatus`. Drawn and counted. */
  abortOf(x: Exchange): number;
}

/** An HTTP status stands for itself, a gRPC status `n` is `-1 - n`. */
export function faultStatus(httpStatus: number, grpcStatus: number): number {
  return httpStatus !== 0 || grpcStatus === -1 ? httpStatus : -1 - grpcStatus;
}

/** Lays the answer of an abort; a gRPC status is told to gRPC requests, and to others a plain 200, as Envoy has it. */
export function abortWith(x: Exchange, status: number): void {
  x.details = 'fault_filter_abort';
  x.response.status = status < 0 ? 200 : status;
  x.replyBody = BODY;
  if (status < 0 && isGrpcRequest(x.request)) x.response.set(GRPC_STATUS, String(-1 - status));
}
