// How long a client may take, how its connection ends, and what it gets to read before that: over real sockets.
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { REPLY } from '../../src/plan/plan.ts';
import { FLAGS } from '../../src/plan/response-flags.ts';
import { step } from '../../src/plan/step.ts';
import { listen } from '../support/free-port.ts';
import { RawClient } from '../support/raw-client.ts';
import { RawUpstream, raw } from '../support/raw-upstream.ts';
import { until } from '../support/until.ts';
import { startDataPlane, type DataPlane, type DataPlaneOptions } from './data-plane.ts';

const open: (() => void | Promise<void>)[] = [];

afterEach(async () => {
  for (const close of open.splice(0).toReversed()) await close();
});

interface Bench {
  readonly plane: DataPlane;
  readonly upstream: RawUpstream;
  readonly client: RawClient;
}

async function aBench(options: DataPlaneOptions = {}): Promise<Bench> {
  const upstream = await RawUpstream.start(['app']);
  open.push(() => upstream.close());
  const plane = await startDataPlane(upstream.ports.get('app') ?? 0, options);
  open.push(() => plane.close());
  const client = await RawClient.connect(plane.port);
  open.push(() => client.close());
  return { plane, upstream, client };
}

const GET = 'GET /a HTTP/1.1\r\nHost: a\r\n\r\n';
const HALF = 'POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf';
const EXPECTING = 'POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n';

describe('a client that is slow to ask', () => {
  const SLOW: readonly {
    readonly name: string;
    readonly text: string;
    readonly manager: Partial<DataPlane['manager']>;
    readonly body: string;
    readonly flags: number;
  }[] = [
    {
      name: 'half a head',
      text: 'GET / HT',
      manager: { requestHeadersTimeoutMs: 80 },
      body: 'request header timeout',
      flags: 0,
    },
    {
      name: 'half a head of a request',
      text: 'GET / HT',
      manager: { requestTimeoutMs: 80 },
      body: 'request timeout',
      flags: 0,
    },
    { name: 'half a body', text: HALF, manager: { requestTimeoutMs: 80 }, body: 'request timeout', flags: 0 },
    {
      name: 'half a body, nothing moves',
      text: HALF,
      manager: { streamIdleTimeoutMs: 80 },
      body: 'stream timeout',
      flags: FLAGS.SI,
    },
    {
      name: 'half a body, for too long',
      text: HALF,
      manager: { maxStreamDurationMs: 80 },
      body: 'downstream duration timeout',
      flags: 0,
    },
  ];

  test.each(SLOW)('$name: 408 and the connection closed', async ({ text, manager, body, flags }) => {
    const { plane, client } = await aBench({ manager });
    const [response] = await client.exchange({ pieces: [text], methods: ['GET'] });
    expect([response?.status, response?.body.toString()]).toEqual([408, body]);
    expect(await client.closesWithin(1500)).toBe(true);
    expect(plane.ended).toEqual([flags]);
  });

  test('one byte now and then does not buy more time for the head', async () => {
    const { client } = await aBench({ manager: { requestHeadersTimeoutMs: 150 } });
    const timer = setInterval(() => client.socket.write('x'), 20);
    open.push(() => clearInterval(timer));
    client.socket.write('GET / HTTP/1.1\r\nHost: a\r\nX: ');
    const [response] = await client.exchange({ pieces: [], methods: ['GET'] });
    expect(response?.status).toBe(408);
  });

  test('a request that came in time may be answered late', async () => {
    const { upstream, client } = await aBench({ manager: { requestTimeoutMs: 80, requestHeadersTimeoutMs: 80 } });
    upstream.answer = { kind: 'late', afterMs: 200 };
    const [response] = await client.exchange({ pieces: [GET], methods: ['GET'] });
    expect(response?.status).toBe(200);
  });
});

describe('a client that is slow to read', () => {
  test('one that takes nothing is cut after the stream idle timeout', async () => {
    const { plane, upstream, client } = await aBench({ manager: { streamIdleTimeoutMs: 200 } });
    upstream.answer = { kind: 'stream', bodyBytes: 64 * 1024 * 1024 };
    client.socket.pause();
    client.socket.write(GET);
    await until('the exchange ended', () => plane.ended.length === 1);
    expect([plane.ended, plane.endpoint.active]).toEqual([[FLAGS.SI], 0]);
  });

  test('a last answer that takes longer than the delayed close arrives whole', async () => {
    const { upstream, client } = await aBench({ manager: { delayedCloseMs: 50 } });
    upstream.answer = { kind: 'stream', bodyBytes: 16 * 1024 * 1024 };
    client.socket.write('GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
    let bytes = 0;
    const ended = new Promise<void>((done) => client.socket.once('close', () => done()));
    client.socket.removeAllListeners('data');
    client.socket.on('data', (piece: Buffer) => {
      bytes += piece.length;
      client.socket.pause();
      setTimeout(() => client.socket.resume(), 2);
    });
    client.socket.resume();
    await ended;
    expect(bytes).toBeGreaterThanOrEqual(16 * 1024 * 1024);
  });
});

describe('an answer before the request is complete', () => {
  test('is passed on at once, and the rest of a small body is read', async () => {
    const { upstream, client } = await aBench({ part: { onRequest: [refusing] } });
    const [response] = await client.exchange({ pieces: [HALF], methods: ['POST'] });
    expect(response?.status).toBe(401);
    const [next] = await client.exchange({ pieces: [`part.${GET}`], methods: ['GET'] });
    expect([next?.status, upstream.seen]).toEqual([401, []]);
  });

  test('reaches a client that goes on sending a large body', async () => {
    const { client } = await aBench({ part: { onRequest: [refusing] } });
    const block = Buffer.alloc(512 * 1024, 'x');
    const head = `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${4 * block.length}\r\n\r\n`;
    const [response] = await client.exchange({ pieces: [head, block, block, block, block], methods: ['POST'] });
    expect([response?.status, response?.body.toString()]).toEqual([401, 'no']);
    expect(await client.closesWithin(3000)).toBe(true);
  });

  test('of an upstream that closes while the upload goes on still arrives', async () => {
    const refusal = 'HTTP/1.1 413 Content Too Large\r\nconnection: close\r\ncontent-length: 2\r\n\r\nno';
    // It never reads more than the head: closing it resets the connection behind its answer.
    const curt = createServer({ pauseOnConnect: true }, (socket) => {
      socket.on('error', () => {});
      socket.once('data', () => {
        socket.pause();
        socket.write(refusal);
        socket.destroy();
      });
      socket.resume();
    });
    open.push(() => void curt.close());
    const plane = await startDataPlane(await listen(curt));
    open.push(() => plane.close());
    const block = Buffer.alloc(64 * 1024, 'x');
    for (let round = 0; round < 20; round++) {
      const client = await RawClient.connect(plane.port);
      open.push(() => client.close());
      const head = `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${400 * block.length}\r\n\r\n`;
      const pieces = [head + block.toString('latin1').repeat(400)];
      const [response] = await client.exchange({ pieces, methods: ['POST'] });
      expect([response?.status, response?.body.toString()]).toEqual([413, 'no']);
    }
  });

  test('a refused expectation is not met first, and ends the connection', async () => {
    const { client } = await aBench({ part: { onRequest: [refusing] } });
    const [response] = await client.exchange({ pieces: [EXPECTING], methods: ['POST'] });
    expect([response?.status, response?.interim]).toEqual([401, []]);
    expect(await client.closesWithin(1500)).toBe(true);
  });

  test('an expectation is passed on where the manager says so, and so is its 100', async () => {
    const { upstream, client } = await aBench({ manager: { proxiesContinue: true } });
    const [response] = await client.exchange({ pieces: [EXPECTING, 'hi'], methods: ['POST'] });
    expect([response?.status, upstream.seen[0]?.body.toString()]).toEqual([200, 'hi']);
    expect(upstream.seen[0]?.headers.map(([name]) => name.toLowerCase())).toContain('expect');
  });
});

const refusing = step(
  'refuse',
  'test',
  (x) => {
    x.response.status = 401;
    x.replyBody = 'no';
    return REPLY;
  },
  null,
);

describe('trailers', () => {
  const CHUNKED = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-Sum: 1\r\nHost: evil\r\n\r\n';

  test.each<[string, string, readonly (readonly [string, string])[]]>([
    ['a client that takes them gets them', 'Connection: TE\r\nTE: trailers\r\n', [['X-Sum', '1']]],
    ['a client that does not say so gets none', '', []],
  ])('%s', async (_, fields, trailers) => {
    const { upstream, client } = await aBench();
    upstream.answer = raw(CHUNKED);
    const text = `GET / HTTP/1.1\r\nHost: a\r\n${fields}\r\n`;
    const [response] = await client.exchange({ pieces: [text], methods: ['GET'] });
    expect([response?.body.toString(), response?.trailers]).toEqual(['hi', trailers]);
  });

  test.each([true, false])('those of a request go upstream when they may: %s', async (forwardsTrailers) => {
    const { upstream, client } = await aBench({ manager: { forwardsTrailers } });
    const text = 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-Sum: 1\r\n\r\n';
    await client.exchange({ pieces: [text], methods: ['POST'] });
    expect(upstream.seen[0]?.trailers).toEqual(forwardsTrailers ? [['X-Sum', '1']] : []);
  });
});

describe('the end of a connection', () => {
  test.each([0, 100])('a client that does not close is cut after %d ms', async (delayedCloseMs) => {
    const upstream = await RawUpstream.start(['app']);
    open.push(() => upstream.close());
    const plane = await startDataPlane(upstream.ports.get('app') ?? 0, {
      manager: { delayedCloseMs, maxRequestsPerConnection: 1 },
    });
    open.push(() => plane.close());
    const client = await RawClient.connect(plane.port, true);
    open.push(() => client.close());
    await client.exchange({ pieces: [GET], methods: ['GET'] });
    expect(await client.closesWithin(1000)).toBe(true);
    await until('the connection is gone', () => plane.listener.active === 0, 2000);
  });

  test('one of age gets its last answer, then the drain time', async () => {
    const { plane, client } = await aBench({ manager: { maxConnectionDurationMs: 100, drainMs: 400 } });
    await new Promise((done) => setTimeout(done, 200));
    expect(plane.listener.active).toBe(1);
    const [response] = await client.exchange({ pieces: [GET], methods: ['GET'] });
    expect([response?.status, response?.headers.find(([name]) => name === 'connection')?.[1]]).toEqual([200, 'close']);
    const quiet = await RawClient.connect(plane.port);
    open.push(() => quiet.close());
    const startMs = performance.now();
    expect(await quiet.closesWithin(2000)).toBe(true);
    expect(performance.now() - startMs).toBeGreaterThan(450);
  });

  // Somewhere between these sizes the kernel's buffers are full, and the last of the answer waits in ours.
  test.each(['keep-alive', 'close'])(
    'an answer that waits arrives whole after a FIN, and the next one, too: %s',
    async (kind) => {
      const { plane, upstream } = await aBench();
      const cut: string[] = [];
      let isTaken = true;
      for (let bodyBytes = 2_500_000; isTaken && bodyBytes < 12_000_000; bodyBytes += 60_000) {
        upstream.answer = { kind: 'stream', bodyBytes };
        upstream.streamed = 0;
        const socket = connect({ port: plane.port, host: '127.0.0.1', allowHalfOpen: true });
        open.push(() => void socket.destroy());
        socket.pause();
        socket.write(`GET / HTTP/1.1\r\nHost: a\r\nConnection: ${kind}\r\n\r\n`);
        await until('the upstream answers', () => upstream.streamed > 0);
        isTaken = await until('it is over', () => plane.manager.tally.requestsActive === 0, 200).catch(() => false);
        socket.end();
        await new Promise((done) => setTimeout(done, 5));
        let bytes = 0;
        socket.on('data', (piece: Buffer) => (bytes += piece.length));
        socket.resume();
        await once(socket, 'close');
        if (bytes < bodyBytes) cut.push(`${bytes} of ${bodyBytes}`);
      }
      expect([isTaken, cut]).toEqual([false, []]);
    },
  );

  test('max_requests_per_connection counts exactly, and says close on the last', async () => {
    const { upstream, client } = await aBench({ manager: { maxRequestsPerConnection: 2 } });
    const responses = await client.exchange({ pieces: [GET + GET + GET], methods: ['GET', 'GET', 'GET'] });
    expect(responses.map(({ headers }) => headers.some(([name]) => name === 'connection'))).toEqual([false, true]);
    expect(upstream.seen).toHaveLength(2);
  });
});
