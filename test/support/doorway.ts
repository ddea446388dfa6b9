// A way into a network namespace from the host, for tests: it listens there, and what is accepted goes to a port of the
// host's loopback. The listening sockets are handed over by doorway-agent.ts, which is inside and then only waits: a
// socket stays in the namespace in which it was made. Nothing of the host's own network is touched.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { connect, Server, type Socket } from 'node:net';
import { join } from 'node:path';

const PROGRAM = join(import.meta.dirname, 'doorway-agent.ts');

export class Doorway {
  readonly #child: ChildProcess;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  /** From `address` of the namespace to `port` of 127.0.0.1 here, asked for at each connection. */
  static async open(namespace: string, address: { host: string; port: number }, port: () => number): Promise<Doorway> {
    const command = ['netns', 'exec', namespace, process.execPath, PROGRAM, address.host, String(address.port)];
    const child = spawn('ip', command, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    const [, server] = await once(child, 'message');
    if (!(server instanceof Server)) throw new Error(`${namespace} did not listen on ${address.host}:${address.port}`);
    return new Doorway(child, server, port);
  }

  private constructor(child: ChildProcess, server: Server, port: () => number) {
    this.#child = child;
    this.#server = server;
    server.on('connection', (inner) => {
      const outer = connect(port(), '127.0.0.1');
      for (const [one, other] of [
        [inner, outer],
        [outer, inner],
      ] as const) {
        this.#sockets.add(one);
        one.on('error', () => other.destroy());
        one.on('close', () => this.#sockets.delete(one));
        one.pipe(other);
      }
    });
  }

  close(): void {
    this.#child.kill('SIGKILL');
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }
}
