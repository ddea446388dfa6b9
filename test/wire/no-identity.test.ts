// A sidecar without an identity that is told to use one: it refuses, in and out, and says so. Nothing is sent or taken in
// plaintext in its place.
import { request } from 'node:http';
import { createServer, type Socket } from 'node:net';
import type { JsonObject } from '@bufbuild/protobuf';
import { afterEach, expect, test } from 'vitest';
import { formatProblem } from '../../src/base/problem.ts';
import type { Proxy } from '../../src/sidecar/proxy.ts';
import { freePort, listen } from '../support/free-port.ts';
import { sdsContext } from '../support/sds.ts';
import { ask, cluster, downstream, listener, portOf, startProxy, upstream } from '../support/tls-proxy.ts';

const cleanups: (() => Promise<unknown> | void)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

async function startWith(resources: JsonObject): Promise<Proxy> {
  const proxy = await startProxy(resources);
  cleanups.push(() => proxy.stop(0));
  return proxy;
}

function get(port: number): Promise<string> {
  return new Promise((resolve) => {
    const asking = request({ port, host: '127.0.0.1', agent: false }, (response) => {
      let body = '';
      response.on('data', (bytes: Buffer) => (body += bytes.toString()));
      response.on('end', () => resolve(`${response.statusCode} ${body}`));
    });
    asking.on('error', () => resolve('no answer')).end();
  });
}

test('a request that must go by mutual TLS is answered 503, and its endpoint hears nothing', async () => {
  let heard = 0;
  const server = createServer((socket: Socket) => {
    socket.on('data', (bytes) => (heard += bytes.length));
    socket.on('error', () => socket.destroy());
  });
  const port = await listen(server);
  cleanups.push(() => void server.close());
  const proxy = await startWith({
    listeners: [listener('out', 0, { route: { cluster: 'app' } })],
    clusters: [cluster('app', port, { transport_socket: upstream(sdsContext()) })],
  });
  expect(await get(portOf(proxy, 'out'))).toBe(
    '503 upstream connect error or disconnect/reset before headers. reset reason: remote connection failure',
  );
  expect(heard).toBe(0);
  expect(proxy.problems.map(formatProblem)).toContainEqual(
    expect.stringContaining('there is no identity of the mesh here: connections that need one are refused'),
  );
});

test('a port that takes mutual TLS alone takes nobody', async () => {
  const port = await freePort();
  const chain = { transport_socket: downstream(sdsContext(), { require_client_certificate: true }) };
  await startWith({ listeners: [listener('in', port, { direct_response: { status: 200 } }, { chain })], clusters: [] });
  expect(await get(port)).toBe('no answer');
  expect((await ask(port)).body).toBe('');
});
