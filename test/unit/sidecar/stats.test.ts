// What a running sidecar counts, seen at `/stats` and in the Prometheus text: names are Envoy's and
// Istio's. And what counts as a change of a filter chain. Sockets are real.
import type { JsonObject } from '@bufbuild/protobuf';
import { get } from 'node:http';
import { connect, createServer } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { silentLog, type Log } from '../../../src/base/log.ts';
import { renderPrometheus } from '../../../src/observe/exposition.ts';
import { chainFingerprint, frameFingerprint } from '../../../src/sidecar/listener-fingerprint.ts';
import { Proxy } from '../../../src/sidecar/proxy.ts';
import type { Listener } from '../../../src/xds/gen/envoy/config/listener/v3/listener_pb.js';
import { listen } from '../../support/free-port.ts';
import { until } from '../../support/until.ts';
import {
  aBootstrap,
  aClusterJson,
  aListener,
  aListenerJson,
  aManager,
  aRouteConfig,
  aTcpProxy,
} from './manager-builders.ts';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

async function aProxy(filters: JsonObject[], upstreamPort: number, extra: JsonObject = {}): Promise<Proxy> {
  const static_resources = {
    listeners: [aListenerJson(filters, extra)],
    clusters: [aClusterJson('web', upstreamPort)],
  };
  const proxy = new Proxy({ bootstrap: aBootstrap({ static_resources }), log: silentLog, drainSeconds: 0 });
  cleanups.push(() => proxy.stop(0));
  await proxy.start();
  return proxy;
}

function portOf(proxy: Proxy): number {
  return proxy.listeners.live()[0]?.[1].boundAddress?.port ?? 0;
}

/** Greets, then echoes in upper case. */
async function anEcho(): Promise<number> {
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.write('hello');
    socket.on('data', (bytes) => socket.write(bytes.toString().toUpperCase()));
  });
  cleanups.push(() => server.close());
  return listen(server);
}

/** The samples of `istio_tcp_*` with their response flags. */
function tcpSamples({ registry }: Proxy): Readonly<Record<string, number>> {
  const pattern = /^istio_tcp_(\w+)_total\{.*response_flags="([\w,-]+)".*\} (\d+)$/gm;
  const samples = Array.from(renderPrometheus(registry).matchAll(pattern), ([, name, flags, value]) => [
    `${name} ${flags}`,
    Number(value),
  ]);
  return Object.fromEntries(samples);
}

const statsOf = (proxy: Proxy): ReadonlyMap<string, number> =>
  new Map(proxy.stats.list().map(({ name, value }) => [name, value]));

test('a TCP connection is opened, counted as its bytes flow, and closed', async () => {
  const proxy = await aProxy([aTcpProxy({ cluster: 'web' })], await anEcho());
  const socket = connect(portOf(proxy), '127.0.0.1');
  cleanups.push(() => socket.destroy());
  let text = '';
  socket.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
  socket.write('abc');
  await until('the echo', () => text === 'helloABC');
  expect(tcpSamples(proxy)).toMatchObject({ 'connections_opened -': 1, 'sent_bytes -': 8, 'received_bytes -': 3 });
  expect(tcpSamples(proxy)['connections_closed -'] ?? 0).toBe(0);
  socket.end();
  await until('the closing', () => tcpSamples(proxy)['connections_closed -'] === 1);
  const stats = statsOf(proxy);
  expect(
    ['cx_total', 'cx_rx_bytes_total', 'cx_tx_bytes_total'].map((leaf) => stats.get(`tcp.tcp.downstream_${leaf}`)),
  ).toEqual([1, 3, 8]);
});

test('a TCP connection that finds no upstream is opened and closed with the flags that say why', async () => {
  const unused = createServer();
  const port = await listen(unused);
  await new Promise((resolve) => unused.close(resolve));
  const proxy = await aProxy([aTcpProxy({ cluster: 'web' })], port);
  const socket = connect(portOf(proxy), '127.0.0.1').on('error', () => {});
  await new Promise((resolve) => socket.once('close', resolve));
  await until('the closing', () => tcpSamples(proxy)['connections_closed URX,UF'] === 1);
  expect(tcpSamples(proxy)).toMatchObject({ 'connections_opened URX,UF': 1, 'connections_closed URX,UF': 1 });
});

test('a request shows in the statistics of its manager, its listener and the server, by Envoy names', async () => {
  const route_config: JsonObject = {
    name: 'r',
    virtual_hosts: [
      { name: 'v', domains: ['*'], routes: [{ match: { prefix: '/' }, direct_response: { status: 204 } }] },
    ],
  };
  const proxy = await aProxy([aManager({ route_config })], 1);
  await new Promise((resolve) =>
    get({ host: '127.0.0.1', port: portOf(proxy) }, (response) => response.resume().on('end', resolve)),
  );
  const stats = statsOf(proxy);
  const wanted = {
    'http.in.downstream_cx_total': 1,
    'http.in.downstream_rq_total': 1,
    'http.in.downstream_rq_active': 0,
    'http.in.downstream_rq_2xx': 1,
    'listener.127.0.0.1_0.downstream_cx_total': 1,
    'server.live': 1,
    'cluster_manager.active_clusters': 1,
    'listener_manager.total_listeners_active': 1,
  };
  expect(Object.fromEntries(Object.keys(wanted).map((name) => [name, stats.get(name)]))).toEqual(wanted);
  expect(renderPrometheus(proxy.registry).split('\n')).toEqual(
    expect.arrayContaining([
      'envoy_http_downstream_cx_total{envoy_http_conn_manager_prefix="in"} 1',
      'envoy_listener_downstream_cx_total{envoy_listener_address="127.0.0.1_0"} 1',
      'envoy_server_live 1',
    ]),
  );
});

test('a listener that cannot listen is told of once', async () => {
  const unused = createServer();
  const port_value = await listen(unused);
  cleanups.push(() => unused.close());
  const address = { socket_address: { address: '127.0.0.1', port_value } };
  const lines: string[] = [];
  const log: Log = { ...silentLog, error: (message) => void lines.push(message), child: () => log };
  const static_resources = { listeners: [aListenerJson([aManager()], { address })] };
  const proxy = new Proxy({ bootstrap: aBootstrap({ static_resources }), log, drainSeconds: 0 });
  await expect(proxy.start()).rejects.toThrow(/EADDRINUSE/);
  expect(lines).toEqual([]);
});

const RDS = { route_config_name: 'other', config_source: { ads: {} } };
const address = { socket_address: { address: '127.0.0.1', port_value: 1 } };

test.each<[string, JsonObject, JsonObject, boolean]>([
  ['routes inside', { route_config: aRouteConfig('other') }, {}, true],
  ['routes by RDS', { rds: RDS }, {}, true],
  ['its name and address', {}, { name: 'n', address }, true],
  ['a field of the manager', { server_name: 'x' }, {}, false],
  ['a field of the chain', {}, { per_connection_buffer_limit_bytes: 1 }, false],
  ['its direction', {}, { traffic_direction: 'INBOUND' }, false],
])('a listener that differs in %s: its connections may stay: %4$s', (_what, manager, listener, isSame) => {
  const before = fingerprintOf(aListener([aManager()]));
  expect(fingerprintOf(aListener([aManager(manager)], listener)) === before).toBe(isSame);
});

function fingerprintOf(listener: Listener): string {
  return [frameFingerprint(listener), ...listener.filterChains.map(chainFingerprint)].join('\n');
}
