// A change of protocol on an HTTP/1.1 connection, over real sockets: who may, what the upstream sees, and how
// the two ends of a tunnel learn of each other's end.
import { createServer, type Server, type Socket } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { FLAGS } from '../../src/plan/response-flags.ts';
import { listen } from '../support/free-port.ts';
import { RawClient } from '../support/raw-client.ts';
import { until } from '../support/until.ts';
import { startDataPlane, type DataPlane, type DataPlaneOptions } from './data-plane.ts';

const open: (() => void | Promise<void>)[] = [];

afterEach(async () => {
  for (const close of open.splice(0).toReversed()) await close();
});

const OFFER = 'GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n';
const AGREED = 'HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n';

/** An upstream that hands over each socket with the head it got, and everything that came behind it. */
class TunnelEnd {
  readonly heads: string[] = [];
  readonly sockets: Socket[] = [];
  received = '';
  /** Everything, the heads included. */
  raw = '';
  hasEnded = false;
  isClosed = false;
  answer = AGREED;
  readonly #server: Server;
  port = 0;

  private constructor() {
    this.#server = createServer({ allowHalfOpen: true }, (socket) => this.#serve(socket));
  }

  static async start(): Promise<TunnelEnd> {
    const end = new TunnelEnd();
    end.port = await listen(end.#server);
    return end;
  }

  #serve(socket: Socket): void {
    this.sockets.push(socket);
    let text = '';
    let isOpen = false;
    socket.on('data', (bytes: Buffer) => {
      this.raw += bytes.toString('latin1');
      if (isOpen) {
        this.received += bytes.toString('latin1');
        return;
      }
      text += bytes.toString('latin1');
      const end = text.indexOf('\r\n\r\n');
      if (end === -1) return;
      this.heads.push(text.slice(0, end + 4));
      isOpen = this.answer.startsWith('HTTP/1.1 101') || text.startsWith('CONNECT');
      this.received += text.slice(end + 4);
      text = '';
      socket.write(this.answer);
    });
    socket.on('end', () => (this.hasEnded = true));
    socket.on('error', () => (this.isClosed = true));
    socket.on('close', () => (this.isClosed = true));
  }

  async close(): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    await new Promise((done) => this.#server.close(done));
  }
}

interface Bench {
  readonly plane: DataPlane;
  readonly upstream: TunnelEnd;
  readonly client: RawClient;
}

async function aBench(options: DataPlaneOptions = {}): Promise<Bench> {
  const upstream = await TunnelEnd.start();
  open.push(() => upstream.close());
  const plane = await startDataPlane(upstream.port, options);
  open.push(() => plane.close());
  const client = await RawClient.connect(plane.port, true);
  open.push(() => client.close());
  return { plane, upstream, client };
}

/** Sends an offer and reads the 101. */
async function agree(client: RawClient): Promise<string> {
  client.socket.write(OFFER);
  const head = await untilText(client, '\r\n\r\n');
  expect(head).toMatch(/^HTTP\/1\.1 101 /);
  return head;
}

/** Reads byte by byte until the text ends with `end`. */
async function untilText(client: RawClient, end: string): Promise<string> {
  let text = '';
  while (!text.endsWith(end)) text += (await client.bytes(1)).toString('latin1');
  return text;
}

test('both heads say so, and bytes pass both ways as they come', async () => {
  const { upstream, client } = await aBench();
  const head = (await agree(client)).toLowerCase();
  expect([head.includes('connection: upgrade'), head.includes('upgrade: websocket')]).toEqual([true, true]);
  expect(head).not.toMatch(/content-length|transfer-encoding|connection: close/);
  const sent = upstream.heads[0] ?? '';
  expect([/^connection: upgrade\r$/m.test(sent), /^upgrade: websocket\r$/m.test(sent)]).toEqual([true, true]);
  client.socket.write('GET / not http\r\n');
  await until('the bytes arrived', () => upstream.received === 'GET / not http\r\n');
  upstream.sockets[0]?.write(Buffer.from([0, 0xff, 0x0d]));
  expect(await client.bytes(3)).toEqual(Buffer.from([0, 0xff, 0x0d]));
});

test('bytes behind the offer wait for the 101, and bytes behind the 101 reach the client', async () => {
  const { upstream, client } = await aBench();
  upstream.answer = '';
  client.socket.write(`${OFFER}early`);
  await until('the head arrived', () => upstream.heads.length === 1);
  client.socket.write(' bird');
  await new Promise((done) => setTimeout(done, 50));
  expect(upstream.received).toBe('');
  upstream.sockets[0]?.write(`${AGREED}first`);
  expect(await untilText(client, 'first')).toMatch(/^HTTP\/1\.1 101 /);
});

test('early bytes are handed on once the upstream has agreed', async () => {
  const { upstream, client } = await aBench();
  client.socket.write(`${OFFER}early`);
  await until('they arrived', () => upstream.received === 'early');
});

test('a refusal is an ordinary response, and the last one, whenever more bytes come', async () => {
  const { upstream, client } = await aBench();
  upstream.answer = 'HTTP/1.1 400 Bad Request\r\nContent-Length: 2\r\n\r\nno';
  const [first] = await client.exchange({ pieces: [OFFER], methods: ['GET'] });
  expect([first?.status, first?.body.toString()]).toEqual([400, 'no']);
  expect(await client.closesWithin(3000)).toBe(true);
});

test('what came behind an offer that was refused is never taken for a request', async () => {
  const { upstream, client } = await aBench();
  upstream.answer = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';
  const [response] = await client.exchange({
    pieces: [`${OFFER}GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n`],
    methods: ['GET'],
  });
  expect(response?.status).toBe(200);
  expect(await client.closesWithin(3000)).toBe(true);
  expect(upstream.heads).toHaveLength(1);
});

test.each<[string, string, DataPlaneOptions, number | null]>([
  ['a protocol that nobody configured', OFFER.replace('websocket', 'tls/1.3'), {}, 403],
  ['any protocol where none is configured', OFFER, { manager: { upgrades: null } }, 403],
  ['a body with the offer', OFFER.replace('\r\n\r\n', '\r\nContent-Length: 1\r\n\r\nx'), {}, 400],
  ['h2c is left out', OFFER.replace('websocket', 'h2c'), {}, null],
  ['HTTP/1.0 has no upgrades', OFFER.replace('HTTP/1.1', 'HTTP/1.0'), {}, null],
  ['Connection does not say so', OFFER.replace('Connection: Upgrade\r\n', ''), {}, null],
])('%s', async (_, text, options, status) => {
  const { upstream, client } = await aBench(options);
  upstream.answer = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';
  const [response] = await client.exchange({ pieces: [text], methods: ['GET'] });
  expect(response?.status).toBe(status ?? 200);
  expect(upstream.heads).toHaveLength(status === null ? 1 : 0);
  expect(upstream.heads[0] ?? '').not.toMatch(/^(connection|upgrade):/im);
});

test.each([
  ['in another case', 'Upgrade: WebSocket', 'upgrade: WebSocket'],
  ['among others', 'Upgrade: h2c, foo/1, websocket', 'upgrade: websocket'],
])('an offer %s is taken', async (_, field, sent) => {
  const { upstream, client } = await aBench();
  client.socket.write(OFFER.replace('Upgrade: websocket', field));
  await untilText(client, '\r\n\r\n');
  expect(upstream.heads[0]).toContain(`\r\n${sent}\r\n`);
});

test.each([
  ['no field', 'HTTP/1.1 101 Switching Protocols\r\n\r\nEVIL'],
  ['another protocol', 'HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: foo\r\n\r\nEVIL'],
])('an upstream that agrees to %s: 502', async (_, answer) => {
  const { upstream, client } = await aBench();
  upstream.answer = answer;
  const [response] = await client.exchange({ pieces: [OFFER], methods: ['GET'] });
  expect([response?.status, response?.body.toString().includes('EVIL')]).toEqual([502, false]);
});

const TUNNEL = 'CONNECT far.test:5432 HTTP/1.1\r\nHost: far.test:5432\r\n\r\n';

function connectRules(isTerminated: boolean): DataPlaneOptions {
  return { upgrades: new Map([['connect', { isAllowed: true, isTerminated }]]) };
}

test('CONNECT that ends here opens a TCP connection and passes bytes as they come', async () => {
  const { plane, upstream, client } = await aBench(connectRules(true));
  client.socket.write(`${TUNNEL}hello`);
  expect(await untilText(client, '\r\n\r\n')).toMatch(
    /^HTTP\/1\.1 200 OK\r\n(?!.*(content-length|transfer-encoding))/is,
  );
  await until('the bytes arrived, and no head', () => upstream.raw === 'hello');
  upstream.sockets[0]?.end('bye');
  expect((await client.bytes(3)).toString()).toBe('bye');
  client.socket.end();
  await until('the exchange ended', () => plane.ended.length === 1);
  expect(plane.ended).toEqual([0]);
});

test('CONNECT that goes on is a CONNECT to the upstream, and its 2xx opens the tunnel', async () => {
  const { upstream, client } = await aBench(connectRules(false));
  upstream.answer = 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n';
  client.socket.write(TUNNEL);
  expect(await untilText(client, '\r\n\r\n')).not.toMatch(/content-length/i);
  expect(upstream.heads[0]).toMatch(/^CONNECT far\.test:5432 HTTP\/1\.1\r\nHost: far\.test:5432\r\n/);
  expect(upstream.heads[0]).not.toMatch(/content-length/i);
  client.socket.write('hello');
  await until('the bytes arrived', () => upstream.received === 'hello');
});

test.each<[string, DataPlaneOptions, string, number]>([
  ['is refused where it is not configured', {}, TUNNEL, 405],
  ['with a body is refused', connectRules(true), TUNNEL.replace('\r\n\r\n', '\r\nContent-Length: 1\r\n\r\nx'), 400],
  ['without a port is refused', connectRules(true), TUNNEL.replaceAll(':5432', ''), 400],
  ['that the upstream refuses is answered', connectRules(false), TUNNEL, 403],
])('CONNECT %s, and the connection closed', async (_, options, text, status) => {
  const { upstream, client } = await aBench(options);
  upstream.answer = 'HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n';
  const [response] = await client.exchange({
    pieces: [`${text}GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n`],
    methods: ['CONNECT'],
  });
  expect(response?.status).toBe(status);
  expect(await client.closesWithin(3000)).toBe(true);
  expect(upstream.heads.filter((head) => head.startsWith('GET'))).toEqual([]);
});

test.each(['client', 'upstream'] as const)(
  'a FIN of the %s passes through, and the other way stays open',
  async (by) => {
    const { plane, upstream, client } = await aBench();
    await agree(client);
    if (by === 'client') {
      client.socket.end('last');
      await until('the upstream saw the end', () => upstream.hasEnded && upstream.received === 'last');
      upstream.sockets[0]?.write('answer');
      expect((await client.bytes(6)).toString()).toBe('answer');
      upstream.sockets[0]?.end();
      expect(await client.closesWithin(1000)).toBe(true);
    } else {
      upstream.sockets[0]?.end('last');
      expect((await client.bytes(4)).toString()).toBe('last');
      expect(await client.closesWithin(1000)).toBe(true);
      client.socket.write('answer');
      await until('the upstream got it', () => upstream.received === 'answer');
      client.socket.end();
    }
    await until('the exchange ended', () => plane.ended.length === 1);
    await until('the upstream is closed', () => upstream.hasEnded);
    expect([plane.ended, plane.endpoint.active]).toEqual([[0], 0]);
    await until('the connection is gone', () => plane.endpoint.connectionsActive === 0);
  },
);

test('a client that vanishes takes the upstream along, once, with DC', async () => {
  const { plane, upstream, client } = await aBench();
  await agree(client);
  client.socket.resetAndDestroy();
  await until('the upstream is closed', () => upstream.hasEnded || upstream.isClosed);
  expect(plane.ended).toEqual([FLAGS.DC]);
});

test('an upstream that vanishes cuts the client, once, with UC', async () => {
  const { plane, upstream, client } = await aBench();
  await agree(client);
  upstream.sockets[0]?.resetAndDestroy();
  expect(await client.closesWithin(1000)).toBe(true);
  expect(plane.ended).toEqual([FLAGS.UC]);
});

test.each<[string, Partial<DataPlane['manager']>, number]>([
  ['nothing moves', { streamIdleTimeoutMs: 150 }, FLAGS.SI],
  ['it has lasted too long', { maxStreamDurationMs: 150 }, 0],
])('a tunnel is cut when %s', async (_, manager, flag) => {
  const { plane, upstream, client } = await aBench({ manager, timeoutMs: 50 });
  await agree(client);
  expect(await client.closesWithin(2000)).toBe(true);
  await until('the upstream is closed', () => upstream.hasEnded || upstream.isClosed);
  expect(plane.ended).toEqual([flag]);
});

test('a drain leaves tunnels alone until it ends', async () => {
  const { plane, upstream, client } = await aBench();
  await agree(client);
  plane.listener.drain();
  client.socket.write('still');
  await until('bytes pass', () => upstream.received === 'still');
  plane.listener.destroy();
  expect(await client.closesWithin(1000)).toBe(true);
  await until('the upstream is closed', () => upstream.hasEnded || upstream.isClosed);
});

test('a slow end holds back the other', async () => {
  const { upstream, client } = await aBench();
  await agree(client);
  const socket = upstream.sockets[0];
  socket?.pause();
  let sent = 0;
  const block = Buffer.alloc(64 * 1024, 'x');
  const isStuck = async (): Promise<boolean> => {
    const before = sent;
    await new Promise((done) => setTimeout(done, 200));
    return before === sent;
  };
  const pump = (): void => {
    while (client.socket.writableLength === 0 && sent < 256 * 1024 * 1024) {
      sent += block.length;
      if (!client.socket.write(block)) return void client.socket.once('drain', pump);
    }
  };
  pump();
  while (!(await isStuck())) await new Promise((done) => setTimeout(done, 50));
  expect(sent).toBeLessThan(64 * 1024 * 1024);
});
