// What a Wire promises, for each of its kinds: over the bare handle that a server accepts, over a
// net.Socket's handle, and over net.Socket by its public interface. Peers are real sockets.
import { mkdtempSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { internals } from '../../src/sidecar/stream-handle.ts';
import { HandleWire } from '../../src/sidecar/handle-wire.ts';
import { SocketWire } from '../../src/sidecar/socket-wire.ts';
import { dial } from '../../src/sidecar/wire-dial.ts';
import { acceptWires, wireOf } from '../../src/sidecar/wire-socket.ts';
import type { Wire, WireUser } from '../../src/sidecar/wire.ts';
import { listen } from '../support/free-port.ts';
import { until } from '../support/until.ts';

const open: (() => unknown)[] = [];
afterEach(() => {
  for (const close of open.splice(0).toReversed()) close();
});

/** Writes down what a wire tells, and does what it is given to do with bytes. */
class Witness implements WireUser {
  readonly told: string[] = [];
  text = '';
  bytes = 0;
  act: (bytes: Buffer) => void = () => {};

  onWireBytes(bytes: Buffer): void {
    this.bytes += bytes.length;
    if (this.bytes < 1000) this.text += bytes.toString('latin1');
    this.act(bytes);
  }

  onWireEnd(): void {
    this.told.push('end');
  }

  onWireDrain(): void {
    this.told.push('drain');
  }

  onWireClose(cause: string): void {
    this.told.push(`close ${cause}`);
  }
}

interface Pair {
  readonly wire: Wire;
  readonly peer: Socket;
  readonly user: Witness;
}

const KINDS: readonly {
  readonly kind: string;
  readonly accept: (server: Server, take: (wire: Wire) => void) => void;
}[] = [
  { kind: 'a handle', accept: (server, take) => acceptWires(server, take, () => {}) },
  { kind: "a socket's handle", accept: (server, take) => server.on('connection', (socket) => take(wireOf(socket))) },
  { kind: 'a socket', accept: (server, take) => server.on('connection', (socket) => take(new SocketWire(socket))) },
];

async function aPair(accept: (typeof KINDS)[number]['accept']): Promise<Pair> {
  const server = createServer({ allowHalfOpen: true });
  open.push(() => server.close());
  const port = await listen(server);
  const accepted = new Promise<Wire>((resolve) => accept(server, resolve));
  const peer = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  peer.on('error', () => {});
  open.push(() => peer.destroy());
  await new Promise((resolve) => peer.once('connect', resolve));
  const wire = await accepted;
  const user = new Witness();
  wire.user = user;
  open.push(() => wire.destroy());
  return { wire, peer, user };
}

async function textOf(peer: Socket): Promise<string> {
  let text = '';
  for await (const bytes of peer) text += String(bytes);
  return text;
}

describe.each(KINDS)('over $kind', ({ kind, accept }) => {
  test('nothing is read before the wire is resumed, and nothing after it is paused', async () => {
    const { wire, peer, user } = await aPair(accept);
    peer.write('one');
    expect([wire.isPaused, user.text]).toEqual([true, '']);
    wire.resume();
    await until('bytes', () => user.text === 'one');
    wire.pause();
    const written = new Promise((resolve) => peer.write('two', resolve));
    await written;
    expect([wire.isPaused, user.text]).toEqual([true, 'one']);
    wire.resume();
    await until('bytes', () => user.text === 'onetwo');
  });

  test('texts, bytes and pieces arrive in order, and the end after them', async () => {
    const { wire, peer } = await aPair(accept);
    const big = Buffer.alloc(200_000, 'b');
    expect(wire.writeText('caf\u00e9 ')).toBe(true);
    wire.writeBytes(Buffer.from('bytes '));
    wire.writePieces('<', Buffer.from('small'), '>');
    wire.writePieces('[', big, ']');
    wire.writePieces('', Buffer.from('last'), '');
    wire.end();
    wire.writeText('never');
    peer.setEncoding('latin1');
    expect(await textOf(peer)).toBe(`caf\u00e9 bytes <small>[${big.toString()}]last`);
  });

  test('the end of the peer leaves writing open; both ends over, it closes by itself, once', async () => {
    const { wire, peer, user } = await aPair(accept);
    wire.resume();
    peer.end('question');
    await until('end', () => user.told.length === 1);
    wire.writeText('answer');
    wire.end();
    expect(await textOf(peer)).toBe('answer');
    await until('close', () => user.told.length === 2);
    expect([user.text, user.told, wire.isClosed]).toEqual(['question', ['end', 'close '], true]);
  });

  test('a slow peer makes a write return false, and what it takes later brings one drain', async () => {
    const { wire, peer, user } = await aPair(accept);
    const block = Buffer.alloc(1 << 20, 'x');
    let written = 0;
    do written += block.length;
    while (wire.writeBytes(block));
    expect(wire.bufferedBytes).toBeGreaterThan(0);
    expect(user.told).toEqual([]);
    let read = 0;
    peer.on('data', (bytes) => (read += bytes.length));
    await until('all bytes', () => read === written);
    await until('drain', () => user.told.length > 0);
    expect([user.told, wire.bufferedBytes]).toEqual([['drain'], 0]);
  });

  test('a reset by the peer is one close with its code', async () => {
    const { wire, peer, user } = await aPair(accept);
    wire.resume();
    peer.resetAndDestroy();
    await until('close', () => user.told.length > 0);
    expect([user.told, wire.isClosed]).toEqual([['close ECONNRESET'], true]);
    expect([wire.writeText('late'), wire.writeBytes(Buffer.from('late'))]).toEqual([false, false]);
  });

  test('a reset of ours is a reset for the peer', async () => {
    const { wire, peer, user } = await aPair(accept);
    const failed = new Promise((resolve) => peer.once('error', resolve));
    wire.reset();
    wire.reset();
    expect(await failed).toMatchObject({ code: 'ECONNRESET' });
    await until('close', () => user.told.length > 0);
    expect(user.told).toEqual(['close ']);
  });

  test('destroyed in the middle of its bytes it says nothing but the close, and that later', async () => {
    const { wire, peer, user } = await aPair(accept);
    user.act = () => {
      wire.destroy();
      wire.destroy();
      wire.pause();
      wire.resume();
      wire.end();
      user.told.push('destroyed');
    };
    wire.resume();
    peer.end('bytes');
    await until('close', () => user.told.length > 1);
    expect(user.told).toEqual(['destroyed', 'close ']);
  });

  test('bytes that are written on while they are read arrive whole at a slow peer', async () => {
    const from = await aPair(accept);
    const to = await aPair(accept);
    from.user.act = (bytes) => {
      if (!to.wire.writeBytes(bytes)) from.wire.pause();
    };
    to.user.onWireDrain = () => from.wire.resume();
    from.wire.resume();
    // Numbered blocks: a buffer that was used again too early would show.
    const sent = Buffer.alloc(32 << 20);
    for (let i = 0; i < sent.length; i += 4) sent.writeUInt32LE(i, i);
    from.peer.write(sent);
    await until('back-pressure', () => to.wire.bufferedBytes > 0);
    const got: Buffer[] = [];
    let size = 0;
    to.peer.on('data', (bytes: Buffer) => {
      got.push(bytes);
      size += bytes.length;
    });
    await until('all bytes', () => size === sent.length);
    expect(Buffer.concat(got).equals(sent)).toBe(true);
  });

  test('it knows both addresses', async () => {
    const { wire, peer } = await aPair(accept);
    expect([wire.remoteAddress, wire.remotePort, wire.localAddress, wire.localPort]).toEqual([
      '127.0.0.1',
      peer.localPort,
      '127.0.0.1',
      peer.remotePort,
    ]);
    expect(wire.fd).toBeGreaterThan(0);
  });

  test('given away, it is a socket that reads and writes, and the old user hears nothing', async () => {
    const { wire, peer, user } = await aPair(accept);
    if (kind === "a socket's handle") return;
    const socket = wire.toSocket();
    open.push(() => socket.destroy());
    socket.on('data', (bytes) => socket.write(`got ${bytes.toString()}`));
    socket.resume();
    peer.write('bytes');
    const answer = new Promise((resolve) => peer.once('data', (bytes) => resolve(bytes.toString())));
    expect(await answer).toBe('got bytes');
    socket.destroy();
    await new Promise((resolve) => peer.once('end', resolve).resume());
    expect([user.told, user.text]).toEqual([[], '']);
  });
});

describe('dialling', () => {
  test.each(['127.0.0.1', '::1', 'a path'])('%s connects', async (address) => {
    const server = createServer((socket) => socket.end('hello'));
    open.push(() => server.close());
    const path = join(mkdtempSync(join(tmpdir(), 'wire-')), 'socket');
    if (address === 'a path') await new Promise<void>((resolve) => server.listen(path, resolve));
    const port = address === 'a path' ? 0 : await listenOn(server, address);
    const wire = await outcome(port === 0 ? path : address, port);
    if (typeof wire === 'string') throw new Error(wire);
    const user = new Witness();
    wire.user = user;
    wire.resume();
    await until('end', () => user.told.includes('end'));
    expect([wire instanceof HandleWire, user.text]).toEqual([internals !== null, 'hello']);
    wire.destroy();
  });

  test('a refusal is its code', async () => {
    const server = createServer();
    const port = await listen(server);
    await new Promise((resolve) => server.close(resolve));
    expect(await outcome('127.0.0.1', port)).toBe('ECONNREFUSED');
    expect(await outcome('255.255.255.255', port)).toMatch(/^E[A-Z]+$/);
  });

  test('a cancelled dial calls nobody', async () => {
    const accepted: Socket[] = [];
    const server = createServer((socket) => accepted.push(socket.on('error', () => {})));
    open.push(() => server.close());
    const port = await listen(server);
    const calls: string[] = [];
    const one = dial(
      { address: '127.0.0.1', port, sourceAddress: '' },
      { onDialled: () => calls.push('one'), onDialFailed: () => calls.push('one') },
    );
    one.cancel();
    one.cancel();
    const wire = await outcome('127.0.0.1', port);
    if (typeof wire !== 'string') wire.destroy();
    expect(calls).toEqual([]);
  });
});

function outcome(address: string, port: number): Promise<Wire | string> {
  return new Promise((resolve) =>
    dial({ address, port, sourceAddress: '' }, { onDialled: resolve, onDialFailed: resolve }),
  );
}

function listenOn(server: Server, host: string): Promise<number> {
  return new Promise((resolve) => {
    server.listen(0, host, () => {
      const address = server.address();
      resolve(typeof address === 'object' && address !== null ? address.port : 0);
    });
  });
}
