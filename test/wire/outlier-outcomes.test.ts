// What outlier detection is told over real sockets: connections that TCP clusters cannot make, and the grpc-status in
// the head of a response.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { connect, createServer as createTcpServer, type Socket } from 'node:net';
import type { JsonObject } from '@bufbuild/protobuf';
import { afterEach, describe, expect, it } from 'vitest';
import { silentLog } from '../../src/base/log.ts';
import { Proxy } from '../../src/sidecar/proxy.ts';
import { freePort, listen } from '../support/free-port.ts';
import { aBootstrap, aListenerJson, aManager, aTcpProxy } from '../unit/sidecar/manager-builders.ts';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

function aCluster(ports: readonly number[], outlier: JsonObject): JsonObject {
  const endpoints = ports.map((port_value) => ({
    endpoint: { address: { socket_address: { address: '127.0.0.1', port_value } } },
  }));
  return {
    name: 'web',
    connect_timeout: '1s',
    load_assignment: { cluster_name: 'web', endpoints: [{ lb_endpoints: endpoints }] },
    outlier_detection: outlier,
  };
}

async function aProxy(
  filter: JsonObject,
  cluster: JsonObject,
): Promise<{ readonly proxy: Proxy; readonly port: number }> {
  const bootstrap = aBootstrap({ static_resources: { listeners: [aListenerJson([filter])], clusters: [cluster] } });
  const proxy = new Proxy({ bootstrap, log: silentLog, drainSeconds: 0 });
  cleanups.push(() => proxy.stop(0));
  await proxy.start();
  return { proxy, port: proxy.listeners.live()[0]?.[1].boundAddress?.port ?? 0 };
}

function stat(proxy: Proxy, name: string): number {
  return proxy.stats.list().find((one) => one.name === `cluster.web.outlier_detection.${name}`)?.value ?? -1;
}

async function serving(server: Server | ReturnType<typeof createTcpServer>): Promise<number> {
  cleanups.push(() => server.close());
  return listen(server);
}

function greet(socket: Socket): void {
  socket.on('error', () => {});
  socket.resume();
  socket.end('hello');
}

/** Connects and waits for the end. */
async function visit(port: number): Promise<void> {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => {});
  socket.resume();
  await new Promise<void>((resolve) => socket.on('close', () => resolve()));
}

describe('a TCP cluster', () => {
  it.each([
    ['5xx in a row', {}, 'consecutive_5xx'],
    ['failures of this side', { split_external_local_origin_errors: true }, 'consecutive_local_origin_failure'],
  ])('puts out an endpoint that refuses connections, by %s', async (_says, outlier, kind) => {
    const well = await serving(createTcpServer(greet));
    const dead = await freePort();
    const rule = { consecutive_5xx: 3, consecutive_local_origin_failure: 3, base_ejection_time: '60s', ...outlier };
    const { proxy, port } = await aProxy(aTcpProxy({ cluster: 'web' }), aCluster([well, dead], rule));
    for (let i = 0; i < 8; i++) await visit(port);
    expect(stat(proxy, `ejections_enforced_${kind}`)).toBe(1);
    expect(proxy.store.clusters.get('web')?.endpoints.map(({ unfit }) => unfit)).toEqual([0, 1]);
  });

  it('starts again with a connection that is made', async () => {
    const well = await serving(createTcpServer(greet));
    const { proxy, port } = await aProxy(aTcpProxy({ cluster: 'web' }), aCluster([well, well], { consecutive_5xx: 1 }));
    for (let i = 0; i < 4; i++) await visit(port);
    expect(stat(proxy, 'ejections_detected_consecutive_5xx')).toBe(0);
  });
});

describe('a grpc-status in the head', () => {
  const rows: readonly (readonly [says: string, type: string, grpcStatus: string, isOut: boolean])[] = [
    ['14 counts as 503', 'application/grpc', '14', true],
    ['2 counts as 500', 'application/grpc+proto', '2', true],
    ['12 counts as 501', 'application/grpc', '12', true],
    ['one that nobody knows counts as 500', 'application/grpc', '99', true],
    ['0 is well', 'application/grpc', '0', false],
    ['5 is 404, which says nothing of the endpoint', 'application/grpc', '5', false],
    ['14 says nothing where the request is not gRPC', 'text/plain', '14', false],
  ];
  it.each(rows)('%s', async (_says, type, grpcStatus, isOut) => {
    const answer = (_request: IncomingMessage, response: ServerResponse): void => {
      response.writeHead(200, { 'content-type': 'application/grpc', 'grpc-status': grpcStatus }).end();
    };
    const ports = [await serving(createServer(answer)), await serving(createServer(answer))];
    const { proxy, port } = await aProxy(aManager(), aCluster(ports, { consecutive_5xx: 2 }));
    for (let i = 0; i < 4; i++) {
      const response = await fetch(`http://127.0.0.1:${port}/`, { method: 'POST', headers: { 'content-type': type } });
      expect(response.status).toBe(200);
      await response.arrayBuffer();
    }
    expect(stat(proxy, 'ejections_enforced_consecutive_5xx')).toBe(isOut ? 1 : 0);
  });
});
