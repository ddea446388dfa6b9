// Whole exchanges over real sockets: raw bytes in, raw bytes at the upstream, raw bytes back.
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, test } from 'vitest';
import { RawClient, type SeenResponse } from '../support/raw-client.ts';
import { RawUpstream, raw, reply, type Answer } from '../support/raw-upstream.ts';
import { until } from '../support/until.ts';
import { startDataPlane, type DataPlane, type DataPlaneOptions } from './data-plane.ts';

const open: (() => void | Promise<void>)[] = [];

afterEach(async () => {
  for (const close of open.splice(0).toReversed()) await close();
});

interface Bench {
  readonly plane: DataPlane;
  readonly upstream: RawUpstream;
  client(): Promise<RawClient>;
}

async function aBench(options: DataPlaneOptions = {}): Promise<Bench> {
  const upstream = await RawUpstream.start(['app']);
  open.push(() => upstream.close());
  const plane = await startDataPlane(upstream.ports.get('app') ?? 0, options);
  open.push(() => plane.close());
  const client = async (): Promise<RawClient> => {
    const made = await RawClient.connect(plane.port);
    open.push(() => made.close());
    return made;
  };
  return { plane, upstream, client };
}

const GET = 'GET /a HTTP/1.1\r\nHost: a\r\n\r\n';

async function ask(
  bench: Bench,
  pieces: readonly (string | Buffer)[],
  methods: readonly string[] = ['GET'],
): Promise<SeenResponse[]> {
  const client = await bench.client();
  return client.exchange({ pieces, methods });
}

function statuses(responses: readonly SeenResponse[]): number[] {
  return responses.map((response) => response.status);
}

describe('messages pass whole', () => {
  test.each([
    ['a length', 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello', 'length', 'hello'],
    [
      'chunks',
      'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\nT: r\r\n\r\n',
      'chunked',
      'hello',
    ],
    ['no body', GET, 'none', ''],
  ])('a request with %s, in one piece and in three', async (_, text, framing, body) => {
    const bench = await aBench();
    for (const pieces of [[text], [text.slice(0, 7), text.slice(7, 30), text.slice(30)]]) {
      bench.upstream.rewind();
      const client = await bench.client();
      const [response] = await client.exchange({ pieces, methods: ['POST'] });
      expect(response?.body.toString()).toBe('from app');
      expect(bench.upstream.seen.map((seen) => [seen.framing, seen.body.toString(), seen.isComplete])).toEqual([
        [framing, body, true],
      ]);
    }
  });

  test.each<[string, Answer, string, string]>([
    ['a length', reply('200 OK', [], 'hello'), 'length', 'hello'],
    ['chunks', raw('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n'), 'chunked', 'hello'],
    ['its end at close', raw('HTTP/1.1 200 OK\r\n\r\nhello', true), 'chunked', 'hello'],
    ['nothing', reply('204 No Content', [], null), 'none', ''],
    ['not modified', raw('HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n'), 'none', ''],
    [
      'pieces',
      { kind: 'pieces', pieces: ['HTTP/1.1 2', '00 OK\r\nContent-', 'Length: 5\r\n\r', '\nhel', 'lo'], gapMs: 5 },
      'length',
      'hello',
    ],
  ])('a response with %s', async (_, answer, framing, body) => {
    const bench = await aBench();
    bench.upstream.answer = answer;
    const [response] = await ask(bench, [GET]);
    expect([
      response?.framing === 'length' && body === '' ? 'none' : response?.framing,
      response?.body.toString(),
    ]).toEqual([framing, body]);
    const [next] = await ask(bench, [GET]);
    expect(next?.body.toString()).toBe(body);
  });

  test('a HEAD answer keeps its length and has no body', async () => {
    const bench = await aBench();
    const client = await bench.client();
    const text = 'HEAD / HTTP/1.1\r\nHost: a\r\n\r\n';
    const [first, second] = await client.exchange({ pieces: [text, text], methods: ['HEAD', 'HEAD'] });
    expect([first?.status, first?.body.length, second?.status]).toEqual([200, 0, 200]);
    expect(first?.headers.find(([name]) => name.toLowerCase() === 'content-length')?.[1]).toBe('8');
  });

  test('interim responses go through in order, then the final one', async () => {
    const bench = await aBench();
    bench.upstream.answer = raw(
      'HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n',
    );
    const [response] = await ask(bench, [GET]);
    expect([response?.status, response?.interim.map((head) => head.startLine)]).toEqual([
      200,
      ['HTTP/1.1 103 Early Hints'],
    ]);
  });

  test('a client that expects 100 gets it before the body, and the upstream does not see the wish', async () => {
    const bench = await aBench();
    const head = 'POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n';
    const [response] = await ask(bench, [head, 'hi'], ['POST']);
    expect([response?.status, response?.interim.length]).toEqual([200, 1]);
    expect(bench.upstream.seen[0]?.headers.some(([name]) => name.toLowerCase() === 'expect')).toBe(false);
  });

  test('4 MiB go both ways unchanged', async () => {
    const bench = await aBench();
    const body = Buffer.alloc(4 << 20);
    for (let i = 0; i < body.length; i += 4) body.writeUInt32LE(Math.imul(i, 2654435761) >>> 0, i);
    bench.upstream.answer = raw(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body.toString('latin1')}`);
    const head = `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n`;
    const [response] = await ask(bench, [Buffer.concat([Buffer.from(head), body])], ['POST']);
    expect(response?.body.equals(body)).toBe(true);
    expect(bench.upstream.seen[0]?.body.equals(body)).toBe(true);
  });
});

test('a slow client gets every byte, whatever the sidecar reads meanwhile', async () => {
  const bench = await aBench();
  // Pieces small enough that some wait in the client's socket without stopping the upstream.
  const piece = Buffer.alloc(24 * 1024);
  const pieces = Array.from({ length: 900 }, (_, i) => piece.fill(i % 251).toString('latin1'));
  const body = pieces.join('');
  const head = `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n`;
  bench.upstream.answer = { kind: 'pieces', pieces: [head, ...pieces], gapMs: 0 };
  const client = await bench.client();
  client.socket.write(GET);
  client.socket.pause();
  await until('the client is far behind', () => bench.plane.endpoint.active === 1);
  await sleep(1500);
  client.socket.resume();
  const [response] = await client.exchange({ pieces: [], methods: ['GET'] });
  expect(response?.body.toString('latin1') === body).toBe(true);
});

describe('connections', () => {
  test('requests share one upstream connection, and one downstream', async () => {
    const bench = await aBench();
    const client = await bench.client();
    for (let i = 0; i < 5; i++)
      expect(statuses(await client.exchange({ pieces: [GET], methods: ['GET'] }))).toEqual([200]);
    expect(bench.upstream.accepted.get('app')).toBe(1);
  });

  test('pipelined requests are answered in order', async () => {
    const bench = await aBench();
    const paths = ['/1', '/2', '/3', '/4'];
    const text = paths.map((path) => `POST ${path} HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx`).join('');
    expect(statuses(await ask(bench, [text], ['POST', 'POST', 'POST', 'POST']))).toEqual([200, 200, 200, 200]);
    expect(bench.upstream.seen.map((seen) => seen.target)).toEqual(paths);
  });

  test.each([
    ['Connection: close', 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'],
    ['HTTP/1.0', 'GET / HTTP/1.0\r\nHost: a\r\n\r\n'],
  ])('%s ends the connection after the answer', async (_, text) => {
    const bench = await aBench();
    const client = await bench.client();
    expect(statuses(await client.exchange({ pieces: [text], methods: ['GET'] }))).toEqual([200]);
    expect(await client.closesWithin(500)).toBe(true);
  });

  test('a connection that is over leaves no timer behind', async () => {
    const bench = await aBench();
    await ask(bench, [GET]);
    const before = bench.plane.engine.wheel.armed;
    for (let i = 0; i < 20; i++) {
      const client = await bench.client();
      await client.exchange({ pieces: ['GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'], methods: ['GET'] });
      await client.closesWithin(500);
      client.close();
    }
    await until('the timers are gone', () => bench.plane.engine.wheel.armed <= before, 500);
  });

  test('a client that half-closes still gets its answer', async () => {
    const bench = await aBench();
    bench.upstream.answer = { kind: 'late', afterMs: 50 };
    const client = await bench.client();
    client.socket.write(GET);
    client.socket.end();
    const [response] = await client.exchange({ pieces: [], methods: ['GET'] });
    expect(response?.status).toBe(200);
  });

  test('max_requests_per_connection closes an upstream connection after its last request', async () => {
    const bench = await aBench({ cluster: { maxRequestsPerConnection: 2 } });
    const client = await bench.client();
    for (let i = 0; i < 5; i++) await client.exchange({ pieces: [GET], methods: ['GET'] });
    expect(bench.upstream.accepted.get('app')).toBe(3);
  });

  test('an upstream that says close is not used again', async () => {
    const bench = await aBench();
    bench.upstream.answer = reply('200 OK', ['Connection: close'], 'x');
    const client = await bench.client();
    for (let i = 0; i < 3; i++) await client.exchange({ pieces: [GET], methods: ['GET'] });
    expect(bench.upstream.accepted.get('app')).toBe(3);
  });

  test('bytes after a response close the connection and never answer the next request', async () => {
    const bench = await aBench();
    bench.upstream.answer = raw(
      'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL',
    );
    const client = await bench.client();
    const bodies: string[] = [];
    for (let i = 0; i < 3; i++)
      bodies.push(...(await client.exchange({ pieces: [GET], methods: ['GET'] })).map((seen) => seen.body.toString()));
    expect(bodies).toEqual(['ok', 'ok', 'ok']);
    expect(bench.upstream.accepted.get('app')).toBe(3);
  });

  test('an idle upstream connection is closed after the idle timeout', async () => {
    const bench = await aBench({ cluster: { idleTimeoutMs: 200 } });
    await ask(bench, [GET]);
    expect(bench.plane.endpoint.connectionsActive).toBe(1);
    await until('the idle connection is closed', () => bench.plane.endpoint.connectionsActive === 0, 4000);
  });
});

describe('failures', () => {
  test.each<[string, Answer, number, string]>([
    ['closes', { kind: 'close' }, 503, 'UC'],
    ['resets', { kind: 'reset' }, 503, 'UC'],
    ['speaks another protocol', raw('220 smtp ready\r\n'), 502, 'UPE'],
    ['answers malformed', raw('HTTP/1.1 200 OK\r\nA b: c\r\nContent-Length: 0\r\n\r\n'), 502, 'UPE'],
    [
      'frames twice',
      raw('HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'),
      502,
      'UPE',
    ],
    ['switches protocols unasked', raw('HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n'), 502, 'UPE'],
  ])('an upstream that %s', async (_, answer, status, flag) => {
    const bench = await aBench();
    bench.upstream.answer = answer;
    const [response] = await ask(bench, [GET]);
    expect(response?.status).toBe(status);
    expect(response?.headers.find(([name]) => name === 'x-outrigger-error')?.[1]).toMatch(new RegExp(`^${flag};`));
  });

  test('nobody listens: 503 with UF', async () => {
    const bench = await aBench();
    await bench.upstream.close();
    const [response] = await ask(bench, [GET]);
    expect([response?.status, response?.body.toString()]).toEqual([
      503,
      'upstream connect error or disconnect/reset before headers. reset reason: remote connection failure',
    ]);
  });

  test('a slow upstream: 504 with UT when the route allows no more', async () => {
    const bench = await aBench({ timeoutMs: 100 });
    bench.upstream.answer = { kind: 'hang' };
    const startMs = performance.now();
    const [response] = await ask(bench, [GET]);
    expect([response?.status, response?.body.toString()]).toEqual([504, 'upstream request timeout']);
    expect(performance.now() - startMs).toBeGreaterThanOrEqual(99);
  });

  test('a response that is cut never looks complete', async () => {
    const bench = await aBench();
    for (const bytes of [
      'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello',
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n',
    ]) {
      bench.upstream.answer = raw(bytes, true);
      const [response] = await ask(bench, [GET]);
      expect(response?.isComplete).toBe(false);
    }
  });

  test('a client that goes away takes its upstream request along', async () => {
    const bench = await aBench();
    bench.upstream.answer = { kind: 'hang' };
    const client = await bench.client();
    client.socket.write(GET);
    await until('the request arrived', () => bench.upstream.seen.length === 1);
    client.socket.resetAndDestroy();
    await until('the exchange ended', () => bench.plane.ended.length === 1);
    expect([bench.plane.endpoint.active, bench.plane.endpoint.connectionsActive]).toEqual([0, 0]);
  });

  test('a malformed body cuts the upstream and answers 400', async () => {
    const bench = await aBench();
    const client = await bench.client();
    const [response] = await client.exchange({
      pieces: ['POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello', 'XX'],
      methods: ['POST'],
    });
    expect(response?.status).toBe(400);
    expect(await client.closesWithin(2000)).toBe(true);
    expect(bench.upstream.seen.filter((seen) => seen.isComplete)).toEqual([]);
  });

  test.each([
    ['a bare LF', 'GET / HTTP/1.1\nHost: a\n\n', 400],
    [
      'both framings',
      'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
      400,
    ],
    ['too many fields', `GET / HTTP/1.1\r\nHost: a\r\n${'x: y\r\n'.repeat(100)}\r\n`, 431],
    ['HTTP/2.0 by name', 'GET / HTTP/2.0\r\nHost: a\r\n\r\n', 505],
    ['CONNECT', 'CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n', 405],
  ])('%s is refused, the connection closed, and nothing forwarded', async (_, text, status) => {
    const bench = await aBench();
    const client = await bench.client();
    const [response] = await client.exchange({ pieces: [text], methods: ['GET'] });
    expect(response?.status).toBe(status);
    expect(await client.closesWithin(2000)).toBe(true);
    expect(bench.upstream.seen).toEqual([]);
  });

  test('onEnd runs once for every exchange, however it ended', async () => {
    const bench = await aBench({ timeoutMs: 100 });
    await ask(bench, [GET]);
    for (const answer of [
      { kind: 'close' },
      { kind: 'hang' },
      raw('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx', true),
    ] as const) {
      bench.upstream.answer = answer;
      await ask(bench, [GET]);
    }
    await ask(bench, ['bad\r\n\r\n']);
    expect(bench.plane.ended).toHaveLength(5);
  });
});
