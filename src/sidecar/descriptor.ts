// The descriptor under a socket or server of node:net. Node keeps it in a private handle and has no other
// word for it; what is not there, as on other platforms, is -1.
import type { Server, Socket } from 'node:net';

/** -1 when it has none (any more). */
export function descriptorOf(owner: Socket | Server): number {
  const handle: unknown = Reflect.get(owner, '_handle');
  if (typeof handle !== 'object' || handle === null) return -1;
  const descriptor: unknown = Reflect.get(handle, 'fd');
  return typeof descriptor === 'number' ? descriptor : -1;
}
