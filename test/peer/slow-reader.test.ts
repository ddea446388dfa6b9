// A large response to a client that reads slowly must wait at the upstream, not in the sidecar's memory.
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { usageOf } from '../support/process-usage.ts';
import { RawClient } from '../support/raw-client.ts';
import { connect, type Socket } from 'node:net';
import { startSide, type Side } from './side.ts';

const MEBIBYTE = 1024 * 1024;
const SECONDS = 10;
const READS_PER_SECOND = 20;
const GROWTH_BYTES_MAX = 32 * MEBIBYTE;

let side: Side | null = null;
beforeAll(async () => {
  side = await startSide('outrigger', 'framing');
});
afterAll(() => side?.stop());

test('a 1 GiB response to a client that reads 1 MiB/s for 10 s makes the sidecar grow by less than 32 MiB', async () => {
  if (side === null) throw new Error('the sidecar did not start');
  const port = side.ports.get('listen.main') ?? 0;
  await warmUp(side, port);
  const before = usageOf(side.child.pid).residentBytes;

  side.upstream.answer = { kind: 'stream', bodyBytes: 1024 * MEBIBYTE };
  const socket = await openPaused(port);
  socket.write('GET /large HTTP/1.1\r\nHost: example.test\r\n\r\n');
  let received = 0;
  let most = before;
  for (let turn = 0; turn < SECONDS * READS_PER_SECOND; turn++) {
    await sleep(1000 / READS_PER_SECOND);
    received += readUpTo(socket, MEBIBYTE / READS_PER_SECOND);
    most = Math.max(most, usageOf(side.child.pid).residentBytes);
  }
  socket.destroy();

  expect(received).toBeGreaterThan((SECONDS * MEBIBYTE) / 2);
  // What the upstream could hand over is what was read and what two pairs of kernel buffers hold.
  expect(side.upstream.streamed).toBeLessThan(received + 64 * MEBIBYTE);
  expect(most - before).toBeLessThan(GROWTH_BYTES_MAX);
});

/** So that the heap has its working size before it is measured. */
async function warmUp(target: Side, port: number): Promise<void> {
  const client = await RawClient.connect(port);
  target.upstream.answer = { kind: 'stream', bodyBytes: 8 * MEBIBYTE };
  for (let i = 0; i < 5; i++) {
    const pieces = ['GET / HTTP/1.1\r\nHost: example.test\r\n\r\n'];
    const [response] = await client.exchange({ pieces, methods: ['GET'] });
    expect(response?.body.length).toBe(8 * MEBIBYTE);
  }
  client.close();
  target.upstream.streamed = 0;
}

/** A connection whose bytes stay in the kernel until they are asked for. */
function openPaused(port: number): Promise<Socket> {
  return new Promise((done, fail) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('error', fail);
    socket.once('connect', () => done(socket));
    socket.pause();
  });
}

function readUpTo(socket: Socket, bytes: number): number {
  let count = 0;
  while (count < bytes) {
    const part: unknown = socket.read();
    if (!Buffer.isBuffer(part)) break;
    count += part.length;
  }
  return count;
}
