// @hot
// The grpc-timeout field of a request, read and written: at most eight digits and a unit. What is malformed counts as
// absent.
// Source: gRPC over HTTP2, Timeout; Envoy RouteAction.MaxStreamDuration.grpc_timeout_header_max.
import type { Head } from '../http/head.ts';
import { internHeader } from '../http/header-name.ts';

export const GRPC_TIMEOUT = internHeader('grpc-timeout');
const DIGITS_MAX = 8;

/** Milliseconds, rounded up; -1 when there is none. */
export function grpcTimeoutMs(request: Head): number {
  const value = request.get(GRPC_TIMEOUT);
  if (value === null || value.length < 2 || value.length > DIGITS_MAX + 1) return -1;
  let amount = 0;
  for (let i = 0; i < value.length - 1; i++) {
    const digit = value.charCodeAt(i) - 0x30;
    if (digit < 0 || digit > 9) return -1;
    amount = amount * 10 + digit;
  }
  switch (value.charAt(value.length - 1)) {
    case 'H':
      return amount * 3_600_000;
    case 'M':
      return amount * 60_000;
    case 'S':
      return amount * 1000;
    case 'm':
      return amount;
    case 'u':
      return Math.ceil(amount / 1000);
    case 'n':
      return Math.ceil(amount / 1_000_000);
    default:
      return -1;
  }
}

/** The largest number that eight digits can say. */
const AMOUNT_MAX = 99_999_999;

/** Milliseconds as grpc-timeout says them; what has more than eight digits is said in seconds, minutes or hours. */
export function grpcTimeoutOf(ms: number): string {
  if (ms <= AMOUNT_MAX) return ms + 'm';
  const seconds = Math.floor(ms / 1000);
  if (seconds <= AMOUNT_MAX) return seconds + 'S';
  const minutes = Math.floor(seconds / 60);
  return minutes <= AMOUNT_MAX ? minutes + 'M' : Math.floor(minutes / 60) + 'H';
}
