// What OpenSSL found wrong with the chain of a peer. On the server end node:tls tells it only to its own
// `tls.Server`, through the handle below the socket, so it is asked for there; where that place should ever
// be gone, the answer is a fault, and nobody is let in.
import type { TLSSocket } from 'node:tls';

export interface VerifyFault {
  readonly code: string;
  readonly words: string;
}

/** OpenSSL's code, for example `UNABLE_TO_VERIFY_LEAF_SIGNATURE`; empty when the chain is good. */
export function verifyErrorOf(socket: TLSSocket): string {
  return verifyFaultOf(socket).code;
}

/** The code, and OpenSSL's words: many faults share the code `UNSPECIFIED`. */
export function verifyFaultOf(socket: TLSSocket): VerifyFault {
  const handle: unknown = Reflect.get(socket, '_handle');
  const verify: unknown = typeof handle === 'object' && handle !== null ? Reflect.get(handle, 'verifyError') : null;
  if (typeof verify !== 'function') return { code: 'VERIFY_RESULT_UNKNOWN', words: 'unknown' };
  const fault: unknown = Reflect.apply(verify, handle, []);
  if (fault === null || fault === undefined) return { code: '', words: '' };
  const code: unknown = typeof fault === 'object' ? Reflect.get(fault, 'code') : null;
  const words = fault instanceof Error ? fault.message : '';
  return { code: typeof code === 'string' && code !== '' ? code : 'VERIFY_FAILED', words };
}
