// As dial-secure.ts, for whoever needs a socket of Node's instead of a Wire: health checks and the calls that
// policies make of other services, both over libraries that speak HTTP themselves. Exactly one of the two callbacks
// is called, later, unless the dial is cancelled first.
import type { Socket } from 'node:net';
import type { Endpoint } from '../plan/cluster.ts';
import { dialEndpoint, type SecureTarget } from './dial-secure.ts';
import type { Dial } from './wire-dial.ts';

export interface SocketUser {
  /** Connected, and secure where it must be; nothing has been read. */
  onSocket(socket: Socket): void;
  onDialFailed(cause: string): void;
}

/** `secure` null is plaintext without a header. */
export function dialSocket(target: Endpoint, secure: SecureTarget | null, user: SocketUser): Dial {
  let securing: Socket | null = null;
  let isCancelled = false;
  const first = dialEndpoint(target, secure === null ? null : { ...secure, tls: null }, {
    onDialFailed: (cause) => user.onDialFailed(cause),
    onDialled: (wire) => {
      const socket = wire.toSocket();
      const tls = secure?.tls ?? null;
      if (secure === null || tls === null) {
        user.onSocket(socket);
        return;
      }
      const { serverName, expectedName, protocols = [] } = secure;
      const names = { authority: target.authority, serverName, expectedName, protocols };
      const connected = tls.connect({ socket }, names, (peer, cause) => {
        if (isCancelled) return;
        if (peer === null || connected === null) user.onDialFailed(cause);
        else user.onSocket(connected);
      });
      securing = connected;
      if (connected !== null) return;
      socket.destroy();
      user.onDialFailed(tls.obstacle);
    },
  });
  return {
    cancel() {
      isCancelled = true;
      first.cancel();
      securing?.destroy();
    },
  };
}
