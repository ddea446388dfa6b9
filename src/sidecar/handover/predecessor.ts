// The side of a hand-over that comes: asks the sidecar that listens on the hand-over path for its listening
// sockets, has them used by whoever wants the same address, and says when everything serves. What nobody
// wanted is closed then. Until it is said, the predecessor goes on as if nothing were.
import { closeSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { descriptorOf } from '../descriptor.ts';
import { loadDescriptorCalls, type DescriptorCalls } from '../descriptor-calls.ts';
import { END_RECORD, HELLO, LEFT, parseRecord, READY, SOCKETS_MAX, type SocketRole } from './socket-record.ts';

const TAKE_MS_MAX = 10_000;
const LEAVE_MS_MAX = 10_000;
const LOOK_MS = 2;

export class Predecessor {
  readonly #socket: Socket;
  readonly #descriptors: Map<string, number[]>;

  private constructor(socket: Socket, descriptors: Map<string, number[]>) {
    this.#socket = socket;
    this.#descriptors = descriptors;
  }

  /** Takes the sockets of the sidecar at `path`; null when nobody is there. Rejects when it does not hand over. */
  static async meet(path: string): Promise<Predecessor | null> {
    const socket = await reach(path);
    if (socket === null) return null;
    const calls = await loadDescriptorCalls();
    if (calls === null) throw new Error('listening sockets can be taken over on Linux only');
    socket.write(HELLO);
    return new Predecessor(socket, await takeAll(socket, calls));
  }

  /** The next socket for this address, ours to close; null when there is none (any more). */
  take(role: SocketRole, address: string, port: number): number | null {
    return this.#descriptors.get(keyOf(role, address, port))?.shift() ?? null;
  }

  /** This process serves: the predecessor closes its sockets and drains. Resolves when it has closed them. */
  async relieve(): Promise<void> {
    for (const left of this.#descriptors.values()) for (const descriptor of left) closeSync(descriptor);
    this.#descriptors.clear();
    const socket = this.#socket;
    await new Promise<void>((resolve) => {
      socket.setTimeout(LEAVE_MS_MAX, () => socket.destroy());
      socket.on('close', () => resolve());
      socket.on('data', (bytes: Buffer) => {
        if (bytes.toString('latin1').endsWith(LEFT)) socket.destroy();
      });
      socket.resume();
      socket.write(READY);
    });
  }

  /** This process ends before it served: the predecessor goes on. */
  abandon(): void {
    this.#socket.destroy();
  }
}

/** Connects without reading: what comes brings descriptors, and a plain read would lose them. */
function reach(path: string): Promise<Socket | null> {
  return new Promise((resolve, reject) => {
    const socket = connect({ path });
    socket.pause();
    socket.once('connect', () => {
      socket.on('error', () => {});
      resolve(socket);
    });
    socket.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT' || error.code === 'ECONNREFUSED') resolve(null);
      else reject(error);
    });
  });
}

async function takeAll(socket: Socket, calls: DescriptorCalls): Promise<Map<string, number[]>> {
  const taken = new Map<string, number[]>();
  const deadlineMs = performance.now() + TAKE_MS_MAX;
  for (let count = 0; count <= SOCKETS_MAX;) {
    const received = calls.receive(descriptorOf(socket));
    if (received === null && performance.now() < deadlineMs) await pause(LOOK_MS);
    else if (received === null || received === 'over') break;
    else if (received.record === END_RECORD) return taken;
    else {
      count++;
      if (received.descriptor < 0) continue;
      const record = parseRecord(received.record);
      if (record === null) closeSync(received.descriptor);
      else {
        const key = keyOf(record.role, record.address, record.port);
        taken.set(key, [...(taken.get(key) ?? []), received.descriptor]);
      }
    }
  }
  for (const descriptors of taken.values()) for (const descriptor of descriptors) closeSync(descriptor);
  socket.destroy();
  throw new Error('the sidecar that runs did not hand over its sockets');
}

function keyOf(role: SocketRole, address: string, port: number): string {
  return `${role} ${address} ${port}`;
}
