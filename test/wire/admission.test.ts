// Who is turned away: connections beyond what a filter chain, or the whole process, may have.
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import type { JsonObject } from '@bufbuild/protobuf';
import { afterEach, expect, test } from 'vitest';
import { LocalLimits, SharedLimits, type Limits } from '../../src/base/shared-limits.ts';
import { silentLog } from '../../src/base/log.ts';
import { Proxy } from '../../src/sidecar/proxy.ts';
import { listen } from '../support/free-port.ts';
import { until } from '../support/until.ts';
import { aBootstrap, aClusterJson, aListenerJson, aManager, aTcpProxy } from '../unit/sidecar/manager-builders.ts';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

const TYPE = 'type.googleapis.com/envoy.extensions';
const MONITOR = 'envoy.resource_monitors.global_downstream_max_connections';

function limit(extra: JsonObject): JsonObject {
  const type = `${TYPE}.filters.network.connection_limit.v3.ConnectionLimit`;
  return { name: 'limit', typed_config: { '@type': type, stat_prefix: 'few', ...extra } };
}

/** A proxy in front of a server that echoes; `filters` stand before its tcp_proxy. */
async function aProxy(
  filters: JsonObject[],
  extra: JsonObject = {},
  last?: JsonObject,
  limits: Limits = new LocalLimits(),
): Promise<Proxy> {
  const server = createServer((socket) => {
    cleanups.push(() => socket.destroy());
    socket.on('error', () => {});
    socket.pipe(socket);
  });
  cleanups.push(() => server.close());
  const port = await listen(server);
  const listener = aListenerJson([...filters, last ?? aTcpProxy({ cluster: 'app' })]);
  const clusters = [aClusterJson('app', port)];
  const bootstrap = aBootstrap({ static_resources: { listeners: [listener], clusters }, ...extra });
  const proxy = new Proxy({ bootstrap, log: silentLog, drainSeconds: 0, limits });
  cleanups.push(() => proxy.stop(0));
  expect(proxy.problems).toEqual([]);
  await proxy.start();
  return proxy;
}

/** True when the connection is served, false when it is closed. */
async function isServed(proxy: Proxy, text = 'hello'): Promise<Socket | null> {
  const socket = connect(proxy.listeners.live()[0]?.[1].boundAddress?.port ?? 0, '127.0.0.1');
  socket.on('error', () => {});
  cleanups.push(() => socket.destroy());
  socket.write(text);
  const isAnswered = await Promise.race([
    once(socket, 'data').then(
      () => true,
      () => false,
    ),
    once(socket, 'close').then(() => false),
  ]);
  return isAnswered ? socket : null;
}

function stat(proxy: Proxy, name: string): number {
  return proxy.stats.list().find((one) => one.name.endsWith(name))?.value ?? -1;
}

test.each([
  ['TCP', aTcpProxy({ cluster: 'app' }), 'hello'],
  ['HTTP', aManager(), 'GET /none HTTP/1.1\r\nhost: a\r\n\r\n'],
])('turns away what a chain may not have, and takes it when another is gone: %s', async (_, last, text) => {
  const proxy = await aProxy([limit({ max_connections: 2 })], {}, last);
  const first = await isServed(proxy, text);
  expect(first).not.toBeNull();
  expect(await isServed(proxy, text)).not.toBeNull();
  expect(await isServed(proxy, text)).toBeNull();
  expect(stat(proxy, 'connection_limit.few.limited_connections')).toBe(1);
  first?.destroy();
  await until('one has left', () => stat(proxy, 'connection_limit.few.active_connections') === 1);
  expect(await isServed(proxy, text)).not.toBeNull();
  expect(stat(proxy, 'connection_limit.few.active_connections')).toBe(2);
});

test('holds for all threads together', async () => {
  const limits = new SharedLimits(2, 0);
  const one = await aProxy([limit({ max_connections: 2 })], {}, undefined, limits);
  const two = await aProxy([limit({ max_connections: 2 })], {}, undefined, new SharedLimits(2, 1, limits.memory));
  expect(await isServed(one)).not.toBeNull();
  const second = await isServed(two);
  expect(second).not.toBeNull();
  expect([await isServed(one), await isServed(two)]).toEqual([null, null]);
  second?.destroy();
  await until('one has left', () => stat(two, 'connection_limit.few.active_connections') === 0);
  expect(await isServed(one)).not.toBeNull();
});

test('keeps whoever is turned away waiting for the delay', async () => {
  const proxy = await aProxy([limit({ max_connections: 1, delay: '0.3s' })]);
  expect(await isServed(proxy)).not.toBeNull();
  const startedMs = performance.now();
  expect(await isServed(proxy)).toBeNull();
  expect(performance.now() - startedMs).toBeGreaterThan(250);
});

test('is off where its runtime flag says so', async () => {
  const runtime_enabled = { default_value: false, runtime_key: 'limit.is.on' };
  const proxy = await aProxy([limit({ max_connections: 1, runtime_enabled })]);
  expect(await isServed(proxy)).not.toBeNull();
  expect(await isServed(proxy)).not.toBeNull();
});

test('the monitor of the overload manager limits the connections of the process', async () => {
  const type = `${TYPE}.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig`;
  const typed_config = { '@type': type, max_active_downstream_connections: '1' };
  const proxy = await aProxy([], { overload_manager: { resource_monitors: [{ name: MONITOR, typed_config }] } });
  expect(await isServed(proxy)).not.toBeNull();
  expect(await isServed(proxy)).toBeNull();
  expect(stat(proxy, 'downstream_global_cx_overflow')).toBe(1);
});
