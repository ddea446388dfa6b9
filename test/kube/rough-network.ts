// The way to an API server as it is on a bad day: a TCP proxy whose connections can be cut, all at once or regularly, and
// that can let nothing through for a while.
import { connect, createServer, type Server, type Socket } from 'node:net';
import { listen } from '../support/free-port.ts';

export class RoughNetwork {
  url = '';
  /** Connections that have been cut so far. */
  cuts = 0;
  isBlocked = false;
  readonly #sockets = new Set<Socket>();
  readonly #server: Server;
  #timer: NodeJS.Timeout | undefined;

  static async start(port: number): Promise<RoughNetwork> {
    const made = new RoughNetwork(port);
    made.url = `https://127.0.0.1:${await listen(made.#server)}`;
    return made;
  }

  private constructor(port: number) {
    this.#server = createServer((near) => {
      if (this.isBlocked) {
        near.resetAndDestroy();
        return;
      }
      const far = connect(port, '127.0.0.1');
      for (const [from, to] of [
        [near, far],
        [far, near],
      ] as const) {
        this.#sockets.add(from);
        from.on('error', () => to.destroy());
        from.once('close', () => {
          this.#sockets.delete(from);
          to.destroy();
        });
        from.pipe(to);
      }
    });
  }

  cut(): void {
    this.cuts += this.#sockets.size / 2;
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  cutEvery(ms: number): void {
    clearInterval(this.#timer);
    this.#timer = setInterval(() => this.cut(), ms);
  }

  calm(): void {
    clearInterval(this.#timer);
    this.isBlocked = false;
  }

  async stop(): Promise<void> {
    this.calm();
    this.cut();
    await new Promise((done) => this.#server.close(done));
  }
}
