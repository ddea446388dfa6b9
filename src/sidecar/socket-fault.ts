// Where a socket tells of a fault. After its handshake a TLSSocket tells of one in TLS itself (an alert of the peer, as
// a TLS 1.3 server sends one that refuses the client's certificate; a malformed record) and stays open: whoever
// listens must destroy it. The server end tells it by an event of Node's own tls.Server, and by no other.
import type { Socket } from 'node:net';

export const SOCKET_FAULTS = ['error', '_tlsError'] as const;

/** Calls at each fault, perhaps twice for one. */
export function onSocketFault(socket: Socket, tell: (error: NodeJS.ErrnoException) => void): void {
  for (const event of SOCKET_FAULTS) socket.on(event, tell);
}
