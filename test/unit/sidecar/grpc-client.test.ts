// The gRPC client against peers that are right, wrong, slow, silent and dead.
import { createServer as createHttp2Server, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2';
import { createServer, type Server, type Socket } from 'node:net';

import { afterEach, expect, test } from 'vitest';

import { GrpcConnection, type GrpcConnectionOptions } from '../../../src/sidecar/grpc-client.ts';
import { frame, FrameReader } from '../../../src/sidecar/grpc-frame.ts';
import { percentDecode, type GrpcStatus } from '../../../src/sidecar/grpc-status.ts';
import { listen } from '../../support/free-port.ts';

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0).toReversed()) cleanup();
});

async function aPeer(onStream: (stream: ServerHttp2Stream, path: string) => void): Promise<number> {
  const server = createHttp2Server();
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => sockets.add(socket.on('error', () => {})));
  server.on('sessionError', () => {});
  server.on('stream', (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => {
    stream.on('error', () => {});
    onStream(stream, headers[':path'] ?? '');
  });
  cleanups.push(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return new Promise((done) => {
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      done(typeof address === 'object' && address !== null ? address.port : 0);
    });
  });
}

function aConnection(port: number, options: Partial<GrpcConnectionOptions> = {}) {
  const { promise: closed, resolve } = Promise.withResolvers<string>();
  const connection = new GrpcConnection({ host: '127.0.0.1', port, onClosed: resolve, ...options });
  cleanups.push(() => connection.close());
  return { connection, closed };
}

function call(connection: GrpcConnection, ...messages: string[]) {
  const received: string[] = [];
  const { promise: ended, resolve } = Promise.withResolvers<GrpcStatus>();
  const onMessage = (message: Uint8Array): void => void received.push(Buffer.from(message).toString());
  const stream = connection.stream('/a.Service/Method', { 'x-key': 'v' }, { onMessage, onEnd: resolve });
  for (const message of messages) stream.write(Buffer.from(message));
  return { stream, received, ended };
}

const HEADERS = { ':status': 200, 'content-type': 'application/grpc' };

function echo(stream: ServerHttp2Stream, status = '0', text = ''): void {
  stream.respond(HEADERS, { waitForTrailers: true });
  stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': status, 'grpc-message': text }));
  stream.pipe(stream);
}

test('messages go both ways and the status comes from the trailers', async () => {
  const port = await aPeer((stream) => echo(stream, '3', 'f%C3%BCr 100%25 %zz'));
  const { stream, received, ended } = call(aConnection(port).connection, 'one', '', 'x'.repeat(200_000));
  stream.end();
  expect(await ended).toEqual({ code: 3, message: 'für 100% %zz' });
  expect(received.map(({ length }) => length)).toEqual([3, 0, 200_000]);
  expect(stream.write(Buffer.from('late'))).toBe(false);
});

const ENDINGS: readonly {
  readonly name: string;
  readonly answer: (stream: ServerHttp2Stream) => void;
  readonly status: GrpcStatus;
}[] = [
  {
    name: 'a status in the headers alone',
    answer: (stream) => stream.respond({ ...HEADERS, 'grpc-status': '7', 'grpc-message': 'no' }, { endStream: true }),
    status: { code: 7, message: 'no' },
  },
  {
    name: 'an HTTP error',
    answer: (stream) => stream.respond({ ':status': 503, 'content-type': 'text/plain' }, { endStream: true }),
    status: { code: 14, message: 'HTTP status 503' },
  },
  {
    name: 'a page that is not gRPC',
    answer: (stream) => stream.respond({ ':status': 200, 'content-type': 'text/html' }),
    status: { code: 2, message: 'content-type "text/html" is not gRPC' },
  },
  {
    name: 'an end without a status',
    answer: (stream) => {
      stream.respond(HEADERS);
      stream.end();
    },
    status: { code: 14, message: 'ended without a status' },
  },
  {
    name: 'a compressed message',
    answer: (stream) => {
      stream.respond(HEADERS);
      stream.write(Buffer.from([1, 0, 0, 0, 0]));
    },
    status: { code: 12, message: 'compressed messages are not supported' },
  },
  {
    name: 'a message above the limit',
    answer: (stream) => {
      stream.respond(HEADERS);
      stream.write(Buffer.from([0, 0, 0, 4, 1]));
    },
    status: { code: 8, message: 'the message is larger than the limit' },
  },
  {
    name: 'a good status inside a message',
    answer: (stream) => {
      stream.respond(HEADERS, { waitForTrailers: true });
      stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
      stream.end(Buffer.from([0, 0, 0]));
    },
    status: { code: 13, message: 'ended inside a message' },
  },
  {
    name: 'a reset',
    answer: (stream) => stream.close(7),
    status: { code: 14, message: 'Stream closed with error code NGHTTP2_REFUSED_STREAM' },
  },
];

test.each(ENDINGS)('$name ends the call once with its status', async ({ answer, status }) => {
  const port = await aPeer(answer);
  const { ended } = call(aConnection(port, { messageBytesMax: 1024 }).connection, 'x');
  expect(await ended).toEqual(status);
});

test('a message of exactly the limit passes', async () => {
  const port = await aPeer((stream) => echo(stream));
  const { stream, received, ended } = call(aConnection(port, { messageBytesMax: 1024 }).connection, 'x'.repeat(1024));
  stream.end();
  expect([(await ended).code, received[0]?.length]).toEqual([0, 1024]);
});

test('a refused connection ends it and every call on it', async () => {
  const unused = createServer();
  const port = await listen(unused);
  await new Promise((done) => unused.close(done));
  const { connection, closed } = aConnection(port);
  const { ended } = call(connection, 'x');
  expect((await ended).code).toBe(14);
  expect(await closed).toContain('ECONNREFUSED');
  expect((await call(connection).ended).code).toBe(14);
});

async function aSilentPeer(): Promise<number> {
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    sockets.add(socket.on('error', () => {}));
    socket.resume();
  });
  cleanups.push(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return listen(server);
}

test('a peer that accepts and says nothing is given up after the connect timeout', async () => {
  const { closed } = aConnection(await aSilentPeer(), { connectMsMax: 50 });
  expect(await closed).toBe('connect timeout');
});

test('a peer that falls silent is given up after an unanswered ping', async () => {
  let peerSocket: Socket | null = null;
  const inner = await aPeer((stream) => echo(stream));
  const { connect } = await import('node:net');
  // A wire that can be cut without anybody being told.
  const wire = createServer((socket) => {
    const other = connect(inner, '127.0.0.1');
    for (const one of [socket, other]) one.on('error', () => {});
    socket.pipe(other).pipe(socket);
    peerSocket = socket.on('close', () => other.destroy());
  });
  cleanups.push(() => wire.close());
  const { promise: isReady, resolve } = Promise.withResolvers<void>();
  const options = { keepaliveMs: 20, keepaliveTimeoutMs: 50, onReady: resolve };
  const { connection, closed } = aConnection(await listen(wire), options);
  await isReady;
  const { ended } = call(connection, 'x');
  await new Promise((done) => setTimeout(done, 150));
  expect(connection.isClosed).toBe(false);
  cut(peerSocket);
  expect((await ended).code).not.toBe(0);
  expect(await closed).toBe('keepalive timeout');
});

function cut(socket: Socket | null): void {
  socket?.unpipe();
  socket?.pause();
}

test('a unary call gets its message, or its status, or its deadline', async () => {
  const port = await aPeer((stream, path) => {
    if (path === '/a/Echo') echo(stream);
    else if (path === '/a/No') stream.respond({ ...HEADERS, 'grpc-status': '5' }, { endStream: true });
  });
  const { connection } = aConnection(port);
  const ask = (path: string, deadlineMs: number) => connection.unary(path, {}, Buffer.from('hello'), deadlineMs);
  const reply = await ask('/a/Echo', 5000);
  expect(reply.kind === 'ok' ? Buffer.from(reply.message).toString() : reply).toBe('hello');
  expect(await ask('/a/No', 5000)).toEqual({ kind: 'failed', status: { code: 5, message: '' } });
  expect(await ask('/a/Never', 30)).toEqual({ kind: 'failed', status: { code: 4, message: 'deadline exceeded' } });
});

test('frames are read whatever the chunks', () => {
  const bytes = Buffer.concat([frame(Buffer.from('abc')), frame(Buffer.alloc(0)), frame(Buffer.from('defghij'))]);
  for (let size = 1; size <= bytes.length; size++) {
    const read: string[] = [];
    const reader = new FrameReader(100, (message) => read.push(Buffer.from(message).toString()));
    for (let at = 0; at < bytes.length; at += size) expect(reader.push(bytes.subarray(at, at + size))).toBeNull();
    expect([read, reader.isAtBoundary]).toEqual([['abc', '', 'defghij'], true]);
  }
});

test('a status message is decoded as UTF-8, and what is no escape stays', () => {
  expect(['a%20b', '%E2%82%AC', '100%', '%4', '%G1'].map(percentDecode)).toEqual(['a b', '€', '100%', '%4', '%G1']);
});
