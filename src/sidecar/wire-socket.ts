// Makes wires: of connections that a server accepts, and of sockets that are connected or secure already.
// A plain connection never becomes a net.Socket; where Node's handles are not known, each does.
import { Socket, type Server } from 'node:net';
import { HandleWire, wireOverHandle } from './handle-wire.ts';
import { SocketWire } from './socket-wire.ts';
import { handleOf, internals, isStreamHandle, isTcpHandle } from './stream-handle.ts';
import type { Wire } from './wire.ts';

/**
 * A wire over a connected net.Socket, or over a TLSSocket after its handshake. What the socket had read comes
 * first, when the wire is resumed. The socket must not be used any more.
 */
export function wireOf(socket: Socket): Wire {
  const handle = handleOf(socket);
  if (internals === null || handle === null) return new SocketWire(socket);
  socket.pause();
  const read: unknown = socket.read();
  return new HandleWire(internals, handle, socket, Buffer.isBuffer(read) ? read : null);
}

/**
 * Takes over what `server`, which listens, accepts from now on. Wires are paused and without a user;
 * `failed` gets the code of each accept that failed (`EMFILE`).
 */
export function acceptWires(server: Server, accept: (wire: Wire) => void, failed: (code: number) => void): void {
  const handle: unknown = Reflect.get(server, '_handle');
  if (internals === null || typeof handle !== 'object' || handle === null || !('onconnection' in handle)) {
    server.on('connection', (socket: Socket) => accept(new SocketWire(socket)));
    return;
  }
  // Accepted sockets inherit it from the listening one: no system call for each.
  if (isTcpHandle(handle)) handle.setNoDelay(true);
  handle.onconnection = (status: number, accepted: unknown): void => {
    const wire = status === 0 && isStreamHandle(accepted) ? wireOverHandle(accepted) : null;
    if (wire === null) failed(status);
    else accept(wire);
  };
}

/** Of a connection that another thread accepted: the same wire as one that was accepted here, where Node allows it. */
export function wireOfDescriptor(descriptor: number): Wire {
  // Nothing is read before the wire does.
  const options = { fd: descriptor, allowHalfOpen: true, readable: true, writable: true, manualStart: true };
  const socket = new Socket(options);
  const handle = handleOf(socket);
  const wire = handle === null ? null : wireOverHandle(handle);
  if (wire === null) return wireOf(socket);
  // The handle has one owner: a socket that keeps it would be told of its reads as well.
  Reflect.set(socket, '_handle', null);
  return wire;
}
