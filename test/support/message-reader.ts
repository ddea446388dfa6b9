// Reads HTTP/1.x messages from a socket for tests: forgiving about order and case, exact about bytes.
// It keeps names and values as received, says how the body was framed, and never normalizes, so that
// a test can compare what two programs really put on the wire.
import type { Socket } from 'node:net';

export type HeaderLine = readonly [name: string, value: string];
export type Framing = 'none' | 'length' | 'chunked' | 'close';

export interface Message {
  readonly startLine: string;
  readonly headers: readonly HeaderLine[];
  readonly framing: Framing;
  readonly body: Buffer;
  readonly trailers: readonly HeaderLine[];
  /** False: the connection ended inside the body. */
  readonly isComplete: boolean;
}

export interface MessageHead {
  readonly startLine: string;
  readonly headers: readonly HeaderLine[];
}

/** The first value of a header, or null. */
export function headerOf(headers: readonly HeaderLine[], name: string): string | null {
  const line = headers.find(([candidate]) => candidate.toLowerCase() === name);
  return line?.[1] ?? null;
}

export class MessageReader {
  #pending: Buffer = Buffer.alloc(0);
  #chunks: Buffer[] = [];
  #hasEnded = false;
  #wake: (() => void) | null = null;
  /** Bytes received so far, read or not. */
  received = 0;

  constructor(socket: Socket) {
    socket.on('data', (data: Buffer) => {
      this.received += data.length;
      this.#chunks.push(data);
      this.#wake?.();
    });
    const end = (): void => {
      this.#hasEnded = true;
      this.#wake?.();
    };
    socket.on('end', end);
    socket.on('close', end);
    socket.on('error', end);
  }

  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  /** The next head, or null when the connection ends before one. */
  async head(): Promise<MessageHead | null> {
    for (;;) {
      while (this.#pending.length > 0 && (this.#pending[0] === 13 || this.#pending[0] === 10)) {
        this.#pending = this.#pending.subarray(1);
      }
      const end = this.#pending.indexOf('\r\n\r\n');
      if (end >= 0) {
        const lines = this.#take(end + 4)
          .toString('latin1')
          .slice(0, -4)
          .split('\r\n');
        return { startLine: lines[0] ?? '', headers: lines.slice(1).map(splitLine) };
      }
      if (!(await this.#more())) return null;
    }
  }

  /** The body that belongs to `head`; `hasNoBody` for answers to HEAD, 1xx, 204 and 304. */
  async body(head: MessageHead, hasNoBody: boolean, isRequest: boolean): Promise<Message> {
    const rest = async (): Promise<Pick<Message, 'framing' | 'body' | 'trailers' | 'isComplete'>> => {
      const length = headerOf(head.headers, 'content-length');
      if (hasNoBody) return { framing: 'none', body: Buffer.alloc(0), trailers: [], isComplete: true };
      if ((headerOf(head.headers, 'transfer-encoding') ?? '').toLowerCase().includes('chunked')) return this.#chunked();
      if (length !== null) {
        const body = await this.exactly(Number(length));
        return { framing: 'length', body, trailers: [], isComplete: body.length === Number(length) };
      }
      if (isRequest) return { framing: 'none', body: Buffer.alloc(0), trailers: [], isComplete: true };
      return { framing: 'close', body: await this.#toEnd(), trailers: [], isComplete: true };
    };
    return { ...head, ...(await rest()) };
  }

  /** The next `count` bytes; fewer when the connection ends before. */
  async exactly(count: number): Promise<Buffer> {
    while (this.#buffered() < count && (await this.#arrival())) {
      // Chunks gather unjoined, so that a large body is copied once.
    }
    this.#join();
    return this.#take(Math.min(count, this.#pending.length));
  }

  /** Resolves when the far end has closed. */
  async untilEnd(): Promise<void> {
    while (!this.#hasEnded) await this.#arrival();
  }

  async #chunked(): Promise<Pick<Message, 'framing' | 'body' | 'trailers' | 'isComplete'>> {
    const parts: Buffer[] = [];
    for (;;) {
      const line = await this.#line();
      if (line === null) return { framing: 'chunked', body: Buffer.concat(parts), trailers: [], isComplete: false };
      const size = Number.parseInt(line, 16);
      if (!(size > 0)) break;
      const part = await this.exactly(size + 2);
      parts.push(part.subarray(0, size));
    }
    const trailers: HeaderLine[] = [];
    for (;;) {
      const line = await this.#line();
      if (line === null || line === '') {
        return { framing: 'chunked', body: Buffer.concat(parts), trailers, isComplete: line !== null };
      }
      trailers.push(splitLine(line));
    }
  }

  async #line(): Promise<string | null> {
    for (;;) {
      const end = this.#pending.indexOf('\r\n');
      if (end >= 0)
        return this.#take(end + 2)
          .toString('latin1')
          .slice(0, -2);
      if (!(await this.#more())) return null;
    }
  }

  async #toEnd(): Promise<Buffer> {
    await this.untilEnd();
    this.#join();
    return this.#take(this.#pending.length);
  }

  #take(count: number): Buffer {
    const taken = this.#pending.subarray(0, count);
    this.#pending = this.#pending.subarray(count);
    return taken;
  }

  #buffered(): number {
    let total = this.#pending.length;
    for (const chunk of this.#chunks) total += chunk.length;
    return total;
  }

  #join(): boolean {
    if (this.#chunks.length === 0) return false;
    this.#pending = Buffer.concat([this.#pending, ...this.#chunks]);
    this.#chunks = [];
    return true;
  }

  async #more(): Promise<boolean> {
    if (this.#join()) return true;
    if (!(await this.#arrival())) return false;
    return this.#join();
  }

  async #arrival(): Promise<boolean> {
    if (this.#hasEnded) return false;
    const before = this.received;
    await new Promise<void>((done) => {
      this.#wake = done;
    });
    this.#wake = null;
    return this.received > before || !this.#hasEnded;
  }
}

function splitLine(line: string): HeaderLine {
  const colon = line.indexOf(':');
  return colon < 0 ? [line, ''] : [line.slice(0, colon), line.slice(colon + 1).trim()];
}
