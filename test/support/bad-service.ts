// A service that answers badly, in one of many ways that can be changed at any time: what calls of policies must bear.
// Over HTTP it writes raw bytes; over gRPC it speaks HTTP/2 by node's server, or something that is none.
import { createServer as createH2Server, type Http2Server, type ServerHttp2Stream } from 'node:http2';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';

const CHUNKED = 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n';
const LINES = Buffer.from('x-a: aaaaaaaa\r\n'.repeat(500));
const HINTS = Buffer.from('HTTP/1.1 103 Early Hints\r\n\r\n'.repeat(500));
const PIECE = Buffer.alloc(16 * 1024, 'a');

/** Ways to answer over HTTP. Each gets a socket on which a request has come; it may be closed at any time. */
export const BAD_HTTP: Readonly<Record<string, (socket: Socket) => void>> = {
  'says nothing': () => {},
  'closes at once': (socket) => socket.end(),
  resets: (socket) => socket.resetAndDestroy(),
  'speaks another protocol': (socket) => socket.end('SSH-2.0-OpenSSH\r\n\r\n'),
  'answers slowly': (socket) => drip(socket, Buffer.from(`HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n`)),
  'sends a body slowly': (socket) => {
    socket.write('HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n');
    drip(socket, Buffer.alloc(100, 'a'));
  },
  'sends a huge head': (socket) => {
    socket.write(`HTTP/1.1 200 OK\r\nx-a: ${'a'.repeat(64 * 1024)}\r\ncontent-length: 0\r\n\r\n`);
  },
  'sends a head without an end': (socket) => flood(socket, 'HTTP/1.1 200 OK\r\n', LINES),
  'sends a huge body': (socket) => {
    socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${PIECE.length * 256}\r\n\r\n`);
    flood(socket, '', PIECE, 256);
  },
  'sends a body without an end': (socket) => {
    const chunk = Buffer.concat([Buffer.from('4000\r\n'), PIECE, Buffer.from('\r\n')]);
    flood(socket, CHUNKED, chunk);
  },
  'sends interim answers without an end': (socket) => flood(socket, '', HINTS),
  'sends trailers without an end': (socket) => flood(socket, `${CHUNKED}0\r\n`, LINES),
  'cuts its body': (socket) => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc'),
  'says two lengths': (socket) => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab'),
  'changes the protocol': (socket) =>
    socket.write('HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n'),
};

/** Ways to answer over gRPC: of the stream, or of the whole connection. */
export const BAD_GRPC: Readonly<Record<string, BadStream | BadConnection>> = {
  'is silent from the start': { kind: 'connection', run: () => {} },
  'speaks another protocol': { kind: 'connection', run: (socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n') },
  'closes every connection': { kind: 'connection', run: (socket) => socket.end() },
  'says nothing': { kind: 'stream', run: () => {} },
  'resets the stream': { kind: 'stream', run: (stream) => stream.close(2) },
  'ends the connection': { kind: 'stream', run: (stream) => stream.session?.destroy() },
  'asks to go elsewhere': { kind: 'stream', run: (stream) => stream.session?.goaway(0) },
  'answers a page': {
    kind: 'stream',
    run: (stream) => {
      stream.respond({ ':status': 200, 'content-type': 'text/html' });
      stream.end('<html>');
    },
  },
  'is without trailers': {
    kind: 'stream',
    run: (stream) => {
      stream.respond(HEAD);
      stream.end(frameOf(Buffer.from('a')));
    },
  },
  'sends half a message': {
    kind: 'stream',
    run: (stream) => respond(stream, frameOf(Buffer.alloc(100)).subarray(0, 50)),
  },
  'sends no message': { kind: 'stream', run: (stream) => respond(stream, Buffer.alloc(0)) },
  'sends two messages': {
    kind: 'stream',
    run: (stream) => respond(stream, Buffer.concat([frameOf(Buffer.from('a')), frameOf(Buffer.from('b'))])),
  },
  'compresses what it says': { kind: 'stream', run: (stream) => respond(stream, Buffer.from([1, 0, 0, 0, 1, 0])) },
  'announces a message above the limit': {
    kind: 'stream',
    run: (stream) => {
      stream.respond(HEAD);
      stream.write(Buffer.from([0, 0xff, 0xff, 0xff, 0xff]));
    },
  },
  'sends a message above the limit': {
    kind: 'stream',
    run: (stream) => respond(stream, frameOf(Buffer.alloc(2_000_000))),
  },
  'sends messages without an end': {
    kind: 'stream',
    run: (stream) => {
      stream.respond(HEAD);
      flood(stream, '', frameOf(Buffer.from('a')));
    },
  },
  'sends a huge head': {
    kind: 'stream',
    run: (stream) => {
      const fields = Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`x-${i}`, 'a'.repeat(2000)]));
      stream.respond({ ...HEAD, ...fields });
    },
  },
};

export interface BadStream {
  readonly kind: 'stream';
  readonly run: (stream: ServerHttp2Stream) => void;
}

export interface BadConnection {
  readonly kind: 'connection';
  readonly run: (socket: Socket) => void;
}

const HEAD = { ':status': 200, 'content-type': 'application/grpc' } as const;

export function frameOf(message: Buffer): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

/** A sound end: bytes, then `grpc-status: 0`. */
export function respond(stream: ServerHttp2Stream, bytes: Buffer): void {
  stream.respond(HEAD, { waitForTrailers: true });
  stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
  stream.end(bytes);
}

/** One byte every 20 ms. */
function drip(socket: Socket, bytes: Buffer): void {
  let sent = 0;
  const timer = setInterval(() => {
    if (sent >= bytes.length || socket.destroyed) clearInterval(timer);
    else socket.write(bytes.subarray(sent, ++sent));
  }, 20).unref();
}

interface Sink {
  write(bytes: Buffer | string): boolean;
  once(event: 'drain', then: () => void): unknown;
  readonly destroyed: boolean;
}

/** Writes `piece` as fast as it is taken, `times` times or until nobody takes it any more. */
function flood(sink: Sink, first: string, piece: Buffer, times = Number.POSITIVE_INFINITY): void {
  let left = times;
  if (first !== '') sink.write(first);
  const more = (): void => {
    while (left-- > 0 && !sink.destroyed) {
      if (sink.write(piece)) continue;
      sink.once('drain', () => setImmediate(more));
      return;
    }
  };
  more();
}

export interface BadService {
  readonly port: number;
  /** Calls that came. */
  readonly calls: () => number;
  close(): void;
}

/** `behaviour` is asked for each request; null: 200 without a body, and the connection is kept. */
export async function startBadHttp(behaviour: () => ((socket: Socket) => void) | null): Promise<BadService> {
  let calls = 0;
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.on('data', () => {
      calls++;
      const bad = behaviour();
      if (bad === null) socket.write('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n');
      else bad(socket);
    });
  });
  return await started(server, () => calls);
}

/** `behaviour`: null answers `sound`. */
export async function startBadGrpc(
  behaviour: () => BadStream | BadConnection | null,
  sound: (stream: ServerHttp2Stream) => void,
): Promise<BadService> {
  let calls = 0;
  const h2: Http2Server = createH2Server();
  h2.on('sessionError', () => {});
  h2.on('stream', (stream: ServerHttp2Stream) => {
    stream.on('error', () => {});
    calls++;
    const bad = behaviour();
    if (bad?.kind === 'stream') bad.run(stream);
    else sound(stream);
  });
  const server = createServer((socket) => {
    socket.on('error', () => {});
    const bad = behaviour();
    if (bad?.kind !== 'connection') h2.emit('connection', socket);
    else {
      calls++;
      bad.run(socket);
    }
  });
  return await started(server, () => calls);
}

async function started(server: Server, calls: () => number): Promise<BadService> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  server.listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const address: AddressInfo | string | null = server.address();
  const close = (): void => {
    for (const socket of sockets) socket.destroy();
    server.close();
  };
  return { port: typeof address === 'object' && address !== null ? address.port : 0, calls, close };
}
