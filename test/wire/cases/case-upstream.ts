// The upstream of wire cases: records what reaches it on each connection, reads it strictly, and answers:
// requests to /good and /follow-up well, everything else as the case says.
import { createServer, type Server } from 'node:net';
import { listen } from '../../support/free-port.ts';
import { CaseWire } from './case-wire.ts';
import { readStrictly, type StrictMessage } from './strict-reader.ts';

export const GOOD_ANSWER = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';

/** What the upstream does with the request of a case. */
export interface Script {
  readonly pieces: readonly string[];
  readonly eof?: 'fin' | 'rst';
  /** Answers as soon as the head is there, whole request or not. */
  readonly isEager: boolean;
}

export const DEFAULT_SCRIPT: Script = { pieces: [GOOD_ANSWER], isEager: false };

export class UpstreamConnection {
  readonly wire: CaseWire;
  /** Bytes that came before the case began. */
  before = 0;
  answered = 0;
  /** The script was played here. */
  isPlayed = false;
  isTunnel = false;

  constructor(wire: CaseWire) {
    this.wire = wire;
  }

  /** What came since the case began. */
  get text(): string {
    return this.wire.text.slice(this.before);
  }
}

export class CaseUpstream {
  port = 0;
  connections: UpstreamConnection[] = [];
  script: Script = DEFAULT_SCRIPT;
  readonly #server: Server;

  private constructor() {
    this.#server = createServer({ noDelay: true, allowHalfOpen: true }, (socket) => {
      const connection = new UpstreamConnection(new CaseWire(socket));
      this.connections.push(connection);
      socket.on('data', () => this.#answer(connection));
      socket.on('end', () => socket.end());
    });
  }

  static async start(): Promise<CaseUpstream> {
    const upstream = new CaseUpstream();
    upstream.port = await listen(upstream.#server);
    return upstream;
  }

  /** A new case begins: forgets what came, and connections that are gone. */
  begin(script: Script): void {
    this.script = script;
    this.connections = this.connections.filter((connection) => !connection.wire.hasEnded && !connection.isTunnel);
    for (const connection of this.connections) {
      connection.before = connection.wire.text.length;
      connection.answered = 0;
      connection.isPlayed = false;
    }
  }

  close(): void {
    for (const connection of this.connections) connection.wire.destroy();
    this.#server.close();
  }

  #answer(connection: UpstreamConnection): void {
    if (connection.isTunnel) return;
    const { messages } = readStrictly({ text: connection.text, side: 'request' });
    for (const request of messages.slice(connection.answered)) {
      const isOurs = /^\/(good|follow-up)$/.test(targetOf(request));
      if (!request.isComplete && (isOurs || !this.script.isEager)) return;
      connection.answered++;
      if (isOurs) void connection.wire.write([GOOD_ANSWER]);
      else this.#play(connection, request);
    }
  }

  #play(connection: UpstreamConnection, request: StrictMessage): void {
    const { script } = this;
    connection.isPlayed = true;
    if (script === DEFAULT_SCRIPT) {
      void connection.wire.write([request.method === 'HEAD' ? GOOD_ANSWER.slice(0, -2) : GOOD_ANSWER]);
      return;
    }
    connection.isTunnel = script.pieces.join('').startsWith('HTTP/1.1 101');
    void connection.wire.write(script.pieces, script.eof);
  }
}

export function targetOf(request: StrictMessage): string {
  return request.startLine.split(' ')[1] ?? '';
}
