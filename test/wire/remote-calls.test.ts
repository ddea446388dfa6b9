// Calls that policies make of other services, over real sockets: what is asked and answered, and how each way of
// not being answered ends.
import { createServer, type IncomingMessage, type RequestListener, type Server } from 'node:http';
import { createServer as createH2Server, type Http2Server, type ServerHttp2Stream } from 'node:http2';
import { connect as connectTcp, createServer as createTcpServer, type AddressInfo, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { clusterId } from '../../src/base/brand.ts';
import { ProxyStats } from '../../src/observe/proxy-stats.ts';
import { ClusterRef, Endpoint, type Cluster } from '../../src/plan/cluster.ts';
import type { RemoteGrpcResult, RemoteHttpRequest, RemoteHttpResult } from '../../src/plan/remote-call.ts';
import { SidecarRemoteCalls } from '../../src/sidecar/remote-calls.ts';
import { respond } from '../support/bad-service.ts';
import { newEngine } from './data-plane.ts';

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0)) close();
});

const REQUEST: RemoteHttpRequest = { method: 'GET', path: '/check?a=b', authority: 'auth', headers: [], body: null };

interface Caller {
  readonly calls: SidecarRemoteCalls;
  readonly endpoint: Endpoint;
  readonly stat: (name: string) => number;
}

function callerOf(port: number, overrides: Partial<Cluster> = {}): Caller {
  const locality = { region: '', zone: '', subZone: '' };
  const init = { address: '127.0.0.1', port, hostname: '', locality, priority: 0, metadata: new Map(), weight: 1 };
  const endpoint = new Endpoint(init);
  const ref = new ClusterRef(clusterId('auth'));
  ref.cluster = {
    name: ref.name,
    connectTimeoutMs: 1000,
    idleTimeoutMs: 0,
    maxRequestsPerConnection: 0,
    picker: { pick: () => endpoint },
    endpoints: [endpoint],
    metadata: new Map(),
    isWarm: true,
    ...overrides,
  };
  const empty = new ClusterRef(clusterId('none'));
  const { cluster } = ref;
  const stats = new ProxyStats(() => [cluster]);
  const clusterRef = (name: string): ClusterRef => (name === 'auth' ? ref : empty);
  const calls = new SidecarRemoteCalls({ engine: newEngine(), clusterRef, stats });
  stats.remoteOf = (name) => calls.numbersOf(name);
  closers.push(() => calls.close());
  const stat = (name: string): number => stats.list().find((one) => one.name === `cluster.auth.${name}`)?.value ?? -1;
  return { calls, endpoint, stat };
}

function ask(
  calls: SidecarRemoteCalls,
  request = REQUEST,
  timeoutMs = 2000,
  cluster = 'auth',
): Promise<RemoteHttpResult> {
  return new Promise((resolve) => calls.http(cluster, request, { timeoutMs, bytesMax: 1000, done: resolve }));
}

function askGrpc(calls: SidecarRemoteCalls, timeoutMs = 2000): Promise<RemoteGrpcResult> {
  const metadata = { 'x-request-id': 'id-1' };
  return new Promise((resolve) =>
    calls.grpc('auth', '/a.B/C', Buffer.from('ask'), { timeoutMs, metadata, done: resolve }),
  );
}

async function listening(server: Server | Http2Server | ReturnType<typeof createTcpServer>): Promise<number> {
  server.listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  closers.push(() => server.close());
  const address = server.address();
  return typeof address === 'object' && address !== null ? (address satisfies AddressInfo).port : 0;
}

const httpServer = (handle: RequestListener): Promise<number> => listening(createServer(handle));

async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) if (Buffer.isBuffer(chunk)) chunks.push(chunk);
  return Buffer.concat(chunks).toString('latin1');
}

describe('HTTP calls', () => {
  it('carry method, path, fields and body as bytes, and bring the answer as bytes', async () => {
    const seen: unknown[] = [];
    const port = await httpServer((request, response) => {
      void (async () => {
        const body = await bodyOf(request);
        seen.push([request.method, request.url, request.headers.host, request.headers['x-a'], body]);
        response.writeHead(
          403,
          [
            ['X-Why', 'caf\u00c3\u00a9'],
            ['set-cookie', 'a=1'],
            ['set-cookie', 'b=2'],
          ].flat(),
        );
        response.end('no\u00ff', 'latin1');
      })();
    });
    const { calls, endpoint, stat } = callerOf(port);
    const headers = [
      ['x-a', '1\u00e9'],
      ['connection', 'x'],
      ['expect', '100-continue'],
    ] as const;
    const result = await ask(calls, { ...REQUEST, method: 'POST', headers, body: Buffer.from([0x68, 0xff]) });
    expect(seen).toEqual([['POST', '/check?a=b', 'auth', '1\u00e9', 'h\u00ff']]);
    expect(result.kind).toBe('answered');
    if (result.kind !== 'answered') return;
    const { status, headers: got, body } = result.response;
    expect([status, body.toString('latin1')]).toEqual([403, 'no\u00ff']);
    expect(got.filter(([name]) => name === 'x-why' || name === 'set-cookie')).toEqual([
      ['x-why', 'caf\u00c3\u00a9'],
      ['set-cookie', 'a=1'],
      ['set-cookie', 'b=2'],
    ]);
    expect([endpoint.requestsTotal, endpoint.active, endpoint.connectionsTotal]).toEqual([1, 0, 1]);
    expect([stat('upstream_rq_4xx'), stat('remote_calls_active'), stat('remote_breaker_open')]).toEqual([1, 0, 0]);
  });

  it('use connections again, and ask once more when one that was kept is gone', async () => {
    let requests = 0;
    const port = await httpServer((request, response) => {
      if (++requests === 3) request.socket.destroy();
      else response.end('ok');
    });
    const { calls, endpoint } = callerOf(port);
    await ask(calls);
    await new Promise(setImmediate);
    await ask(calls);
    await new Promise(setImmediate);
    expect(endpoint.connectionsTotal).toBe(1);
    expect((await ask(calls)).kind).toBe('answered');
    expect([endpoint.connectionsTotal, requests]).toEqual([2, 4]);
  });

  it.each([
    ['nobody listens', 'none', 'ECONNREFUSED'],
    ['the server closes without an answer', 'close', 'connection closed'],
    ['the server answers what is no HTTP', 'garbage', /./],
    ['the server cuts its body', 'cut', 'connection closed'],
    ['the server is silent', 'silent', 'timeout'],
    ['the server answers too much', 'large', 'the response is too large'],
  ])('fail with a reason when %s', async (_name, behaviour, reason) => {
    const server = createTcpServer((socket) => {
      socket.on('error', () => {});
      socket.once('data', () => {
        if (behaviour === 'close') socket.end();
        else if (behaviour === 'garbage') socket.end('SSH-2.0-OpenSSH\r\n\r\n');
        else if (behaviour === 'cut') socket.end('HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc');
        else if (behaviour === 'large')
          socket.write(`HTTP/1.1 200 OK\r\ncontent-length: 2000\r\n\r\n${'a'.repeat(2000)}`);
      });
    });
    const port = await listening(server);
    if (behaviour === 'none') server.close();
    const { calls, endpoint } = callerOf(port);
    const result = await ask(calls, REQUEST, 200);
    expect(result).toEqual({ kind: 'failed', reason: expect.stringMatching(reason) });
    expect([endpoint.active, endpoint.failuresTotal]).toEqual([0, 1]);
  });

  it('fail at once without a cluster, and without a healthy endpoint', async () => {
    const { calls } = callerOf(1, { picker: { pick: () => null } });
    expect(await ask(calls, REQUEST, 0, 'none')).toEqual({ kind: 'failed', reason: 'no such cluster' });
    expect(await ask(calls)).toEqual({ kind: 'failed', reason: 'no healthy upstream' });
  });

  it('are cancelled: the server sees the connection go, and nobody is told', async () => {
    const gone = Promise.withResolvers<void>();
    const came = Promise.withResolvers<void>();
    const port = await httpServer((request) => {
      request.socket.once('close', () => gone.resolve());
      came.resolve();
    });
    const { calls, endpoint } = callerOf(port);
    let isTold = false;
    const call = calls.http('auth', REQUEST, { timeoutMs: 0, done: () => (isTold = true) });
    await came.promise;
    call.cancel();
    await gone.promise;
    expect([isTold, endpoint.active]).toEqual([false, 0]);
  });

  it('fail at once behind an open breaker, until a probe is answered', async () => {
    let isBad = true;
    let requests = 0;
    const port = await httpServer((request, response) => {
      requests++;
      if (isBad) request.socket.destroy();
      else response.end();
    });
    const { calls, stat } = callerOf(port);
    for (let i = 0; i < 25; i++) await ask(calls);
    expect(stat('remote_breaker_open')).toBe(1);
    const before = requests;
    expect(await ask(calls)).toEqual({ kind: 'failed', reason: 'breaker open' });
    expect(requests).toBe(before);
    expect(stat('remote_breaker_refused')).toBeGreaterThan(0);
    isBad = false;
    await expect.poll(async () => (await ask(calls)).kind, { timeout: 5000, interval: 100 }).toBe('answered');
    expect(stat('remote_breaker_open')).toBe(0);
  });
});

function grpcFrame(text: string): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(text.length, 1);
  return Buffer.concat([head, Buffer.from(text)]);
}

async function grpcServer(
  handle: (stream: ServerHttp2Stream, headers: Record<string, unknown>) => void,
): Promise<number> {
  const server = createH2Server();
  server.on('stream', handle);
  return listening(server);
}

describe('gRPC calls', () => {
  it('carry message and metadata over one connection that is kept', async () => {
    const seen: unknown[] = [];
    const port = await grpcServer((stream, headers) => {
      seen.push([headers[':path'], headers[':authority'], headers['x-request-id'], headers['grpc-timeout']]);
      stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
      stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
      stream.end(grpcFrame('answer'));
    });
    const { calls, endpoint } = callerOf(port);
    const results = [await askGrpc(calls), ...(await Promise.all([askGrpc(calls), askGrpc(calls)]))];
    for (const result of results) {
      expect(result.kind === 'answered' ? Buffer.from(result.message).toString() : result).toBe('answer');
    }
    expect(seen[0]).toEqual(['/a.B/C', 'auth', 'id-1', '2000m']);
    expect([endpoint.connectionsTotal, endpoint.requestsTotal, endpoint.active]).toEqual([1, 3, 0]);
  });

  it.each([
    ['a status', 7, 'PermissionDenied', { kind: 'failed', status: 7, reason: 'no' }],
    ['unavailable', 14, 'no', { kind: 'failed', status: 14, reason: 'no' }],
  ])('end with the status that the server says: %s', async (_name, status, _text, expected) => {
    const port = await grpcServer((stream) => {
      const head = { ':status': 200, 'content-type': 'application/grpc', 'grpc-status': String(status) };
      stream.respond({ ...head, 'grpc-message': 'no' }, { endStream: true });
    });
    expect(await askGrpc(callerOf(port).calls)).toEqual(expected);
  });

  it('fail when nobody listens, when the server is silent, and go on when it is back', async () => {
    const first = createH2Server();
    const port = await listening(first);
    const { calls } = callerOf(port);
    expect(await askGrpc(calls, 100)).toEqual({ kind: 'failed', status: 4, reason: 'timeout' });
    calls.close();
    first.close();
    const closed = callerOf(port).calls;
    expect(await askGrpc(closed)).toEqual({ kind: 'failed', status: 14, reason: 'ECONNREFUSED' });
    const second = createH2Server();
    second.on('stream', (stream: ServerHttp2Stream) => {
      stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
      stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
      stream.end(grpcFrame('back'));
    });
    second.listen(port, '127.0.0.1');
    await new Promise((resolve) => second.once('listening', resolve));
    closers.push(() => second.close());
    expect((await askGrpc(closed)).kind).toBe('answered');
  });
});

it('a gRPC connection whose other side is gone without a word is given up soon after a call had no answer', async () => {
  const target = await grpcServer((stream) => respond(stream, grpcFrame('answer')));
  let isCut = false;
  const sockets: Socket[] = [];
  const way = createTcpServer((near) => {
    const far = connectTcp(target, '127.0.0.1');
    sockets.push(near, far);
    // What came before the cut stays open and silent.
    const wasCut = isCut;
    const pass = (to: Socket) => (bytes: Buffer) => void (isCut === wasCut && to.write(bytes));
    near.on('data', pass(far)).on('error', () => {});
    far.on('data', pass(near)).on('error', () => {});
  });
  closers.push(() => sockets.forEach((socket) => socket.destroy()));
  const { calls } = callerOf(await listening(way));
  expect((await askGrpc(calls)).kind).toBe('answered');
  isCut = true;
  const startMs = performance.now();
  expect(await askGrpc(calls, 100)).toEqual({ kind: 'failed', status: 4, reason: 'timeout' });
  await expect.poll(async () => (await askGrpc(calls, 100)).kind, { timeout: 5000, interval: 300 }).toBe('answered');
  expect(performance.now() - startMs).toBeLessThan(5000);
});

describe('many answers at a time that do not end', () => {
  const LARGE = 1024 * 1024 - 100;

  it('take no more memory together than their endpoint may, over HTTP', async () => {
    const port = await httpServer((request, response) => {
      if (request.url === '/small') return response.end('ok');
      response.writeHead(200, { 'content-length': LARGE });
      return response.write(Buffer.alloc(LARGE - 1));
    });
    const { calls } = callerOf(port);
    const options = { timeoutMs: 60_000, bytesMax: 1024 * 1024 };
    const reasons: string[] = [];
    const under = Array.from({ length: 40 }, () =>
      calls.http('auth', REQUEST, {
        ...options,
        done: (result) => reasons.push(result.kind === 'failed' ? result.reason : ''),
      }),
    );
    await expect.poll(() => reasons.length, { timeout: 5000 }).toBe(8);
    expect(new Set(reasons)).toEqual(new Set(['the responses under way are too large']));
    for (const call of under) call.cancel();
    expect((await ask(calls, { ...REQUEST, path: '/small' })).kind).toBe('answered');
    const again = await new Promise<RemoteHttpResult>((resolve) =>
      calls.http('auth', REQUEST, { ...options, timeoutMs: 500, done: resolve }),
    );
    expect(again).toEqual({ kind: 'failed', reason: 'timeout' });
  });

  it.each([
    ['in the middle of a message', LARGE - 1],
    ['after it', LARGE],
  ])('take no more memory together than their endpoint may, over gRPC, %s', async (_name, sent) => {
    const port = await grpcServer((stream) => {
      stream.on('error', () => {});
      stream.respond({ ':status': 200, 'content-type': 'application/grpc' });
      const head = Buffer.alloc(5);
      head.writeUInt32BE(LARGE, 1);
      stream.write(head);
      stream.write(Buffer.alloc(sent));
    });
    const { calls } = callerOf(port);
    const reasons: string[] = [];
    const under = Array.from({ length: 40 }, () =>
      calls.grpc('auth', '/a.B/C', Buffer.from('ask'), {
        timeoutMs: 60_000,
        done: (result) => reasons.push(result.kind === 'failed' ? result.reason : ''),
      }),
    );
    await expect.poll(() => reasons.length, { timeout: 5000 }).toBe(8);
    expect(reasons.every((reason) => reason.includes('under way are'))).toBe(true);
    for (const call of under) call.cancel();
    expect(await askGrpc(calls, 300)).toEqual({ kind: 'failed', status: 4, reason: 'timeout' });
  });
});
