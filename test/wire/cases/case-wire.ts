// One end of a connection as a wire case sees it: everything that came, as Latin-1 text, whether the far
// end closed, and writing in pieces that really arrive apart: each waits for a turn of the event loop.
import { connect, type Socket } from 'node:net';

export class CaseWire {
  readonly socket: Socket;
  text = '';
  hasEnded = false;
  #waiters: (() => void)[] = [];

  constructor(socket: Socket) {
    this.socket = socket;
    socket.setNoDelay(true);
    socket.on('data', (bytes: Buffer) => {
      this.text += bytes.toString('latin1');
      this.#wake();
    });
    const end = (): void => {
      this.hasEnded = true;
      this.#wake();
    };
    socket.on('end', end);
    socket.on('error', end);
    socket.on('close', end);
  }

  static connect(port: number): Promise<CaseWire> {
    return new Promise((done, fail) => {
      const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true }, () => done(wire));
      const wire = new CaseWire(socket);
      socket.once('error', fail);
    });
  }

  async write(pieces: readonly string[], eof?: 'fin' | 'rst'): Promise<void> {
    for (const [index, piece] of pieces.entries()) {
      if (index > 0) await turn();
      if (this.socket.destroyed || !this.socket.writable) return;
      this.socket.write(piece, 'latin1');
    }
    if (eof === 'fin') this.socket.end();
    if (eof === 'rst') {
      // What was written must have left, or the reset would overtake it.
      await turn();
      await turn();
      this.socket.resetAndDestroy();
    }
  }

  /** Resolves when `isMet` is true, which is asked whenever something arrives; false when time is up. */
  async until(isMet: () => boolean, timeoutMs: number): Promise<boolean> {
    const deadline = performance.now() + timeoutMs;
    while (!isMet()) {
      const left = deadline - performance.now();
      if (left <= 0) return false;
      await new Promise<void>((done) => {
        const timer = setTimeout(done, left);
        this.#waiters.push(() => {
          clearTimeout(timer);
          done();
        });
      });
    }
    return true;
  }

  destroy(): void {
    this.socket.destroy();
  }

  #wake(): void {
    for (const waiter of this.#waiters.splice(0)) waiter();
  }
}

/** One turn of the event loop: what was written has reached the other end of a loopback connection. */
export function turn(): Promise<void> {
  return new Promise((done) => {
    setImmediate(done);
  });
}
