// Runs inside a pod as one of its users, and does there what the test asks: listens, or dials. Started by
// pod-agent-client.ts, told by messages; it ends with its channel.
import { createServer as createHttpServer } from 'node:http';
import { connect, createServer, type Socket } from 'node:net';
import { loadOriginalDestination } from '../../src/sidecar/original-destination.ts';

export type AgentTask =
  | { readonly kind: 'hello' }
  | {
      readonly kind: 'listen';
      /**
       * `original`: tells where the connection was going, and ends; `http`: tells who asked for what, and the
       * x-via of the sidecars between; `echo`: sends back; `greeting`: speaks first, then sends back;
       * `name`: answers HTTP with its environment variable NAME.
       */
      readonly serves: 'original' | 'http' | 'name' | 'echo' | 'greeting';
      readonly port: number;
    }
  | {
      readonly kind: 'dial';
      readonly host: string;
      readonly port: number;
      readonly text: string;
      /** Read until this was seen; empty: to the end. */
      readonly until: string;
      /** The address to dial from; empty: the kernel's choice. */
      readonly from: string;
    };

export interface AgentQuestion {
  readonly id: number;
  readonly task: AgentTask;
}

export interface Dialled {
  /** An error code; empty when all went well. */
  readonly error: string;
  readonly text: string;
}

export interface AgentAnswer extends Dialled {
  readonly id: number;
}

const DIAL_TIMEOUT_MS = 5000;
const OK: Dialled = { error: '', text: '' };

process.on('message', (question: AgentQuestion) => {
  void perform(question.task).then((done) => process.send?.({ id: question.id, ...done }));
});

function perform(task: AgentTask): Promise<Dialled> {
  switch (task.kind) {
    case 'hello':
      return Promise.resolve(OK);
    case 'listen':
      return listen(task);
    case 'dial':
      return dial(task);
    default:
      throw new Error(`unknown task ${JSON.stringify(task)}`);
  }
}

async function listen({ serves, port }: AgentTask & { readonly kind: 'listen' }): Promise<Dialled> {
  const server =
    serves === 'name'
      ? createHttpServer((_, response) => response.end(process.env['NAME']))
      : serves === 'http'
        ? createHttpServer((request, response) => {
            const from = plain(request.socket.remoteAddress ?? '');
            const via = request.headers['x-via'];
            const asked = `${request.method} ${request.headers.host} ${request.url} from ${from}`;
            const seen = via === undefined ? asked : `${asked} via ${String(via)}`;
            response.setHeader('content-length', seen.length).end(seen);
          })
        : createServer({ allowHalfOpen: true }, await serverOf(serves));
  return new Promise((done) => {
    server.once('error', (cause) => done({ error: cause.message, text: '' }));
    server.listen({ host: '::', port }, () => done(OK));
  });
}

async function serverOf(serves: 'original' | 'echo' | 'greeting'): Promise<(socket: Socket) => void> {
  if (serves !== 'original') {
    return (socket) => {
      socket.on('error', () => {});
      if (serves === 'greeting') socket.write(`220 hello ${plain(socket.remoteAddress ?? '')}\r\n`);
      socket.pipe(socket);
    };
  }
  const read = await loadOriginalDestination();
  return (socket) => {
    socket.on('error', () => {});
    const handle: { readonly fd: number } = Object(Reflect.get(socket, '_handle'));
    const own = { address: plain(socket.localAddress ?? ''), port: socket.localPort ?? 0 };
    const meant = read(handle.fd, own);
    socket.end(meant === null ? `${own.port} itself` : `${own.port} for ${meant.address} ${meant.port}`);
  };
}

function dial({ host, port, text, until, from }: AgentTask & { readonly kind: 'dial' }): Promise<Dialled> {
  return new Promise((done) => {
    const socket = connect({ host, port, ...(from === '' ? {} : { localAddress: from }) });
    let seen = '';
    const end = (error: string): void => {
      socket.destroy();
      done({ error, text: seen });
    };
    socket.setTimeout(DIAL_TIMEOUT_MS, () => end('ETIMEDOUT'));
    socket.once('connect', () => {
      if (text !== '') socket.write(text);
    });
    socket.on('data', (bytes) => {
      seen += bytes.toString('latin1');
      if (until !== '' && seen.includes(until)) end('');
    });
    socket.once('error', (cause: NodeJS.ErrnoException) => end(cause.code ?? cause.message));
    socket.once('end', () => end(''));
  });
}

/** IPv4 on a dual-stack socket without its IPv6 clothing. */
function plain(address: string): string {
  return address.replace('::ffff:', '');
}
