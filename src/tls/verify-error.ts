// What OpenSSL found wrong with the chain of a peer. On the server end node:tls tells it only to its own
// `tls.Server`, through the handle below the socket, so it is asked for there; where that place should ever
// be gone, the answer is a fault, and nobody is let in.
import type { TLSSocket } from 'node:tls';

/** OpenSSL's code, for example `UNABLE_TO_VERIFY_LEAF_SIGNATURE`; empty when the chain is good. */
export function verifyErrorOf(socket: TLSSocket): string {
  const handle: unknown = Reflect.get(socket, '_handle');
  const verify: unknown = typeof handle === 'object' && handle !== null ? Reflect.get(handle, 'verifyError') : null;
  if (typeof verify !== 'function') return 'VERIFY_RESULT_UNKNOWN';
  const fault: unknown = Reflect.apply(verify, handle, []);
  if (fault === null || fault === undefined) return '';
  const code: unknown = typeof fault === 'object' ? Reflect.get(fault, 'code') : null;
  return typeof code === 'string' && code !== '' ? code : 'VERIFY_FAILED';
}
