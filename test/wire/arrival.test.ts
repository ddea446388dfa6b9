// What a connection brings first, and who takes it then: listener filters, filter chain match, servers that
// speak first, and limits. Real sockets through a whole proxy.
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import type { JsonObject, JsonValue } from '@bufbuild/protobuf';
import { afterEach, expect, test } from 'vitest';
import { silentLog, type Log } from '../../src/base/log.ts';
import { Proxy } from '../../src/sidecar/proxy.ts';
import { listen } from '../support/free-port.ts';
import { until } from '../support/until.ts';
import { aBootstrap, aClusterJson, aListenerJson, aManager, aTcpProxy } from '../unit/sidecar/manager-builders.ts';
import { clientHello } from '../unit/sidecar/arrival/tls-hello-builder.ts';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

const FILTER = 'type.googleapis.com/envoy.extensions.filters.listener';
const TLS_INSPECTOR = { name: 'tls', typed_config: { '@type': `${FILTER}.tls_inspector.v3.TlsInspector` } };
const HTTP_INSPECTOR = { name: 'http', typed_config: { '@type': `${FILTER}.http_inspector.v3.HttpInspector` } };
const PROXY_PROTOCOL = { name: 'proxy', typed_config: { '@type': `${FILTER}.proxy_protocol.v3.ProxyProtocol` } };

interface Upstream {
  readonly port: number;
  /** Connections so far. */
  count: number;
}

/** Says `greeting`, then its name and what it reads. */
async function anUpstream(name: string, greeting = ''): Promise<Upstream> {
  const upstream = { port: 0, count: 0 };
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    upstream.count++;
    cleanups.push(() => socket.destroy());
    socket.on('error', () => {});
    if (greeting !== '') socket.write(greeting);
    socket.on('data', (bytes: Buffer) => socket.write(`${name}:${bytes.toString('latin1')}`));
    socket.on('end', () => socket.end());
  });
  cleanups.push(() => server.close());
  upstream.port = await listen(server);
  return upstream;
}

interface Setup {
  readonly listeners: readonly JsonObject[];
  readonly clusters: Readonly<Record<string, number>>;
  readonly runtime?: JsonObject;
  readonly log?: Log;
}

async function aProxy({ listeners, clusters, runtime = {}, log = silentLog }: Setup): Promise<Proxy> {
  const bootstrap = aBootstrap({
    static_resources: {
      listeners: [...listeners],
      clusters: Object.entries(clusters).map(([name, port]) => aClusterJson(name, port)),
    },
    layered_runtime: { layers: [{ name: 'static', static_layer: runtime }] },
  });
  const proxy = new Proxy({ bootstrap, log, drainSeconds: 0 });
  cleanups.push(() => proxy.stop(0));
  await proxy.start();
  return proxy;
}

function chain(match: JsonObject, filter: JsonValue): JsonObject {
  return { filter_chain_match: match, filters: [filter] };
}

const to = (cluster: string): JsonObject => aTcpProxy({ cluster, stat_prefix: cluster });

async function aClient(proxy: Proxy): Promise<Socket> {
  const port =
    proxy.listeners.live().find(([, { boundAddress }]) => boundAddress !== null)?.[1].boundAddress?.port ?? 0;
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  socket.on('error', () => {});
  cleanups.push(() => socket.destroy());
  await once(socket, 'connect');
  return socket;
}

/** What comes back for what is sent, until as many bytes are there or the end is. */
async function answer(socket: Socket, pieces: readonly (Buffer | string)[], length: number): Promise<string> {
  let seen = '';
  const over = new Promise<void>((done) => {
    socket.on('close', () => done());
    socket.on('end', () => done());
    socket.on('data', (bytes: Buffer) => {
      seen += bytes.toString('latin1');
      if (seen.length >= length) done();
    });
  });
  for (const piece of pieces) {
    socket.write(piece);
    await new Promise((done) => setImmediate(done));
  }
  await over;
  return seen;
}

function statOf(proxy: Proxy, name: string): number {
  return proxy.stats.list().find((stat) => stat.name.endsWith(name))?.value ?? -1;
}

const HELLO = clientHello({ serverName: 'a.example', protocols: ['h2'] });

async function detecting(extra: JsonObject = {}, log: Log = silentLog): Promise<Proxy> {
  const [named, tls, http, raw] = await Promise.all(['named', 'tls', 'http', 'raw'].map((name) => anUpstream(name)));
  const filter_chains = [
    chain({ server_names: ['*.example'], transport_protocol: 'tls' }, to('named')),
    chain({ transport_protocol: 'tls' }, to('tls')),
    chain({ application_protocols: ['http/1.1', 'h2c'] }, to('http')),
    chain({}, to('raw')),
  ];
  const listener = aListenerJson([], { filter_chains, listener_filters: [TLS_INSPECTOR, HTTP_INSPECTOR], ...extra });
  const clusters = { named: named?.port ?? 0, tls: tls?.port ?? 0, http: http?.port ?? 0, raw: raw?.port ?? 0 };
  return aProxy({ listeners: [listener], clusters, log });
}

test.each([
  ['a server name', HELLO, 'named'],
  ['TLS without a name', clientHello(), 'tls'],
  ['HTTP', Buffer.from('GET / HTTP/1.1\r\n'), 'http'],
  ['HTTP/2', Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), 'http'],
  ['anything else', Buffer.from('\0binary'), 'raw'],
])('a chain is chosen by %s, and no byte is lost', async (_, bytes, name) => {
  const proxy = await detecting();
  const whole = `${name}:${bytes.toString('latin1')}`;
  expect(await answer(await aClient(proxy), [bytes], whole.length)).toBe(whole);
});

test('a hello that comes byte by byte arrives whole', async () => {
  const proxy = await detecting();
  const pieces = Array.from(HELLO, (byte) => Buffer.of(byte));
  expect(await answer(await aClient(proxy), pieces, HELLO.length + 6)).toBe(`named:${HELLO.toString('latin1')}`);
  expect(statOf(proxy, 'tls_inspector.sni_found')).toBe(1);
});

test('a client that is too slow is closed, or settled on what is known', async () => {
  const slow = await detecting({ listener_filters_timeout: '0.05s' });
  expect(await answer(await aClient(slow), ['GET /'], 1)).toBe('');
  expect(statOf(slow, 'downstream_pre_cx_timeout')).toBe(1);
  const patient = await detecting({
    listener_filters_timeout: '0.05s',
    continue_on_listener_filters_timeout: true,
  });
  expect(await answer(await aClient(patient), ['GET /'], 9)).toBe('raw:GET /');
});

test('a connection that no chain takes is closed and counted', async () => {
  const filter_chains = [chain({ source_prefix_ranges: [{ address_prefix: '192.0.2.0', prefix_len: 24 }] }, to('web'))];
  const proxy = await aProxy({ listeners: [aListenerJson([], { filter_chains })], clusters: { web: 1 } });
  expect(await answer(await aClient(proxy), [], 1)).toBe('');
  expect([statOf(proxy, 'no_filter_chain_match'), proxy.listeners.active]).toEqual([1, 0]);
});

test('a server that speaks first is heard, remembered, and told of once', async () => {
  const warnings: string[] = [];
  const log: Log = { ...silentLog, warning: (message) => void warnings.push(message), child: () => log };
  const upstream = await anUpstream('mysql', 'greeting');
  const filter_chains = [chain({ application_protocols: ['http/1.1'] }, to('http')), chain({}, to('raw'))];
  const listener = aListenerJson([], { filter_chains, listener_filters: [TLS_INSPECTOR, HTTP_INSPECTOR] });
  const proxy = await aProxy({ listeners: [listener], clusters: { http: 1, raw: upstream.port }, log });
  for (const expected of [1, 2]) {
    const client = await aClient(proxy);
    expect(await answer(client, [], 8)).toBe('greeting');
    expect(await answer(client, ['x'], 7)).toBe('mysql:x');
    expect(statOf(proxy, 'protocol_detection.server_first')).toBe(expected);
  }
  expect(warnings.filter((text) => text.includes('appProtocol: tcp'))).toHaveLength(1);
});

test('a client that speaks late is served by the chain of what it speaks', async () => {
  const http = await anUpstream('http');
  const raw = await anUpstream('raw');
  const filter_chains = [chain({ application_protocols: ['http/1.1'] }, to('http')), chain({}, to('raw'))];
  const listener = aListenerJson([], { filter_chains, listener_filters: [HTTP_INSPECTOR] });
  const runtime = { outrigger: { protocol_detection_grace_ms: 0 } };
  const proxy = await aProxy({ listeners: [listener], clusters: { http: http.port, raw: raw.port }, runtime });
  const first = await aClient(proxy);
  await until('a speculation', () => raw.count === 1);
  expect(await answer(first, ['GET / HTTP/1.1\r\n'], 21)).toBe('http:GET / HTTP/1.1\r\n');
  const second = await aClient(proxy);
  await until('another', () => raw.count === 2);
  // The upstream that was dialled is the one that is used.
  expect(await answer(second, ['\0'], 5)).toBe('raw:\0');
  expect([http.count, raw.count]).toEqual([1, 2]);
  expect(statOf(proxy, 'tcp.raw.downstream_cx_total')).toBe(1);
});

test('HTTP/2 is told to use HTTP/1.1', async () => {
  const proxy = await aProxy({
    listeners: [aListenerJson([aManager()], { listener_filters: [HTTP_INSPECTOR] })],
    clusters: { web: 1 },
  });
  const seen = await answer(await aClient(proxy), ['PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'], 100);
  expect(Buffer.from(seen, 'latin1').toString('hex')).toBe('000000040000000000000008070000000000000000000000000d');
  await until('closed', () => proxy.listeners.active === 0);
});

test.each([
  ['version 1', 'PROXY TCP4 192.0.2.9 198.51.100.7 40000 443\r\n', 'match:x'],
  ['another client', 'PROXY TCP4 192.0.3.9 198.51.100.7 40000 443\r\n', 'other:x'],
  ['another port', 'PROXY TCP4 192.0.2.9 198.51.100.7 40000 444\r\n', 'other:x'],
  ['no header', '', ''],
])('a PROXY header gives the connection its addresses: %s', async (_, header, expected) => {
  const [match, other] = await Promise.all(['match', 'other'].map((name) => anUpstream(name)));
  const rule = { destination_port: 443, source_prefix_ranges: [{ address_prefix: '192.0.2.0', prefix_len: 24 }] };
  const filter_chains = [chain(rule, to('match'))];
  const default_filter_chain = { filters: [to('other')] };
  const listener = aListenerJson([], { filter_chains, default_filter_chain, listener_filters: [PROXY_PROTOCOL] });
  const clusters = { match: match?.port ?? 0, other: other?.port ?? 0 };
  const proxy = await aProxy({ listeners: [listener], clusters });
  const isNarrow = header.includes('192.0.3.9');
  // A port that matched is not gone back on: the default chain takes what no source matches.
  expect(await answer(await aClient(proxy), [`${header}x`], 7)).toBe(isNarrow ? 'other:x' : expected);
});

test.each([
  [
    'of a listener',
    { envoy: { resource_limits: { listener: { main: { connection_limit: 1 } } } } },
    'downstream_cx_overflow',
  ],
  ['of the process', { overload: { global_downstream_max_connections: 1 } }, 'downstream_global_cx_overflow'],
])('connections past the limit %s are closed and counted', async (_, runtime, name) => {
  const upstream = await anUpstream('web');
  const proxy = await aProxy({ listeners: [aListenerJson([to('web')])], clusters: { web: upstream.port }, runtime });
  const first = await aClient(proxy);
  expect(await answer(first, ['a'], 5)).toBe('web:a');
  expect(await answer(await aClient(proxy), [], 1)).toBe('');
  expect(statOf(proxy, name)).toBe(1);
  expect(await answer(first, ['b'], 5)).toBe('web:b');
  first.destroy();
  await until('room', () => proxy.engine.counters.downstreamActive === 0);
  expect(await answer(await aClient(proxy), ['c'], 5)).toBe('web:c');
});

test.each([
  ['its address', '198.51.100.7 40000 443', 'inner:x'],
  ['every address of its port', '203.0.113.1 40000 444', 'any:x'],
  ['nobody: it stays', '203.0.113.1 40000 445', 'outer:x'],
])('a connection with an original destination is handed to the listener of %s', async (_, rest, expected) => {
  const [outer, inner, any] = await Promise.all(['outer', 'inner', 'any'].map((name) => anUpstream(name)));
  const hidden = (name: string, address: string, port_value: number): JsonObject => ({
    ...aListenerJson([to(name)], { name, bind_to_port: false }),
    address: { socket_address: { address, port_value } },
  });
  const proxy = await aProxy({
    listeners: [
      aListenerJson([to('outer')], { listener_filters: [PROXY_PROTOCOL], use_original_dst: true }),
      hidden('inner', '198.51.100.7', 443),
      hidden('any', '0.0.0.0', 444),
    ],
    clusters: { outer: outer?.port ?? 0, inner: inner?.port ?? 0, any: any?.port ?? 0 },
  });
  const client = await aClient(proxy);
  expect(await answer(client, [`PROXY TCP4 192.0.2.1 ${rest}\r\nx`], expected.length)).toBe(expected);
  client.destroy();
  await until('no connection', () => proxy.engine.counters.downstreamActive === 0);
});

test('a client that reads nothing holds back its server, and what it then reads is whole', async () => {
  const size = 64 * 1024 * 1024;
  const block = Buffer.alloc(64 * 1024, 7);
  let written = 0;
  const server = createServer((socket) => {
    const fill = (): void => {
      while (written < size) {
        written += block.length;
        if (!socket.write(block)) return;
      }
      socket.end();
    };
    socket.on('drain', fill);
    socket.on('error', () => {});
    fill();
  });
  cleanups.push(() => server.close());
  const proxy = await aProxy({ listeners: [aListenerJson([to('web')])], clusters: { web: await listen(server) } });
  const client = await aClient(proxy);
  client.pause();
  let before = -1;
  await until('a server that waits', async () => {
    const isStill = written === before;
    before = written;
    await new Promise((done) => setTimeout(done, 100));
    return isStill && written > 0;
  });
  // Kernel buffers of two connections, one read and 64 KiB of ours.
  expect(written).toBeLessThan(size / 2);
  let seen = 0;
  client.on('data', (bytes: Buffer) => (seen += bytes.length));
  client.resume();
  await once(client, 'end');
  expect(seen).toBe(size);
});

test('a reset of one side is a reset of the other', async () => {
  const server = createServer((socket) => void socket.on('data', () => socket.resetAndDestroy()));
  cleanups.push(() => server.close());
  const proxy = await aProxy({ listeners: [aListenerJson([to('web')])], clusters: { web: await listen(server) } });
  const client = await aClient(proxy);
  client.removeAllListeners('error');
  client.write('x');
  const [error] = await once(client, 'error');
  expect(error).toMatchObject({ code: 'ECONNRESET' });
  client.on('error', () => {});
});

test('a connection lasts no longer than it may', async () => {
  const upstream = await anUpstream('web');
  const limited = aTcpProxy({ cluster: 'web', stat_prefix: 'web', max_downstream_connection_duration: '0.05s' });
  const proxy = await aProxy({ listeners: [aListenerJson([limited])], clusters: { web: upstream.port } });
  expect(await answer(await aClient(proxy), ['x'], 100)).toBe('web:x');
  expect(statOf(proxy, 'tcp.web.max_downstream_connection_duration')).toBe(1);
});

const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';
const REFUSED = Buffer.from('000000040000000000000008070000000000000000000000000d', 'hex').toString('latin1');
const NOT_A_VERSION = /^HTTP\/1\.1 505 /;

test.each<[string, JsonObject, readonly string[], string | RegExp]>([
  ['is told so in HTTP/2', {}, [PREFACE], REFUSED],
  ['is told so in HTTP/2, byte by byte', {}, PREFACE.split(''), REFUSED],
  ['is refused by the parser where HTTP/1.1 is asked for', { codec_type: 'HTTP1' }, [PREFACE], NOT_A_VERSION],
  ['is no preface behind a request', {}, [`GET / HTTP/1.1\r\nhost: a\r\n\r\n${PREFACE}`], /\r\n\r\nHTTP\/1\.1 505 /],
])('a client that begins with HTTP/2 without an inspector %s', async (_, manager, pieces, expected) => {
  const proxy = await aProxy({ listeners: [aListenerJson([aManager(manager)])], clusters: { app: 1 } });
  const seen = await answer(await aClient(proxy), pieces, 10_000);
  if (typeof expected === 'string') expect(seen).toBe(expected);
  else expect(seen).toMatch(expected);
});
