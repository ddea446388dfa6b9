// An HTTP/1.1 client made of a raw socket: it sends the bytes given and reports every response, with
// its interim ones, exactly as it arrived, and whether the far end closed afterwards.
import { connect, type Socket } from 'node:net';
import { MessageReader, headerOf, type Message, type MessageHead } from './message-reader.ts';

export interface SeenResponse extends Message {
  readonly status: number;
  /** 1xx responses that came before. */
  readonly interim: readonly MessageHead[];
}

export interface Sending {
  /** Written one after the other, with a short pause between them. */
  readonly pieces: readonly (string | Buffer)[];
  /** Methods of the requests in the bytes: as many responses are awaited. */
  readonly methods: readonly string[];
  readonly timeoutMs?: number;
}

const GAP_MS = 30;

export class RawClient {
  readonly socket: Socket;
  readonly #reader: MessageReader;

  private constructor(socket: Socket) {
    this.socket = socket;
    this.#reader = new MessageReader(socket);
  }

  /** `allowHalfOpen`: goes on writing after the far end's FIN. `localAddress`: where it comes from. */
  static connect(port: number, allowHalfOpen = false, localAddress = '127.0.0.1'): Promise<RawClient> {
    return new Promise((done, fail) => {
      const socket = connect({ port, host: '127.0.0.1', localAddress, noDelay: true, allowHalfOpen });
      socket.once('connect', () => {
        socket.off('error', fail);
        done(new RawClient(socket));
      });
      socket.once('error', fail);
    });
  }

  get hasEnded(): boolean {
    return this.#reader.hasEnded;
  }

  /** Fewer responses than requests: the far end closed. */
  async exchange({ pieces, methods, timeoutMs = 10_000 }: Sending): Promise<SeenResponse[]> {
    const timer = setTimeout(() => this.socket.destroy(), timeoutMs);
    const sending = this.#send(pieces);
    const responses: SeenResponse[] = [];
    for (const method of methods) {
      const response = await this.#response(method);
      if (response === null) break;
      responses.push(response);
    }
    await sending;
    clearTimeout(timer);
    return responses;
  }

  /** Waits until the far end closes; false when it has not within the time. */
  async closesWithin(timeoutMs: number): Promise<boolean> {
    const timeout = new Promise<void>((done) => {
      setTimeout(done, timeoutMs).unref();
    });
    await Promise.race([this.#reader.untilEnd(), timeout]);
    return this.#reader.hasEnded;
  }

  /** For bytes that are not HTTP. */
  bytes(count: number): Promise<Buffer> {
    return this.#reader.exactly(count);
  }

  close(): void {
    this.socket.destroy();
  }

  async #send(pieces: readonly (string | Buffer)[]): Promise<void> {
    for (const [index, piece] of pieces.entries()) {
      if (index > 0) await new Promise((done) => setTimeout(done, GAP_MS));
      if (!this.socket.writable) return;
      this.socket.write(typeof piece === 'string' ? Buffer.from(piece, 'latin1') : piece);
    }
  }

  async #response(method: string): Promise<SeenResponse | null> {
    const interim: MessageHead[] = [];
    for (;;) {
      const head = await this.#reader.head();
      if (head === null) return null;
      const status = Number(head.startLine.split(' ')[1]);
      if (status >= 100 && status < 200 && status !== 101) {
        interim.push(head);
        continue;
      }
      const hasNoBody = method === 'HEAD' || status === 204 || status === 304;
      return { ...(await this.#reader.body(head, hasNoBody, false)), status, interim };
    }
  }
}

/** True when the response says that the connection ends with it. */
export function endsConnection(response: Message): boolean {
  const isOld = response.startLine.startsWith('HTTP/1.0');
  const connection = (headerOf(response.headers, 'connection') ?? '').toLowerCase();
  return connection === 'close' || response.framing === 'close' || (isOld && connection !== 'keep-alive');
}
