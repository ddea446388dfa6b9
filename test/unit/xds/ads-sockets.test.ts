// Our client against our server over real sockets, both variants.
import { create, toBinary, type MessageInitShape } from '@bufbuild/protobuf';
import { afterEach, expect, test } from 'vitest';

import { systemClock } from '../../../src/base/clock.ts';
import { silentLog } from '../../../src/base/log.ts';
import { error } from '../../../src/base/problem.ts';
import type { Answer, Synced } from '../../../src/control/ads-stream.ts';
import { DiscoveryServer, type DiscoveryServerOptions } from '../../../src/control/discovery.ts';
import { DiscoveryClient, type DiscoveryClientOptions } from '../../../src/sidecar/discovery.ts';
import { GrpcConnection } from '../../../src/sidecar/grpc-client.ts';
import type { GrpcStatus } from '../../../src/sidecar/grpc-status.ts';
import { DeltaDiscoveryRequestSchema } from '../../../src/xds/gen/envoy/service/discovery/v3/discovery_pb.js';
import { CLUSTER_TYPE, ENDPOINT_TYPE, LISTENER_TYPE, ROUTE_TYPE, type TypeUrl } from '../../../src/xds/type-url.ts';
import type { Refusal, Update } from '../../../src/xds/update.ts';
import { aCluster, aListener, aNode, anAssignment, aRoutes, OneView } from '../../support/xds-builders.ts';

const VARIANTS = ['delta', 'sotw'] as const;

const cleanups: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

async function aServer(source: OneView, options: Partial<DiscoveryServerOptions> = {}) {
  const answers: Answer[] = [];
  const synced: Synced[] = [];
  const server = new DiscoveryServer({
    source,
    log: silentLog,
    clock: systemClock,
    address: '127.0.0.1:0',
    onAnswer: (answer) => answers.push(answer),
    onSynced: (one) => synced.push(one),
    ...options,
  });
  const address = await server.start();
  let isStopped = false;
  const stop = async (): Promise<void> => {
    if (isStopped) return;
    isStopped = true;
    await server.stop();
  };
  cleanups.push(stop);
  return { server, port: Number(address.split(':')[1]), answers, synced, stop };
}

/** A client that keeps what it is told, follows clusters to endpoints, and refuses names that begin with `bad`. */
function aClient(ports: readonly number[], options: Partial<DiscoveryClientOptions> = {}) {
  const held = new Map<TypeUrl, Map<string, string>>();
  const updates: Update[] = [];
  const states: string[] = [];
  const client: DiscoveryClient = new DiscoveryClient({
    control: ports.map((port) => ({ host: '127.0.0.1', port })),
    node: aNode(),
    log: silentLog,
    clock: systemClock,
    retryMsMin: 20,
    retryMsMax: 200,
    onState: (state) => states.push(state),
    onUpdate(update) {
      updates.push(update);
      const known = held.get(update.typeUrl) ?? new Map<string, string>();
      held.set(update.typeUrl, known);
      const refused: Refusal[] = [];
      for (const { name, resource } of update.changed) {
        if (name.startsWith('bad'))
          refused.push({ name, problems: [error('lb_policy', 'is bad', 'write a good one')] });
        else known.set(name, Buffer.from(resource.value).toString('latin1'));
      }
      for (const name of update.removed) known.delete(name);
      if (update.typeUrl === CLUSTER_TYPE) client.subscribe(ENDPOINT_TYPE, new Set(known.keys()));
      return refused;
    },
    ...options,
  });
  cleanups.push(() => client.close());
  client.subscribe(CLUSTER_TYPE, '*');
  client.subscribe(LISTENER_TYPE, '*');
  client.subscribe(ROUTE_TYPE, new Set(['routes']));
  return { client, held, updates, states };
}

async function until(isTrue: () => boolean, withinMs = 5000): Promise<number> {
  const startMs = systemClock.now();
  while (!isTrue()) {
    if (systemClock.now() - startMs > withinMs) throw new Error('it did not come true in time');
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  return systemClock.now() - startMs;
}

const BASE = [aCluster('c1'), anAssignment('c1', 1001), aListener('l1'), aRoutes('routes', 'v1')];

const names = (held: ReadonlyMap<TypeUrl, ReadonlyMap<string, string>>) =>
  [CLUSTER_TYPE, ENDPOINT_TYPE, LISTENER_TYPE, ROUTE_TYPE].map((typeUrl) => [...(held.get(typeUrl)?.keys() ?? [])]);

test.each(VARIANTS)('%s: a client gets everything, then every change, and acknowledges it', async (variant) => {
  const source = new OneView(...BASE);
  const { port, server, synced } = await aServer(source);
  const { held } = aClient([port], { variant });
  await until(() => names(held).every((some) => some.length === 1));
  await until(() => server.syncStatus()[0]?.types.every(({ state }) => state === 'synced') ?? false);
  expect(server.syncStatus()[0]?.protocol).toBe(variant);
  for (let change = 0; change < 20; change++) {
    source.show(...BASE.slice(0, 3), aRoutes('routes', `change ${change}`));
    await until(() => held.get(ROUTE_TYPE)?.get('routes')?.includes(`change ${change}`) ?? false, 1000);
  }
  await until(() => synced.some(({ sequence }) => sequence === 21));
  expect(Math.max(...synced.map(({ elapsedMs }) => elapsedMs))).toBeLessThan(1000);
  source.show(aCluster('c2'), anAssignment('c2', 1002), aListener('l2'), aRoutes('routes', 'v2'));
  await until(() => JSON.stringify(names(held)).includes('l2') && !(held.get(CLUSTER_TYPE)?.has('c1') ?? true));
  await until(() => held.get(ENDPOINT_TYPE)?.has('c2') ?? false);
  expect([...(held.get(CLUSTER_TYPE)?.keys() ?? [])]).toEqual(['c2']);
  expect([...(held.get(LISTENER_TYPE)?.keys() ?? [])]).toEqual(['l2']);
});

test.each(VARIANTS)(
  '%s: a server that is killed and comes back has its clients in sync within 5 s',
  async (variant) => {
    const first = await aServer(new OneView(...BASE));
    const { held, states, updates } = aClient([first.port], { variant, retryMsMin: 250, retryMsMax: 3000 });
    await until(() => names(held).every((some) => some.length === 1));
    await first.stop();
    await until(() => states.at(-1) === 'disconnected');
    const before = names(held);
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(names(held)).toEqual(before);
    updates.length = 0;
    const source = new OneView(...BASE.slice(0, 3), aRoutes('routes', 'after'));
    const second = await aServer(source, { address: `127.0.0.1:${first.port}` });
    await until(() => held.get(ROUTE_TYPE)?.get('routes')?.includes('after') ?? false, 5000);
    await until(() => second.server.syncStatus()[0]?.types.every(({ state }) => state === 'synced') ?? false, 1000);
    if (variant === 'delta') {
      // What did not change is not sent again: only the answers that open each type, and the new routes.
      expect(updates.flatMap(({ changed }) => changed.map(({ name }) => name))).toEqual(['routes']);
    }
  },
);

test.each(VARIANTS)('%s: a bad resource is refused by name, once, and the good ones are kept', async (variant) => {
  const source = new OneView(...BASE, aCluster('bad-one'));
  const { port, answers, server } = await aServer(source);
  const { held } = aClient([port], { variant });
  await until(() => answers.some(({ kind }) => kind === 'nacked') && (held.get(ENDPOINT_TYPE)?.size ?? 0) === 1);
  const nacks = () => answers.filter(({ kind }) => kind === 'nacked');
  expect(nacks().map(({ typeUrl, error }) => ({ typeUrl, error }))).toEqual([
    { typeUrl: CLUSTER_TYPE, error: 'bad-one: lb_policy: is bad; write a good one' },
  ]);
  expect([...(held.get(CLUSTER_TYPE)?.keys() ?? [])]).toEqual(['c1']);
  expect(server.counters().get('pilot_xds_cds_reject')).toBe(1);
  // Other types go on, and so does this one with its next version.
  source.show(...BASE, aCluster('bad-one'), aListener('l2'));
  await until(() => held.get(LISTENER_TYPE)?.has('l2') ?? false, 1000);
  expect(nacks().length).toBe(1);
  source.show(...BASE, aListener('l2'), aCluster('c2'));
  await until(() => held.get(CLUSTER_TYPE)?.has('c2') ?? false, 1000);
  await until(() => server.syncStatus()[0]?.types.every(({ state }) => state === 'synced') ?? false);
});

test('a node that the source refuses ends with its message and is tried again later', async () => {
  const source = new OneView(...BASE);
  source.refusal = 'no such namespace';
  const { port } = await aServer(source);
  const { held, states } = aClient([port]);
  await until(() => states.filter((state) => state === 'disconnected').length >= 2);
  source.refusal = '';
  await until(() => names(held).every((some) => some.length === 1));
});

test('the second control address is tried when the first does not answer', async () => {
  const dead = await aServer(new OneView());
  await dead.stop();
  const { port } = await aServer(new OneView(...BASE));
  const { held } = aClient([dead.port, port]);
  await until(() => names(held).every((some) => some.length === 1));
});

test('nothing is answered until the source has a view', async () => {
  const source = new OneView();
  source.hide();
  const { port } = await aServer(source);
  const { updates, states } = aClient([port]);
  await until(() => states.includes('connected') && source.listening === 1);
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(updates).toEqual([]);
  source.show(...BASE);
  await until(() => updates.length >= 3);
});

test('a client that leaves ends its hold on the source', async () => {
  const source = new OneView(...BASE);
  const { port, server } = await aServer(source);
  const { client, held } = aClient([port]);
  await until(() => names(held).every((some) => some.length === 1));
  expect(source.opened.map(({ id, cluster }) => ({ id, cluster }))).toEqual([
    { id: 'sidecar~127.0.0.1~a.default~default.svc.cluster.local', cluster: 'a.default' },
  ]);
  client.close();
  await until(() => source.closed === 1 && server.connected === 0);
});

/** A stream that sends what it is told and reads without ever answering. */
function aRawStream(port: number, path: string, ...requests: Uint8Array[]) {
  const connection = new GrpcConnection({ host: '127.0.0.1', port });
  cleanups.push(() => connection.close());
  const received: Uint8Array[] = [];
  const { promise: ended, resolve } = Promise.withResolvers<GrpcStatus>();
  const onMessage = (message: Uint8Array): void => void received.push(message);
  const stream = connection.stream(path, {}, { onMessage, onEnd: resolve });
  for (const request of requests) stream.write(request);
  return { received, ended };
}

const DELTA_PATH = '/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources';
const SOTW_PATH = '/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources';

const deltaRequest = (fields: MessageInitShape<typeof DeltaDiscoveryRequestSchema>): Uint8Array =>
  toBinary(DeltaDiscoveryRequestSchema, create(DeltaDiscoveryRequestSchema, fields));

test('a client that answers nothing is let go in time, and the others do not notice', async () => {
  const source = new OneView(...BASE);
  const { port, server } = await aServer(source, { answerMsMax: 100 });
  const { held } = aClient([port]);
  const silent = aRawStream(port, DELTA_PATH, deltaRequest({ node: aNode(), typeUrl: CLUSTER_TYPE }));
  for (let change = 0; change < 10; change++) {
    source.show(aCluster('c1', `${change}`), ...BASE.slice(1, 3), aRoutes('routes', `change ${change}`));
    await until(() => held.get(ROUTE_TYPE)?.get('routes')?.includes(`change ${change}`) ?? false, 1000);
  }
  expect((await silent.ended).code).toBe(4);
  // Whatever changed, no more than one message waited for it.
  expect(silent.received.length).toBe(1);
  await until(() => server.connected === 1);
});

const UNUSABLE: readonly { readonly name: string; readonly request: Uint8Array; readonly message: string }[] = [
  {
    name: 'without a node',
    request: deltaRequest({ typeUrl: CLUSTER_TYPE }),
    message: 'the first request must have a node with an id',
  },
  {
    name: 'with a node without an id',
    request: deltaRequest({ typeUrl: CLUSTER_TYPE, node: { cluster: 'c' } }),
    message: 'the first request must have a node with an id',
  },
  { name: 'without a type', request: deltaRequest({ node: aNode() }), message: 'type_url is required' },
];

test.each(UNUSABLE)('a first request $name ends the stream with INVALID_ARGUMENT', async ({ request, message }) => {
  const { port } = await aServer(new OneView(...BASE));
  expect(await aRawStream(port, DELTA_PATH, request).ended).toEqual({ code: 3, message });
});

test('bytes that are no request end the stream and nothing else', async () => {
  const { port, server } = await aServer(new OneView(...BASE));
  const { held } = aClient([port]);
  expect((await aRawStream(port, SOTW_PATH, Buffer.from([0xff, 0xff])).ended).code).toBe(13);
  await until(() => names(held).every((some) => some.length === 1));
  await until(() => server.connected === 1);
});

test('a stream may ask for 32 types and no more', async () => {
  const { port } = await aServer(new OneView(...BASE));
  const requests = Array.from({ length: 33 }, (_, index) =>
    deltaRequest({ node: aNode(), typeUrl: `type.googleapis.com/some.Type${index}` }),
  );
  const { ended, received } = aRawStream(port, DELTA_PATH, ...requests);
  expect(await ended).toEqual({ code: 3, message: 'more than 32 resource types' });
  expect(received.length).toBe(32);
});

test('a client whose server ages its connections moves to a new one and misses nothing', async () => {
  const source = new OneView(...BASE);
  const { port } = await aServer(source, { connectionAgeMsMax: 200 });
  const { held, states } = aClient([port]);
  await until(() => states.filter((state) => state === 'connected').length >= 3);
  source.show(...BASE.slice(0, 3), aRoutes('routes', 'after'));
  await until(() => held.get(ROUTE_TYPE)?.get('routes')?.includes('after') ?? false);
});

test('an owner that throws refuses the update and lives on', async () => {
  let isFirst = true;
  const { port, answers } = await aServer(new OneView(...BASE));
  aClient([port], {
    onUpdate() {
      if (!isFirst) return [];
      isFirst = false;
      throw new Error('oops');
    },
  });
  await until(() => answers.length >= 3);
  expect(answers.filter(({ kind }) => kind === 'nacked').map(({ error }) => error)).toEqual([
    'c1: internal error: oops',
  ]);
});
