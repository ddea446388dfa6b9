// Unix sockets by path, as Envoy writes them: a path that begins with `@` is a name in the abstract
// namespace, which has no file. A file that a process left behind keeps nobody from listening: it is
// removed when, and only when, nobody answers on it.
import { lstat, unlink } from 'node:fs/promises';
import { connect } from 'node:net';

/** The path as the kernel takes it. Source: Envoy core.v3.Pipe.path. */
export function kernelPath(path: string): string {
  return path.startsWith('@') ? '\0' + path.slice(1) : path;
}

/** Removes the socket file at `path` when nobody listens on it; leaves anything else alone. */
export async function removeLeftover(path: string): Promise<void> {
  if (path.startsWith('@')) return;
  const file = await lstat(path).catch(() => null);
  if (file === null || !file.isSocket() || (await answers(path))) return;
  // Whoever removed it first did what was wanted; any other failure shows when the socket is bound.
  await unlink(path).catch(() => {});
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ path });
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code !== 'ECONNREFUSED'));
  });
}
