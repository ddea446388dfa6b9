// The side of a hand-over that leaves: a Unix socket, for its owner only, on which a successor asks for the
// listening sockets. Both processes then share them, so no connection in an accept queue is lost, whoever
// closes first. When the successor says that it serves, this side closes its copies and drains; a successor
// that goes away before changes nothing.
//
//   listening ─► (hello) sockets sent ─► (ready) closed here, `left` answered ─► draining
//        ▲──────────── successor gone ──────────┘
import { chmod } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import type { Log } from '../../base/log.ts';
import { descriptorOf } from '../descriptor.ts';
import { loadDescriptorCalls } from '../descriptor-calls.ts';
import { END_RECORD, formatRecord, HELLO, LEFT, READY, SOCKETS_MAX, type OpenSocket } from './socket-record.ts';

export interface HandoverServerOptions {
  readonly path: string;
  readonly log: Log;
  /** The listening sockets at this moment. */
  readonly sockets: () => Promise<readonly OpenSocket[]> | readonly OpenSocket[];
  /** The successor went away before it served: the sockets are this process's alone again. */
  readonly stay: () => void;
  /** Closes them all; resolves when that is done, and before connections have ended. */
  readonly leave: () => Promise<void>;
}

/** A full socket buffer is tried again after this. */
const AGAIN_MS = 5;
const TRIES_MAX = 1000;
/** A successor that says nothing for so long while it starts has failed. */
const IDLE_MS = 120_000;

export class HandoverServer {
  readonly #options: HandoverServerOptions;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #successor: Socket | null = null;

  constructor(options: HandoverServerOptions) {
    this.#options = options;
    this.#server = createServer((socket) => this.#accept(socket));
  }

  /** Rejects when the path cannot be had. */
  async listen(): Promise<void> {
    const { path } = this.#options;
    // Nobody else may connect, not even before the mode is set: the directory's owner decides.
    const before = process.umask(0o177);
    try {
      await new Promise<void>((resolve, reject) => {
        this.#server.once('error', reject);
        this.#server.listen({ path }, () => resolve());
      });
    } finally {
      process.umask(before);
    }
    await chmod(path, 0o600).catch(() => {});
    this.#server.on('error', (error) => this.#options.log.warning('hand-over socket failed', { error: error.message }));
  }

  /** Closes the socket, which also removes its file. */
  close(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  #accept(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => {
      this.#sockets.delete(socket);
      if (this.#successor !== socket) return;
      this.#successor = null;
      this.#options.stay();
      this.#options.log.warning('the successor went away: going on');
    });
    socket.setTimeout(IDLE_MS, () => socket.destroy());
    let text = '';
    socket.on('data', (bytes: Buffer) => {
      text += bytes.toString('latin1');
      if (text.length > HELLO.length + READY.length) socket.destroy();
      else if (text === HELLO && this.#successor === null) this.#run(socket, this.#send(socket));
      // Two of them would share the ports for good.
      else if (text === HELLO && this.#successor !== socket) this.#turnAway(socket);
      else if (text === HELLO + READY && this.#successor === socket) this.#run(socket, this.#leave(socket));
      else if (!(HELLO + READY).startsWith(text)) socket.destroy();
    });
  }

  /** What fails here must not take down the sidecar that serves. */
  #run(socket: Socket, work: Promise<void>): void {
    work.catch((cause: unknown) => {
      this.#options.log.error('hand-over failed', { error: cause instanceof Error ? cause.message : String(cause) });
      socket.destroy();
    });
  }

  #turnAway(socket: Socket): void {
    this.#options.log.warning('a second successor is turned away');
    socket.destroy();
  }

  async #send(socket: Socket): Promise<void> {
    this.#successor = socket;
    const calls = await loadDescriptorCalls();
    const sockets = await this.#options.sockets();
    this.#options.log.info('a successor takes the listening sockets', { sockets: sockets.length });
    if (calls === null) {
      socket.destroy();
      return;
    }
    const list = sockets.slice(0, SOCKETS_MAX).map((one) => [formatRecord(one), one.descriptor] as const);
    for (const [record, descriptor] of [...list, [END_RECORD, -1] as const]) {
      let tries = 0;
      while (!calls.send(descriptorOf(socket), record, descriptor)) {
        if (++tries > TRIES_MAX || socket.destroyed) {
          socket.destroy();
          return;
        }
        await pause(AGAIN_MS);
      }
    }
  }

  async #leave(socket: Socket): Promise<void> {
    this.#successor = null;
    // The file goes with it: the successor makes its own.
    this.#server.close();
    await this.#options.leave();
    socket.end(LEFT);
  }
}
