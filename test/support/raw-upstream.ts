// An HTTP/1.1 upstream made of raw sockets. It listens once per name, records every request exactly
// as it arrived, and answers with the bytes it is told to, so that a test decides what a proxy sees.
import { createServer, type Server, type Socket } from 'node:net';
import { listen } from './free-port.ts';
import { MessageReader, type Message } from './message-reader.ts';

export interface SeenRequest extends Message {
  readonly upstream: string;
  readonly method: string;
  readonly target: string;
  readonly version: string;
}

export type Answer =
  /** `HTTP/1.1 200 OK` with the body `from NAME`. */
  | { readonly kind: 'default' }
  | { readonly kind: 'raw'; readonly bytes: string; readonly closes: boolean }
  /** Pieces of bytes with a pause between them. */
  | { readonly kind: 'pieces'; readonly pieces: readonly string[]; readonly gapMs: number }
  /** Closes without a byte of an answer. */
  | { readonly kind: 'close' }
  /** Cuts the connection with RST without a byte of an answer. */
  | { readonly kind: 'reset' }
  /** A body of so many bytes, as fast as the far end takes it. */
  | { readonly kind: 'stream'; readonly bodyBytes: number }
  /** Never answers. */
  | { readonly kind: 'hang' }
  /** One answer for each request in its turn, whichever upstream it came to; the last goes on. */
  | { readonly kind: 'script'; readonly answers: readonly Answer[] }
  /** The default answer, after a time. */
  | { readonly kind: 'late'; readonly afterMs: number };

/** An answer from its status line, header lines and body; content-length is added when there is a body. */
export function reply(status: string, headers: readonly string[] = [], body: string | null = 'ok'): Answer {
  const lines = [`HTTP/1.1 ${status}`, ...headers];
  if (body !== null) lines.push(`content-length: ${Buffer.byteLength(body)}`);
  return raw(`${lines.join('\r\n')}\r\n\r\n${body ?? ''}`);
}

export function raw(bytes: string, closes = false): Answer {
  return { kind: 'raw', bytes, closes };
}

const DEFAULT_ANSWER: Answer = { kind: 'default' };

export class RawUpstream {
  readonly ports = new Map<string, number>();
  /** In order of arrival, recorded when complete. */
  seen: SeenRequest[] = [];
  answer: Answer = DEFAULT_ANSWER;
  /** Body bytes of `stream` answers handed to the kernel so far. */
  streamed = 0;
  /** Connections accepted so far, by name. */
  readonly accepted = new Map<string, number>();
  readonly #servers: Server[] = [];
  readonly #sockets = new Set<Socket>();

  static async start(names: readonly string[]): Promise<RawUpstream> {
    const upstream = new RawUpstream();
    for (const name of names) {
      const server = createServer({ noDelay: true }, (socket) => void upstream.#serve(name, socket));
      upstream.#servers.push(server);
      upstream.ports.set(name, await listen(server));
    }
    return upstream;
  }

  /** Forgets what was seen and goes back to the default answer. */
  rewind(): void {
    this.seen = [];
    this.answer = DEFAULT_ANSWER;
  }

  /** Ends every connection, as a server does with idle ones. */
  disconnect(): void {
    for (const socket of this.#sockets) socket.end();
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await Promise.all(this.#servers.map((server) => new Promise((done) => server.close(done))));
  }

  async #serve(name: string, socket: Socket): Promise<void> {
    this.#sockets.add(socket);
    this.accepted.set(name, (this.accepted.get(name) ?? 0) + 1);
    socket.on('close', () => this.#sockets.delete(socket));
    const reader = new MessageReader(socket);
    for (;;) {
      const head = await reader.head();
      if (head === null) break;
      const message = await reader.body(head, false, true);
      const [method = '', target = '', version = ''] = head.startLine.split(' ');
      this.seen.push({ ...message, upstream: name, method, target, version });
      if (!message.isComplete) break;
      await this.#respond(name, method, socket, this.#answerOf(this.answer));
    }
    socket.end();
  }

  async #stream(socket: Socket, bodyBytes: number): Promise<void> {
    socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${bodyBytes}\r\n\r\n`);
    const block = Buffer.alloc(64 * 1024, 'x');
    for (let left = bodyBytes; left > 0 && !socket.destroyed; left -= block.length) {
      const part = left < block.length ? block.subarray(0, left) : block;
      this.streamed += part.length;
      if (socket.write(part)) continue;
      await new Promise<void>((done) => {
        socket.once('drain', done);
        socket.once('close', done);
      });
    }
  }

  /** The answer to the request that was seen last. */
  #answerOf(answer: Answer): Exclude<Answer, { readonly kind: 'script' }> {
    if (answer.kind !== 'script') return answer;
    return this.#answerOf(answer.answers[Math.min(this.seen.length, answer.answers.length) - 1] ?? DEFAULT_ANSWER);
  }

  async #respond(
    name: string,
    method: string,
    socket: Socket,
    answer: Exclude<Answer, { readonly kind: 'script' }>,
  ): Promise<void> {
    switch (answer.kind) {
      case 'default':
        socket.write(defaultBytes(name, method));
        return;
      case 'raw':
        socket.write(answer.bytes, 'latin1');
        if (answer.closes) socket.end();
        return;
      case 'pieces':
        for (const piece of answer.pieces) {
          socket.write(piece, 'latin1');
          await new Promise((done) => setTimeout(done, answer.gapMs));
        }
        return;
      case 'late':
        await new Promise((done) => setTimeout(done, answer.afterMs));
        if (!socket.destroyed) socket.write(defaultBytes(name, method));
        return;
      case 'stream':
        await this.#stream(socket, answer.bodyBytes);
        return;
      case 'close':
        socket.end();
        return;
      case 'reset':
        socket.resetAndDestroy();
        return;
      case 'hang':
        return;
      default:
        answer satisfies never;
    }
  }
}

function defaultBytes(name: string, method: string): string {
  const body = `from ${name}`;
  return `HTTP/1.1 200 OK\r\ncontent-length: ${body.length}\r\n\r\n${method === 'HEAD' ? '' : body}`;
}
