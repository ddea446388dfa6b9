// A reused connection that the upstream had closed, or closes as the request arrives.
import { createServer, type Server, type Socket } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { listen } from '../support/free-port.ts';
import { RawClient } from '../support/raw-client.ts';
import { startDataPlane, type DataPlane } from './data-plane.ts';

const open: (() => void)[] = [];

afterEach(() => {
  for (const close of open.splice(0).toReversed()) close();
});

interface Stage {
  readonly plane: DataPlane;
  readonly client: RawClient;
  /** Request lines as they arrived, with the number of their connection. */
  readonly seen: string[];
}

/** An upstream whose first connection answers once and resets at the second request. */
async function aStage(): Promise<Stage> {
  const seen: string[] = [];
  let connections = 0;
  const server: Server = createServer((socket: Socket) => {
    const number = ++connections;
    let requests = 0;
    socket.on('error', () => {});
    socket.on('data', (bytes) => {
      seen.push(`${number} ${bytes.toString('latin1').split(' ', 1)[0]}`);
      if (number === 1 && ++requests === 2) socket.resetAndDestroy();
      else socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
    });
  });
  const port = await listen(server);
  open.push(() => server.close());
  const plane = await startDataPlane(port);
  open.push(() => plane.close());
  const client = await RawClient.connect(plane.port);
  open.push(() => client.close());
  return { plane, client, seen };
}

function request(method: string, body = ''): string {
  const length = body === '' ? '' : `Content-Length: ${body.length}\r\n`;
  return `${method} / HTTP/1.1\r\nHost: a\r\n${length}\r\n${body}`;
}

test.each([
  ['GET', ''],
  ['PUT', 'hello'],
  ['DELETE', ''],
])('%s that met a stale connection is sent once more on a fresh one', async (method, body) => {
  const { client, seen, plane } = await aStage();
  await client.exchange({ pieces: [request('GET')], methods: ['GET'] });
  const [response] = await client.exchange({ pieces: [request(method, body)], methods: [method] });
  expect(response?.status).toBe(200);
  expect(seen).toEqual(['1 GET', `1 ${method}`, `2 ${method}`]);
  expect(plane.engine.counters.upstreamStaleRetries).toBe(1);
});

test('POST that may have reached the app is not sent twice', async () => {
  const { client, seen } = await aStage();
  await client.exchange({ pieces: [request('GET')], methods: ['GET'] });
  const [response] = await client.exchange({ pieces: [request('POST', 'pay')], methods: ['POST'] });
  expect(response?.status).toBe(503);
  expect(seen).toEqual(['1 GET', '1 POST']);
});

test('a fresh connection that closes is no reason to try again', async () => {
  let connections = 0;
  const server = createServer((socket) => {
    connections++;
    socket.on('error', () => {});
    socket.on('data', () => socket.resetAndDestroy());
  });
  const plane = await startDataPlane(await listen(server));
  const client = await RawClient.connect(plane.port);
  open.push(
    () => server.close(),
    () => plane.close(),
    () => client.close(),
  );
  const [response] = await client.exchange({ pieces: [request('GET')], methods: ['GET'] });
  expect([response?.status, connections]).toEqual([503, 1]);
});

test.each(['GET', 'POST'])('what an upstream said before it was gone does not answer %s', async (method) => {
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.on('error', () => {});
    socket.on('data', () => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'));
  });
  const plane = await startDataPlane(await listen(server));
  const client = await RawClient.connect(plane.port);
  open.push(
    () => server.close(),
    () => plane.close(),
    () => client.close(),
  );
  await client.exchange({ pieces: [request('GET')], methods: ['GET'] });
  // All in one turn, so that the request is read, and written, before the end of the connection is seen.
  const answered = client.exchange({ pieces: [request(method)], methods: [method] });
  sockets[0]?.write('HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
  sockets[0]?.resetAndDestroy();
  const [response] = await answered;
  expect([response?.status, sockets.length]).toEqual([200, 2]);
});
