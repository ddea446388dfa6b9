// An open-loop HTTP/1.1 load: so many requests per second, whatever the answers do, over connections that are
// kept for a while and then replaced by new ones. It does what a careful client does and no more: a connection
// whose answer said `close` takes no further request, and a refused connection is made to the next address.
// Nothing is tried again: a request that was written and got no whole 200 has failed.
import { connect, type Socket } from 'node:net';

export interface PacedLoadOptions {
  /** Ports of 127.0.0.1; the first that does not refuse gets the connection. Read at each connection. */
  readonly ports: () => readonly number[];
  readonly perSecond: number;
  /** Connections at most. */
  readonly connections: number;
  /** A connection is given up after so many requests, at most; 200 by default. */
  readonly requestsPerConnection?: number;
  readonly path?: string;
  /** `test` by default. */
  readonly host?: string;
}

export interface LoadResult {
  readonly sent: number;
  readonly succeeded: number;
  /** What went wrong, with how often. */
  readonly failures: ReadonlyMap<string, number>;
  readonly connections: number;
}

const TICK_MS = 4;
const ANSWER = /^HTTP\/1\.1 (?<status>\d{3})[^\r]*\r\n(?<fields>[\s\S]*?)\r\n\r\n/;

export class PacedLoad {
  readonly #options: PacedLoadOptions;
  readonly #request: string;
  readonly #idle: Client[] = [];
  readonly #failures = new Map<string, number>();
  readonly #startMs = performance.now();
  readonly #timer: NodeJS.Timeout;
  #open = 0;
  #connections = 0;
  #due = 0;
  #waiting = 0;
  #sent = 0;
  #succeeded = 0;
  #done: (() => void) | null = null;
  #isOver = false;

  constructor(options: PacedLoadOptions) {
    this.#options = options;
    this.#request = `GET ${options.path ?? '/'} HTTP/1.1\r\nhost: ${options.host ?? 'test'}\r\n\r\n`;
    this.#timer = setInterval(() => this.#tick(), TICK_MS);
  }

  get succeeded(): number {
    return this.#succeeded;
  }

  get failed(): number {
    return [...this.#failures.values()].reduce((sum, count) => sum + count, 0);
  }

  /** Sends no more, and resolves when every request has ended. */
  async stop(): Promise<LoadResult> {
    clearInterval(this.#timer);
    this.#waiting = 0;
    this.#isOver = true;
    if (this.#sent > this.#succeeded + this.failed) await new Promise<void>((resolve) => (this.#done = resolve));
    for (const client of this.#idle.splice(0)) client.close();
    return {
      sent: this.#sent,
      succeeded: this.#succeeded,
      failures: this.#failures,
      connections: this.#connections,
    };
  }

  /** A request begins. */
  sending(): void {
    this.#sent++;
  }

  /** A request ended; empty for success. */
  ended(failure: string): void {
    if (failure === '') this.#succeeded++;
    else this.#fail(failure);
    if (this.#isOver && this.#sent === this.#succeeded + this.failed) this.#done?.();
  }

  free(client: Client): void {
    if (this.#waiting > 0) {
      this.#waiting--;
      client.send(this.#request);
    } else this.#idle.push(client);
  }

  gone(client: Client): void {
    this.#open--;
    const at = this.#idle.indexOf(client);
    if (at >= 0) this.#idle.splice(at, 1);
    if (this.#waiting > 0) this.#dial();
  }

  /** Everything refused: the request that this connection was for has failed. */
  refused(): void {
    this.#open--;
    if (this.#isOver) return;
    this.#waiting = Math.max(0, this.#waiting - 1);
    this.#fail('refused everywhere');
    this.#sent++;
  }

  #fail(failure: string): void {
    this.#failures.set(failure, (this.#failures.get(failure) ?? 0) + 1);
  }

  #tick(): void {
    const wanted = Math.floor(((performance.now() - this.#startMs) / 1000) * this.#options.perSecond);
    for (; this.#due < wanted; this.#due++) {
      const client = this.#idle.shift();
      if (client !== undefined) client.send(this.#request);
      else {
        this.#waiting++;
        this.#dial();
      }
    }
  }

  #dial(): void {
    if (this.#open >= this.#options.connections) return;
    this.#open++;
    this.#connections++;
    const requests = Math.ceil((this.#options.requestsPerConnection ?? 200) * (0.5 + Math.random() / 2));
    new Client(this, requests).connect(this.#options.ports());
  }
}

class Client {
  readonly #load: PacedLoad;
  #left: number;
  #socket: Socket | null = null;
  #text = '';
  #isBusy = false;
  #isOver = false;

  constructor(load: PacedLoad, requests: number) {
    this.#load = load;
    this.#left = requests;
  }

  connect(ports: readonly number[]): void {
    const [port, ...others] = ports;
    if (port === undefined) {
      this.#load.refused();
      return;
    }
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    let isConnected = false;
    socket.on('connect', () => {
      isConnected = true;
      this.#socket = socket;
      this.#load.free(this);
    });
    socket.on('error', (error: NodeJS.ErrnoException) => {
      if (isConnected) this.#end(`${error.code} on an open connection`);
      else if (error.code === 'ECONNREFUSED') this.connect(others);
      else {
        this.#load.sending();
        this.#load.ended(`${error.code} while connecting`);
        this.#load.gone(this);
      }
    });
    socket.on('data', (bytes: Buffer) => this.#read(bytes.toString('latin1')));
    socket.on('close', () => {
      if (isConnected) this.#end('closed without an answer');
    });
  }

  send(request: string): void {
    this.#isBusy = true;
    this.#left--;
    this.#load.sending();
    this.#socket?.write(request);
  }

  close(): void {
    this.#isBusy = false;
    this.#end('');
  }

  #read(text: string): void {
    this.#text += text;
    const match = ANSWER.exec(this.#text);
    const fields = match?.groups?.['fields']?.toLowerCase() ?? '';
    if (match === null) return;
    const length = Number(/(?:^|\n)content-length: *(?<length>\d+)/.exec(fields)?.groups?.['length'] ?? 0);
    if (this.#text.length < match[0].length + length) return;
    this.#text = '';
    this.#isBusy = false;
    const status = match.groups?.['status'] ?? '';
    this.#load.ended(status === '200' ? '' : `status ${status}`);
    if (/(?:^|\n)connection: *close/.test(fields) || this.#left <= 0) this.#end('');
    else this.#load.free(this);
  }

  #end(failure: string): void {
    if (this.#isOver) return;
    this.#isOver = true;
    if (this.#isBusy) this.#load.ended(failure);
    this.#socket?.destroy();
    this.#load.gone(this);
  }
}
