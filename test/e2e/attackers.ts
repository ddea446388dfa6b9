// Clients that mean harm, each a raw socket on loopback: they hold what they are given, dribble, take
// nothing, or send more than anybody may. Closing a flood ends all of its sockets.
import { connect, type Socket } from 'node:net';

export interface Flood {
  readonly sockets: readonly Socket[];
  /** Sockets that the proxy has closed. */
  closed(): number;
  /** First bytes of each answer that came. */
  answers(): readonly string[];
  [Symbol.dispose](): void;
}

export interface FloodPlan {
  readonly port: number;
  readonly count: number;
  /** Sent when the socket is open. */
  readonly first: string | Buffer;
  /** Sent again and again; empty sends nothing more. */
  readonly drip?: string;
  readonly dripMs?: number;
  /** False: what comes stays in the kernel. */
  readonly reads: boolean;
}

const ANSWER_CHARACTERS_MAX = 64;

export function startFlood({ port, count, first, drip = '', dripMs = 500, reads }: FloodPlan): Flood {
  const answers: string[] = Array.from({ length: count }, () => '');
  let closed = 0;
  const timers = new Set<NodeJS.Timeout>();
  const sockets = Array.from({ length: count }, (_none, index) => {
    const socket = connect({ port, host: '127.0.0.1' });
    if (reads) {
      socket.on('data', (bytes) => {
        const before = answers[index] ?? '';
        if (before.length < ANSWER_CHARACTERS_MAX) answers[index] = before + bytes.toString('latin1');
      });
    } else {
      socket.pause();
    }
    socket.on('error', () => socket.destroy());
    socket.on('close', () => closed++);
    socket.once('connect', () => {
      socket.write(first);
      if (drip === '') return;
      const timer = setInterval(() => (socket.writable ? socket.write(drip) : clearInterval(timer)), dripMs);
      timers.add(timer);
    });
    return socket;
  });
  return {
    sockets,
    closed: () => closed,
    answers: () => answers,
    [Symbol.dispose](): void {
      for (const timer of timers) clearInterval(timer);
      for (const socket of sockets) socket.destroy();
    },
  };
}
