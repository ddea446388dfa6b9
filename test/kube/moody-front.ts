// What stands before an API server and has moods: it shows any certificate, answers in the place of the API server where a
// rule says so, lets requests wait, and passes everything else on as it is. Connections can be cut.
import { request as forward } from 'node:https';
import { createServer, type Server } from 'node:https';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { listen } from '../support/free-port.ts';
import type { KeyAndCertificate } from '../support/test-authority.ts';
import type { ApiServer } from './api-server.ts';

/** Answers itself, or gives how long the request has to wait before it is passed on. */
export type Mood = (request: IncomingMessage, response: ServerResponse) => 'answered' | number;

export class MoodyFront {
  url = '';
  mood: Mood = () => 0;
  readonly #kube: ApiServer;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  static async start(kube: ApiServer, pair: KeyAndCertificate): Promise<MoodyFront> {
    const made = new MoodyFront(kube, pair);
    made.url = `https://127.0.0.1:${await listen(made.#server)}`;
    return made;
  }

  private constructor(kube: ApiServer, pair: KeyAndCertificate) {
    this.#kube = kube;
    this.#server = createServer({ ...pair }, (request, response) => this.#answer(request, response));
    this.#server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
    });
  }

  show({ cert, key }: KeyAndCertificate): void {
    this.#server.setSecureContext({ cert, key });
  }

  cut(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  async stop(): Promise<void> {
    this.cut();
    await new Promise((done) => this.#server.close(done));
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const waitMs = this.mood(request, response);
    if (waitMs === 'answered') return;
    setTimeout(() => this.#pass(request, response), waitMs);
  }

  #pass(request: IncomingMessage, response: ServerResponse): void {
    const { url: path = '/', method = 'GET', headers } = request;
    const place = { host: '127.0.0.1', port: this.#kube.port, ca: this.#kube.authority };
    const onward = forward({ ...place, path, method, headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
      answer.on('error', () => response.destroy());
    });
    onward.on('error', () => response.destroy());
    response.on('close', () => onward.destroy());
    request.pipe(onward);
  }
}

export function refuse(
  response: ServerResponse,
  code: number,
  headers: Readonly<Record<string, string>> = {},
): 'answered' {
  response.writeHead(code, { 'content-type': 'application/json', ...headers });
  response.end(JSON.stringify({ kind: 'Status', apiVersion: 'v1', status: 'Failure', code, message: 'a mood' }));
  return 'answered';
}
