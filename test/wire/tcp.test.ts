// tcp_proxy over real sockets: which cluster gets a connection, ends of either side, quiet connections, the access
// log of long ones, and how little a slow reader makes the process hold.
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { JsonObject } from '@bufbuild/protobuf';
import { afterEach, expect, test } from 'vitest';
import { silentLog } from '../../src/base/log.ts';
import { Proxy } from '../../src/sidecar/proxy.ts';
import { listen } from '../support/free-port.ts';
import { until } from '../support/until.ts';
import { aBootstrap, aClusterJson, aListenerJson, aTcpProxy } from '../unit/sidecar/manager-builders.ts';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

/** A server that does with each connection what `serve` does. */
async function aServer(serve: (socket: Socket) => void): Promise<number> {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    cleanups.push(() => socket.destroy());
    socket.on('error', () => {});
    serve(socket);
  });
  cleanups.push(() => server.close());
  return listen(server);
}

async function aProxy(
  tcp: JsonObject,
  clusters: Readonly<Record<string, number>>,
  extra: JsonObject = {},
): Promise<Proxy> {
  const bootstrap = aBootstrap({
    static_resources: {
      listeners: [aListenerJson([aTcpProxy(tcp)], extra)],
      clusters: Object.entries(clusters).map(([name, port]) => aClusterJson(name, port)),
    },
  });
  let seed = 0;
  // Evenly spread, so that shares come out exactly.
  const random = (): number => (seed++ % 100) / 100;
  const proxy = new Proxy({ bootstrap, log: silentLog, drainSeconds: 0, random });
  cleanups.push(() => proxy.stop(0));
  await proxy.start();
  return proxy;
}

async function aClient(proxy: Proxy): Promise<Socket> {
  const port = proxy.listeners.live()[0]?.[1].boundAddress?.port ?? 0;
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  socket.on('error', () => {});
  cleanups.push(() => socket.destroy());
  await once(socket, 'connect');
  return socket;
}

/** Everything that comes until the far end says its FIN. */
async function readAll(socket: Socket): Promise<string> {
  let text = '';
  socket.on('data', (bytes: Buffer) => (text += bytes.toString('latin1')));
  await once(socket, 'end');
  return text;
}

function stat(proxy: Proxy, name: string): number {
  return proxy.stats.list().find((one) => one.name.endsWith(name))?.value ?? -1;
}

/** A server that says its name. */
function greeting(name: string): Promise<number> {
  return aServer((socket) => socket.end(name));
}

test('weighted clusters get their shares of the connections', async () => {
  const [a, b, c] = await Promise.all([greeting('a'), greeting('b'), greeting('c')]);
  const weights = { a: 1, b: 3, c: 6 };
  const clusters = Object.entries(weights).map(([name, weight]) => ({ name, weight }));
  const proxy = await aProxy({ weighted_clusters: { clusters } }, { a, b, c });
  const counts: Record<string, number> = {};
  for (let i = 0; i < 100; i++) {
    const client = await aClient(proxy);
    const name = await readAll(client);
    client.destroy();
    counts[name] = (counts[name] ?? 0) + 1;
  }
  expect(counts).toEqual({ a: 10, b: 30, c: 60 });
});

test('what the server says after the FIN of the client arrives', async () => {
  const app = await aServer((socket) => {
    void readAll(socket).then((text) => socket.end(`after ${text}`));
  });
  const client = await aClient(await aProxy({ cluster: 'app' }, { app }));
  client.end('all');
  expect(await readAll(client)).toBe('after all');
});

test('what the client says after the FIN of the server arrives', async () => {
  const heard = Promise.withResolvers<string>();
  const app = await aServer((socket) => {
    socket.end('bye');
    void readAll(socket).then(heard.resolve);
  });
  const client = await aClient(await aProxy({ cluster: 'app' }, { app }));
  expect(await readAll(client)).toBe('bye');
  client.write('still ');
  client.end('here');
  expect(await heard.promise).toBe('still here');
});

test('a connection that is quiet for idle_timeout is closed, and one that is not stays', async () => {
  const app = await aServer((socket) => socket.pipe(socket));
  const proxy = await aProxy({ cluster: 'app', idle_timeout: '0.3s' }, { app });
  const client = await aClient(proxy);
  const startedMs = performance.now();
  let words = 0;
  client.on('data', () => {
    if (++words < 5) setTimeout(() => client.write('x'), 100);
  });
  client.write('x');
  await once(client, 'end');
  expect(words).toBe(5);
  expect(performance.now() - startedMs).toBeGreaterThan(650);
  expect(stat(proxy, 'tcp.tcp.idle_timeout')).toBe(1);
});

test('the access log tells of a connection when it begins, while it lasts and when it ends', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'tcp-log-'));
  cleanups.push(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'log');
  writeFileSync(path, '');
  const type = 'type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog';
  const log_format = { text_format_source: { inline_string: '%BYTES_RECEIVED% %BYTES_SENT%\n' } };
  const access_log = [{ name: 'file', typed_config: { '@type': type, path, log_format } }];
  const app = await aServer((socket) => socket.pipe(socket));
  const access_log_options = { flush_access_log_on_connected: true, access_log_flush_interval: '0.2s' };
  const client = await aClient(await aProxy({ cluster: 'app', access_log, access_log_options }, { app }));
  const lines = (): readonly string[] => readFileSync(path, 'utf8').split('\n').slice(0, -1);
  await until('the line of the beginning', () => lines().length > 0);
  client.write('12345');
  await until('a line of the interval', () => lines().includes('5 5'));
  client.end();
  client.resume();
  await once(client, 'close');
  await until('the log is quiet', () => lines().length >= 3);
  expect(lines()[0]).toBe('0 0');
  expect(lines().at(-1)).toBe('5 5');
});

test('filter_disabled leaves a listener filter out on its ports', async () => {
  const app = await aServer((socket) => socket.pipe(socket));
  const type = 'type.googleapis.com/envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol';
  const filter_disabled = { destination_port_range: { start: 1, end: 65_536 } };
  const listener_filters = [{ name: 'proxy', typed_config: { '@type': type }, filter_disabled }];
  const client = await aClient(await aProxy({ cluster: 'app' }, { app }, { listener_filters }));
  const echoed = readAll(client);
  client.end('PROXY is no header here\r\n');
  expect(await echoed).toBe('PROXY is no header here\r\n');
});

test('what a slow reader does not take waits at the sender', async () => {
  const chunk = Buffer.alloc(256 * 1024);
  let sent = 0;
  const app = await aServer((socket) => {
    const push = (): void => {
      while (sent < 1 << 30 && socket.write(chunk)) sent += chunk.length;
    };
    socket.on('drain', push);
    push();
  });
  const client = await aClient(await aProxy({ cluster: 'app' }, { app }));
  client.pause();
  let before = -1;
  await until('the sender has to wait', async () => {
    const isStill = sent === before && sent > 0;
    before = sent;
    await new Promise((done) => setTimeout(done, 200));
    return isStill;
  });
  // Two pairs of kernel buffers of at most 6 MiB each, and what the proxy holds.
  expect(sent).toBeLessThan(32 << 20);
});
