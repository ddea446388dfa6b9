// Closes a socket with a reset where the kernel can say one. node:net throws for any handle but TCP's, such as
// TLS and Unix sockets: those are closed instead, so that a peer's reset never ends the process.
import type { Socket } from 'node:net';

export function resetSocket(socket: Socket): void {
  try {
    socket.resetAndDestroy();
  } catch {
    socket.destroy();
  }
}
