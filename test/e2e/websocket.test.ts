// A websocket through a sidecar in a process of its own, with the `ws` package at both ends: what one end says
// comes back byte for byte, however much it is, and the sidecar keeps none of it.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { WebSocket, WebSocketServer, type RawData } from 'ws';
import { startChild, type Child } from '../support/child.ts';
import { freePorts } from '../support/free-port.ts';
import { usageOf } from '../support/process-usage.ts';
import { OUTRIGGER } from '../support/real-parts.ts';
import { until } from '../support/until.ts';

const MEBIBYTE = 1024 * 1024;
const MESSAGES = 1024;
const IN_FLIGHT_MAX = 8;
const GROWTH_BYTES_MAX = 32 * MEBIBYTE;

let child: Child;
let server: WebSocketServer;
let port = 0;
const folder = mkdtempSync(join(tmpdir(), 'outrigger-websocket-'));

beforeAll(async () => {
  const [listen = 0, admin = 0, upstream = 0] = await freePorts(3);
  port = listen;
  server = new WebSocketServer({ port: upstream, host: '127.0.0.1', perMessageDeflate: false });
  server.on('connection', (socket) => {
    socket.on('message', (data: RawData, isBinary) => {
      socket.send(data, { binary: isBinary });
    });
  });
  const file = join(folder, 'bootstrap.json');
  writeFileSync(file, JSON.stringify(bootstrap(listen, admin, upstream)));
  child = startChild(process.execPath, [OUTRIGGER, 'sidecar', '-c', file]);
  await until('the sidecar is ready', async () => {
    const answer = await fetch(`http://127.0.0.1:${admin}/ready`).catch(() => null);
    return answer?.status === 200;
  });
});

afterAll(async () => {
  await child.stop();
  server.close();
  rmSync(folder, { recursive: true });
});

test('a text, a close code and its reason come through', async () => {
  const socket = await connected();
  socket.send('grüße');
  expect(await nextMessage(socket)).toBe('grüße');
  const closed = new Promise<[number, string]>((done) => {
    socket.once('close', (code, reason) => done([code, reason.toString()]));
  });
  socket.close(4001, 'enough');
  expect(await closed).toEqual([4001, 'enough']);
});

test('1 GiB there and back is the same bytes, and the sidecar grows by less than 32 MiB', async () => {
  const socket = await connected();
  await echo(socket, 64);
  const before = usageOf(child.pid).residentBytes;
  let most = before;
  const timer = setInterval(() => (most = Math.max(most, usageOf(child.pid).residentBytes)), 50);
  expect(await echo(socket, MESSAGES)).toEqual({ messages: MESSAGES, different: 0 });
  clearInterval(timer);
  socket.close();
  expect(most - before).toBeLessThan(GROWTH_BYTES_MAX);
});

/** Sends messages of 1 MiB, a few at a time, and compares what comes back with what was sent. */
function echo(socket: WebSocket, count: number): Promise<{ messages: number; different: number }> {
  return new Promise((done, fail) => {
    let sent = 0;
    let received = 0;
    let different = 0;
    const sendMore = (): void => {
      while (sent < count && sent - received < IN_FLIGHT_MAX) socket.send(messageOf(sent++));
    };
    const onMessage = (data: RawData): void => {
      if (!Buffer.isBuffer(data) || !data.equals(messageOf(received))) different++;
      received++;
      if (received < count) return sendMore();
      socket.off('message', onMessage);
      done({ messages: received, different });
    };
    socket.on('message', onMessage);
    socket.once('error', fail);
    sendMore();
  });
}

const patterns: readonly Buffer[] = [0, 1, 2, 3, 4, 5, 6].map((seed) => {
  const bytes = Buffer.alloc(MEBIBYTE);
  for (let i = 0; i < MEBIBYTE; i += 4) bytes.writeUInt32LE(Math.imul(i + seed, 2_654_435_761) >>> 0, i);
  return bytes;
});

/** Neighbours differ, so that a message lost, doubled or out of order is seen. */
function messageOf(index: number): Buffer {
  return patterns[index % patterns.length] ?? Buffer.alloc(0);
}

function connected(): Promise<WebSocket> {
  return new Promise((done, fail) => {
    const socket = new WebSocket(`ws://127.0.0.1:${port}/chat`, { perMessageDeflate: false });
    socket.once('open', () => done(socket));
    socket.once('error', fail);
  });
}

function nextMessage(socket: WebSocket): Promise<string> {
  return new Promise((done) => {
    socket.once('message', (data: RawData) => done(Buffer.isBuffer(data) ? data.toString() : ''));
  });
}

function address(port_value: number): object {
  return { socket_address: { address: '127.0.0.1', port_value } };
}

function bootstrap(listen: number, admin: number, upstream: number): object {
  const type = 'type.googleapis.com/envoy.extensions.filters';
  const manager = {
    '@type': `${type}.network.http_connection_manager.v3.HttpConnectionManager`,
    stat_prefix: 'main',
    upgrade_configs: [{ upgrade_type: 'websocket' }],
    http_filters: [{ name: 'envoy.filters.http.router', typed_config: { '@type': `${type}.http.router.v3.Router` } }],
    route_config: {
      name: 'main',
      virtual_hosts: [{ name: 'all', domains: ['*'], routes: [{ match: { prefix: '/' }, route: { cluster: 'app' } }] }],
    },
  };
  const filters = [{ name: 'envoy.filters.network.http_connection_manager', typed_config: manager }];
  const endpoints = [{ lb_endpoints: [{ endpoint: { address: address(upstream) } }] }];
  return {
    admin: { address: address(admin) },
    static_resources: {
      listeners: [{ name: 'main', address: address(listen), filter_chains: [{ filters }] }],
      clusters: [{ name: 'app', type: 'STATIC', load_assignment: { cluster_name: 'app', endpoints } }],
    },
  };
}
