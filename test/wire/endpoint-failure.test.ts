// What becomes of the connections to an endpoint that is ejected or fails its checks: HTTP connections are not used
// again, TCP connections go on unless the cluster ends them.
import { connect, type Socket } from 'node:net';
import type { JsonObject } from '@bufbuild/protobuf';
import { afterEach, expect, test } from 'vitest';
import { silentLog } from '../../src/base/log.ts';
import { UNFIT } from '../../src/plan/cluster.ts';
import { Proxy } from '../../src/sidecar/proxy.ts';
import { RawClient } from '../support/raw-client.ts';
import { RawUpstream } from '../support/raw-upstream.ts';
import { until } from '../support/until.ts';
import { aBootstrap, aClusterJson, aListenerJson, aManager, aTcpProxy } from '../unit/sidecar/manager-builders.ts';

const GET = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n';
const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

async function aBench(filter: JsonObject, cluster: JsonObject = {}) {
  const upstream = await RawUpstream.start(['web']);
  cleanups.push(() => upstream.close());
  const clusters = [{ ...aClusterJson('web', upstream.ports.get('web')), ...cluster }];
  const bootstrap = aBootstrap({ static_resources: { listeners: [aListenerJson([filter])], clusters } });
  const proxy = new Proxy({ bootstrap, log: silentLog, drainSeconds: 0 });
  cleanups.push(() => proxy.stop(0));
  await proxy.start();
  const web = proxy.store.clusters.get('web');
  const [endpoint] = web?.endpoints ?? [];
  if (web === undefined || endpoint === undefined) throw new Error('no endpoint');
  const fail = (reason: number): void => {
    web.setUnfit(endpoint, reason, true);
    web.setUnfit(endpoint, reason, false);
  };
  return { upstream, fail, port: proxy.listeners.live()[0]?.[1].boundAddress?.port ?? 0 };
}

test.each([
  [UNFIT.EJECTED, 2],
  [UNFIT.FAILED_CHECK, 2],
  [UNFIT.EXCLUDED, 1],
])('after the reason %i the next request finds a connection of its own: %i in all', async (reason, count) => {
  const { upstream, fail, port } = await aBench(aManager());
  const client = await RawClient.connect(port);
  cleanups.push(() => client.close());
  await client.exchange({ pieces: [GET], methods: ['GET'] });
  fail(reason);
  const [response] = await client.exchange({ pieces: [GET], methods: ['GET'] });
  expect([response?.status, upstream.accepted.get('web')]).toEqual([200, count]);
});

test('close_connections_on_host_health_failure ends TCP connections, which go on without it', async () => {
  const ends: boolean[] = [];
  for (const close_connections_on_host_health_failure of [false, true]) {
    const { upstream, fail, port } = await aBench(aTcpProxy({ cluster: 'web' }), {
      close_connections_on_host_health_failure,
    });
    const socket: Socket = connect(port, '127.0.0.1');
    let isClosed = false;
    socket.on('error', () => {}).on('close', () => (isClosed = true));
    cleanups.push(() => socket.destroy());
    await until('upstream', () => upstream.accepted.get('web') === 1);
    fail(UNFIT.FAILED_CHECK);
    // The answer to what is sent afterwards shows that the connection goes on.
    socket.write(GET);
    await until('an end or an answer', () => isClosed || socket.bytesRead > 0);
    ends.push(isClosed);
  }
  expect(ends).toEqual([false, true]);
});
