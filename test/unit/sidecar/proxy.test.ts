// The proxy as a whole, fed by hand instead of by a control service: warming, refusing, updating in
// place, draining. Sockets are real.
import { create, fromJson, toBinary, type DescMessage, type JsonObject } from '@bufbuild/protobuf';
import { AnySchema } from '@bufbuild/protobuf/wkt';
import { createServer, request, type Server, type ServerResponse } from 'node:http';
import { createServer as createTcpServer, type AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { createLog, silentLog } from '../../../src/base/log.ts';
import { extensions } from '../../../src/sidecar/bootstrap-registry.ts';
import { adminSourceOf } from '../../../src/sidecar/proxy-admin.ts';
import { Proxy, type ProxyOptions } from '../../../src/sidecar/proxy.ts';
import { ClusterSchema } from '../../../src/xds/gen/envoy/config/cluster/v3/cluster_pb.js';
import { ClusterLoadAssignmentSchema } from '../../../src/xds/gen/envoy/config/endpoint/v3/endpoint_pb.js';
import { ListenerSchema } from '../../../src/xds/gen/envoy/config/listener/v3/listener_pb.js';
import { RouteConfigurationSchema } from '../../../src/xds/gen/envoy/config/route/v3/route_pb.js';
import { CLUSTER_TYPE, ENDPOINT_TYPE, LISTENER_TYPE, ROUTE_TYPE, type TypeUrl } from '../../../src/xds/type-url.ts';
import { formatRefusals, type Refusal, type Update } from '../../../src/xds/update.ts';
import { RawClient } from '../../support/raw-client.ts';
import {
  aBootstrap,
  aClusterJson,
  aListenerJson,
  aManager,
  anAdsBootstrap,
  aRouteConfig,
  aTcpProxy,
} from './manager-builders.ts';

const SCHEMAS: ReadonlyMap<TypeUrl, DescMessage> = new Map<TypeUrl, DescMessage>([
  [CLUSTER_TYPE, ClusterSchema],
  [ENDPOINT_TYPE, ClusterLoadAssignmentSchema],
  [LISTENER_TYPE, ListenerSchema],
  [ROUTE_TYPE, RouteConfigurationSchema],
]);

const RDS = { route_config_name: 'routes', config_source: { ads: {} } };
const EDS_CLUSTER: JsonObject = { name: 'web', type: 'EDS', eds_cluster_config: { eds_config: { ads: {} } } };

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

/** A proxy whose discovery client is the test. */
class Fed {
  readonly asked = new Map<TypeUrl, ReadonlySet<string> | '*'>();
  readonly proxy: Proxy;
  isClosed = false;
  #push: ((update: Update) => readonly Refusal[]) | null = null;
  #version = 0;

  constructor(options: Partial<ProxyOptions> = {}) {
    this.proxy = new Proxy({
      bootstrap: anAdsBootstrap(),
      log: silentLog,
      drainSeconds: 0,
      connect: ({ onUpdate }) => {
        this.#push = onUpdate;
        return {
          subscribe: (typeUrl, names) => void this.asked.set(typeUrl, names),
          close: () => void (this.isClosed = true),
        };
      },
      ...options,
    });
    cleanups.push(() => this.proxy.stop(0));
  }

  /** Sends resources as one response; returns the text of the NACK, empty for an ACK. */
  push(typeUrl: TypeUrl, resources: readonly JsonObject[], removed: readonly string[] = []): string {
    const schema = SCHEMAS.get(typeUrl);
    if (schema === undefined || this.#push === null) throw new Error('not connected');
    const version = `v${++this.#version}`;
    const changed = resources.map((json) => {
      const value = toBinary(schema, fromJson(schema, json, { registry: extensions }));
      const { name: own, cluster_name: clusterName } = json;
      const name = typeof own === 'string' ? own : typeof clusterName === 'string' ? clusterName : '';
      return { name, version, resource: create(AnySchema, { typeUrl, value }) };
    });
    return formatRefusals(this.#push({ typeUrl, version, changed, removed }));
  }

  get ports(): readonly number[] {
    return this.proxy.listeners.live().map(([, live]) => live.boundAddress?.port ?? 0);
  }

  /** Resolves when the listener named so is in force. */
  async listening(name = 'main'): Promise<number> {
    for (;;) {
      const found = this.proxy.listeners.live().find(([live]) => live === name);
      if (found !== undefined) return found[1].boundAddress?.port ?? 0;
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  refused(): readonly string[] {
    const source = adminSourceOf(this.proxy, { version: '0', commandLine: {}, quit: () => {} });
    return source.refused().map(({ kind, name }) => `${kind} ${name}`);
  }
}

/** An upstream that answers every request with `body`. */
async function anUpstream(body: string): Promise<number> {
  const server: Server = createServer((_request, response) => response.end(body));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  cleanups.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return portOf(server);
}

function portOf(server: Pick<Server, 'address'>): number {
  const address: AddressInfo | string | null = server.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
}

/** Status and body of a GET. */
function get(port: number, path = '/'): Promise<string> {
  return new Promise((resolve, reject) => {
    const sent = request({ host: '127.0.0.1', port, path, agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
      response.on('end', () => resolve(`${response.statusCode ?? 0} ${text}`));
    });
    sent.on('error', reject).end();
  });
}

function assignment(...ports: number[]): JsonObject {
  const lb_endpoints = ports.map((port_value) => ({
    endpoint: { address: { socket_address: { address: '127.0.0.1', port_value } } },
  }));
  return { cluster_name: 'web', endpoints: [{ lb_endpoints }] };
}

const direct = (text: string): JsonObject => {
  const direct_response = { status: 200, body: { inline_string: text } };
  return {
    name: 'routes',
    virtual_hosts: [{ name: 'v', domains: ['*'], routes: [{ match: { prefix: '/' }, direct_response }] }],
  };
};

test('a static bootstrap listens, forwards and is ready', async () => {
  const port = await anUpstream('hello');
  const static_resources = { listeners: [aListenerJson([aManager()])], clusters: [aClusterJson('web', port)] };
  const { proxy } = new Fed({ bootstrap: aBootstrap({ static_resources }) });
  await proxy.start();
  await proxy.ready;
  const bound = proxy.listeners.live()[0]?.[1].boundAddress?.port ?? 0;
  expect([proxy.state, await get(bound)]).toEqual(['LIVE', '200 hello']);
});

test('a static listener whose port is taken fails the start', async () => {
  const port_value = await anUpstream('x');
  const address = { socket_address: { address: '127.0.0.1', port_value } };
  const static_resources = { listeners: [aListenerJson([aManager()], { address })] };
  const { proxy } = new Fed({ bootstrap: aBootstrap({ static_resources }) });
  await expect(proxy.start()).rejects.toThrow(/listener main: .*EADDRINUSE/);
});

test('a new listener waits for its routes, its clusters for their endpoints, and then it is ready', async () => {
  const upstream = await anUpstream('hello');
  const fed = new Fed();
  await fed.proxy.start();
  expect(fed.asked.get(CLUSTER_TYPE)).toBe('*');
  expect(fed.asked.get(LISTENER_TYPE)).toBe('*');
  expect(fed.push(CLUSTER_TYPE, [EDS_CLUSTER])).toBe('');
  expect(fed.asked.get(ENDPOINT_TYPE)).toEqual(new Set(['web']));
  expect(fed.push(LISTENER_TYPE, [aListenerJson([aManager({ rds: RDS })])])).toBe('');
  expect(fed.asked.get(ROUTE_TYPE)).toEqual(new Set(['routes']));
  expect([fed.ports, fed.proxy.isReady]).toEqual([[], false]);
  expect(fed.push(ENDPOINT_TYPE, [assignment(upstream)])).toBe('');
  expect(fed.push(ROUTE_TYPE, [aRouteConfig()])).toBe('');
  await fed.proxy.ready;
  expect(await get(await fed.listening())).toBe('200 hello');
});

test('routes that come before the listener is released from waiting for clusters count', async () => {
  const fed = new Fed();
  await fed.proxy.start();
  fed.push(LISTENER_TYPE, [aListenerJson([aManager({ rds: RDS })])]);
  expect(fed.push(ROUTE_TYPE, [direct('early')])).toBe('');
  expect(fed.ports).toEqual([]);
  fed.push(CLUSTER_TYPE, []);
  expect(await get(await fed.listening())).toBe('200 early');
});

function named(name: string, text: string): JsonObject {
  return { ...aListenerJson([aManager({ route_config: direct(text) })]), name };
}

test('a listener that is replaced or removed while it waits for clusters never listens', async () => {
  const fed = new Fed();
  await fed.proxy.start();
  fed.push(LISTENER_TYPE, [named('main', 'old'), named('gone', 'gone')]);
  fed.push(LISTENER_TYPE, [named('main', 'new')], ['gone']);
  fed.push(CLUSTER_TYPE, []);
  await fed.proxy.ready;
  expect(await get(await fed.listening())).toBe('200 new');
  expect(fed.proxy.listeners.live().map(([name]) => name)).toEqual(['main']);
});

test('a cluster takes endpoints that another of the same service got before', async () => {
  const upstream = await anUpstream('shared');
  const fed = new Fed();
  await fed.proxy.start();
  fed.push(CLUSTER_TYPE, [EDS_CLUSTER]);
  fed.push(ENDPOINT_TYPE, [assignment(upstream)]);
  const service_name = 'web';
  fed.push(CLUSTER_TYPE, [
    { ...EDS_CLUSTER, name: 'two', eds_cluster_config: { eds_config: { ads: {} }, service_name } },
  ]);
  const two = fed.proxy.store.clusters.get('two');
  expect([two?.isWarm, two?.endpoints.map(({ port }) => port)]).toEqual([true, [upstream]]);
});

test('a route may come before its cluster, and works when the cluster comes', async () => {
  const upstream = await anUpstream('late');
  const fed = new Fed();
  await fed.proxy.start();
  fed.push(CLUSTER_TYPE, []);
  fed.push(LISTENER_TYPE, [aListenerJson([aManager({ rds: RDS })])]);
  fed.push(ROUTE_TYPE, [aRouteConfig()]);
  const port = await fed.listening();
  expect(await get(port)).toMatch(/^503 /);
  fed.push(CLUSTER_TYPE, [aClusterJson('web', upstream)]);
  expect(await get(port)).toBe('200 late');
});

test('new routes take effect at once, on connections that are open too', async () => {
  const fed = new Fed();
  await fed.proxy.start();
  fed.push(CLUSTER_TYPE, []);
  fed.push(LISTENER_TYPE, [aListenerJson([aManager({ rds: RDS })])]);
  fed.push(ROUTE_TYPE, [direct('one')]);
  const port = await fed.listening();
  expect(await get(port)).toBe('200 one');
  expect(fed.push(ROUTE_TYPE, [direct('two')])).toBe('');
  expect(await get(port)).toBe('200 two');
});

test('a refused resource is NACKed with its path, and its last good version stays', async () => {
  const upstream = await anUpstream('good');
  const fed = new Fed();
  await fed.proxy.start();
  fed.push(CLUSTER_TYPE, [aClusterJson('web', upstream)]);
  fed.push(LISTENER_TYPE, [aListenerJson([aManager({ rds: RDS })])]);
  fed.push(ROUTE_TYPE, [aRouteConfig()]);
  const port = await fed.listening();
  const badCluster = { ...aClusterJson('web', upstream), protocol_selection: 'USE_DOWNSTREAM_PROTOCOL' };
  expect(fed.push(CLUSTER_TYPE, [badCluster, aClusterJson('other')])).toBe(
    'web: protocol_selection: Cluster.protocol_selection is not supported; write typed_extension_protocol_options',
  );
  expect(fed.push(LISTENER_TYPE, [aListenerJson([aManager({ rds: RDS, codec_type: 'HTTP2' })])])).toContain(
    'main: filter_chains[0].filters[0].typed_config.codec_type: HTTP2 is not supported',
  );
  expect(
    fed.push(ROUTE_TYPE, [{ ...aRouteConfig(), cluster_specifier_plugins: [{ extension: { name: 'x' } }] }]),
  ).toContain('routes: cluster_specifier_plugins');
  expect(await get(port)).toBe('200 good');
  expect(fed.refused()).toEqual(['cluster web', 'listener main', 'route routes']);
  expect([...fed.proxy.store.clusters.keys()]).toEqual(['control', 'web', 'other']);
  // The good ones again: the refusals are history.
  fed.push(CLUSTER_TYPE, [aClusterJson('web', upstream)]);
  fed.push(ROUTE_TYPE, [aRouteConfig()]);
  expect(fed.refused()).toEqual(['listener main']);
});

function anHttp2Cluster(name: string): JsonObject {
  return { ...aClusterJson(name), http2_protocol_options: {} };
}

test('of HTTP/2 clusters by CDS those that no Collector is behind are warned of, once listeners are known', async () => {
  const lines: string[] = [];
  const fed = new Fed({ log: createLog('test', 'warning', (line) => lines.push(line)) });
  await fed.proxy.start();
  expect(fed.push(CLUSTER_TYPE, [anHttp2Cluster('otel')])).toBe('');
  const tracing = {
    provider: {
      name: 'otel',
      typed_config: {
        '@type': 'type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig',
        grpc_service: { envoy_grpc: { cluster_name: 'otel' } },
      },
    },
  };
  expect(fed.push(LISTENER_TYPE, [aListenerJson([aManager({ tracing })])])).toBe('');
  expect(lines).toEqual([]);
  expect(fed.push(CLUSTER_TYPE, [anHttp2Cluster('app')])).toBe('');
  expect(lines.map((line) => line.includes('"name":"app"') && line.includes('HTTP/1.1'))).toEqual([true]);
});

test('bytes that are not a message of their type are refused', async () => {
  const fed = new Fed();
  await fed.proxy.start();
  const resource = create(AnySchema, { typeUrl: CLUSTER_TYPE, value: Uint8Array.of(255, 255, 255) });
  const update = { typeUrl: CLUSTER_TYPE, version: '1', changed: [{ name: 'a', version: '1', resource }], removed: [] };
  const refusals = fed.proxy.dynamic?.onUpdate(update) ?? [];
  expect(formatRefusals(refusals)).toBe('a: the bytes are not a message of this type');
});

test('an update of a cluster keeps its live state, and new endpoints swap only the picker', async () => {
  const [one, two] = [await anUpstream('one'), await anUpstream('two')];
  const fed = new Fed();
  await fed.proxy.start();
  fed.push(CLUSTER_TYPE, [EDS_CLUSTER]);
  fed.push(ENDPOINT_TYPE, [assignment(one)]);
  fed.push(LISTENER_TYPE, [aListenerJson([aManager()])]);
  const port = await fed.listening();
  expect(await get(port)).toBe('200 one');
  const cluster = fed.proxy.store.clusters.get('web');
  const endpoint = cluster?.endpoints[0];
  fed.push(CLUSTER_TYPE, [{ ...EDS_CLUSTER, connect_timeout: '2s' }]);
  expect(fed.proxy.store.clusters.get('web')).toBe(cluster);
  expect([cluster?.endpoints[0] === endpoint, cluster?.connectTimeoutMs]).toEqual([true, 2000]);
  fed.push(ENDPOINT_TYPE, [assignment(two)]);
  expect(fed.proxy.store.clusters.get('web')).toBe(cluster);
  expect(await get(port)).toBe('200 two');
});

test('a listener is changed in place when its address stays: same socket, new manager', async () => {
  const fed = new Fed();
  await fed.proxy.start();
  fed.push(CLUSTER_TYPE, []);
  fed.push(LISTENER_TYPE, [aListenerJson([aManager({ route_config: direct('one') })])]);
  const port = await fed.listening();
  const live = fed.proxy.listeners.live()[0]?.[1];
  expect(fed.push(LISTENER_TYPE, [aListenerJson([aManager({ route_config: direct('two') })])])).toBe('');
  await new Promise((resolve) => setImmediate(resolve));
  expect(fed.proxy.listeners.live()[0]?.[1]).toBe(live);
  expect(await get(port)).toBe('200 two');
});

/** One chain for each client address, with routes of its own, as a captured pod has one for each port. */
function chainsFor(texts: Readonly<Record<string, string>>): JsonObject {
  const filter_chains = Object.entries(texts).map(([address, text]) => ({
    filter_chain_match: { source_prefix_ranges: [{ address_prefix: address, prefix_len: 32 }] },
    filters: [aManager({ route_config: { ...direct(text), name: `for ${address}` } })],
  }));
  return aListenerJson([], { filter_chains });
}

test.each([
  ['its routes are newer', { '127.0.0.1': 'one, later', '127.0.0.2': 'two, later' }, 'two, later'],
  ['another chain comes before its own', { '127.0.0.3': 'three', '127.0.0.1': 'one', '127.0.0.2': 'two' }, 'two'],
  ['its chain is gone', { '127.0.0.1': 'one, later' }, 'two'],
])('an open connection never gets the routes of another chain: %s', async (_, texts, answer) => {
  const fed = new Fed();
  await fed.proxy.start();
  fed.push(CLUSTER_TYPE, []);
  fed.push(LISTENER_TYPE, [chainsFor({ '127.0.0.1': 'one', '127.0.0.2': 'two' })]);
  const port = await fed.listening();
  const client = await RawClient.connect(port, false, '127.0.0.2');
  cleanups.push(() => client.close());
  const ask = async (): Promise<string> => {
    const [response] = await client.exchange({ pieces: ['GET / HTTP/1.1\r\nHost: a\r\n\r\n'], methods: ['GET'] });
    return response?.body.toString() ?? 'closed';
  };
  expect(await ask()).toBe('two');
  expect(fed.push(LISTENER_TYPE, [chainsFor(texts)])).toBe('');
  await new Promise((resolve) => setImmediate(resolve));
  expect(await ask()).toBe(answer);
});

/** Bytes, passed on to whoever is not at one of the addresses. */
function bytesFor(port: number, denied: readonly string[]): readonly [JsonObject, JsonObject] {
  const principals = denied.map((address_prefix) => ({ direct_remote_ip: { address_prefix, prefix_len: 32 } }));
  const rules = { action: 'DENY', policies: { denied: { permissions: [{ any: true }], principals } } };
  const type = 'type.googleapis.com/envoy.extensions.filters.network.rbac.v3.RBAC';
  const guard = { name: 'rbac', typed_config: { '@type': type, stat_prefix: 'tcp.', rules } };
  const filters = [guard, aTcpProxy({ cluster: 'web' })];
  return [aClusterJson('web', port), aListenerJson(filters)];
}

test('bytes stop when a newer policy denies their client, and go on for others', async () => {
  const server = createTcpServer((socket) => void socket.on('error', () => socket.destroy()).pipe(socket));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  cleanups.push(() => server.close());
  const echo = portOf(server);
  const fed = new Fed();
  await fed.proxy.start();
  fed.push(CLUSTER_TYPE, [bytesFor(echo, [])[0]]);
  fed.push(LISTENER_TYPE, [bytesFor(echo, ['127.0.0.9'])[1]]);
  const port = await fed.listening();
  const [one, two] = [await RawClient.connect(port), await RawClient.connect(port, false, '127.0.0.2')];
  for (const client of [one, two]) cleanups.push(() => client.close());
  for (const client of [one, two]) {
    client.socket.write('a');
    expect((await client.bytes(1)).toString()).toBe('a');
  }
  expect(fed.push(LISTENER_TYPE, [bytesFor(echo, ['127.0.0.2'])[1]])).toBe('');
  expect(await two.closesWithin(2000)).toBe(true);
  one.socket.write('b');
  expect((await one.bytes(1)).toString()).toBe('b');
});

function listenerAt(address: string): JsonObject {
  const socket_address = { address, port_value: 0 };
  return aListenerJson([aManager({ route_config: direct(address) })], { address: { socket_address } });
}

test('a listener that moves listens on the new address before it leaves the old one', async () => {
  const fed = new Fed();
  await fed.proxy.start();
  fed.push(CLUSTER_TYPE, []);
  fed.push(LISTENER_TYPE, [listenerAt('127.0.0.1')]);
  const oldPort = await fed.listening();
  const before = fed.proxy.listeners.live()[0]?.[1];
  fed.push(LISTENER_TYPE, [listenerAt('127.0.0.2')]);
  while (fed.proxy.listeners.live()[0]?.[1] === before) await new Promise((resolve) => setImmediate(resolve));
  const after = fed.proxy.listeners.live()[0]?.[1].boundAddress;
  expect([after?.address, before?.isDraining]).toEqual(['127.0.0.2', true]);
  await expect(get(oldPort)).rejects.toThrow(/ECONNREFUSED/);
});

test('a listener that cannot listen is told as refused, and the others serve', async () => {
  const taken = await anUpstream('x');
  const fed = new Fed();
  await fed.proxy.start();
  fed.push(CLUSTER_TYPE, []);
  const address = { socket_address: { address: '127.0.0.1', port_value: taken } };
  const route_config = direct('up');
  fed.push(LISTENER_TYPE, [
    { ...aListenerJson([aManager({ route_config })], { address }), name: 'taken' },
    aListenerJson([aManager({ route_config })]),
  ]);
  await fed.proxy.ready;
  expect(await get(await fed.listening())).toBe('200 up');
  expect(fed.refused()).toEqual(['listener taken']);
});

test('a removed listener stops to listen, and another may take its address in the same response', async () => {
  const fed = new Fed();
  await fed.proxy.start();
  fed.push(CLUSTER_TYPE, []);
  fed.push(LISTENER_TYPE, [aListenerJson([aManager({ route_config: direct('one') })])]);
  const port = await fed.listening();
  const address = { socket_address: { address: '127.0.0.1', port_value: port } };
  const next = { ...aListenerJson([aManager({ route_config: direct('two') })], { address }), name: 'next' };
  fed.push(LISTENER_TYPE, [next], ['main']);
  expect(await get(await fed.listening('next'))).toBe('200 two');
  expect(fed.proxy.listeners.live().map(([name]) => name)).toEqual(['next']);
});

test('a removed cluster is gone for its routes', async () => {
  const upstream = await anUpstream('x');
  const fed = new Fed();
  await fed.proxy.start();
  fed.push(CLUSTER_TYPE, [aClusterJson('web', upstream)]);
  fed.push(LISTENER_TYPE, [aListenerJson([aManager()])]);
  const port = await fed.listening();
  expect(await get(port)).toBe('200 x');
  fed.push(CLUSTER_TYPE, [], ['web']);
  expect(await get(port)).toMatch(/^503 /);
});

test('endpoints and routes that never come are waited for no longer than the fetch timeout', async () => {
  const fed = new Fed({ fetchTimeoutMs: 20 });
  await fed.proxy.start();
  fed.push(CLUSTER_TYPE, [EDS_CLUSTER]);
  const rds = { ...RDS, config_source: { ads: {}, initial_fetch_timeout: '0.02s' } };
  fed.push(LISTENER_TYPE, [aListenerJson([aManager({ rds })])]);
  await fed.proxy.ready;
  expect(await get(await fed.listening())).toMatch(/^404 /);
});

test('a fetch timeout longer than a timer can run is no reason to go on at once', async () => {
  const fed = new Fed();
  await fed.proxy.start();
  const eds_cluster_config = { eds_config: { ads: {}, initial_fetch_timeout: '2592000s' } };
  fed.push(CLUSTER_TYPE, [{ ...EDS_CLUSTER, eds_cluster_config }]);
  fed.push(LISTENER_TYPE, [named('main', 'hello')]);
  // What would be wrong comes after a millisecond.
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect([fed.ports, fed.proxy.isReady]).toEqual([[], false]);
});

test('resources of the bootstrap cannot be replaced or removed by discovery', async () => {
  const fed = new Fed();
  await fed.proxy.start();
  expect(fed.push(CLUSTER_TYPE, [aClusterJson('control', 1234)], ['control'])).toBe('');
  expect(fed.proxy.store.clusters.get('control')?.endpoints[0]?.port).toBe(9);
});

test('a sidecar that leaves a mesh says so before it stops to listen', async () => {
  const fed = new Fed({ drainSeconds: 5 });
  await fed.proxy.start();
  fed.push(CLUSTER_TYPE, []);
  fed.push(LISTENER_TYPE, [aListenerJson([aManager({ route_config: direct('still here') })])]);
  await fed.proxy.ready;
  const port = await fed.listening();
  const stopping = fed.proxy.stop();
  expect([fed.isClosed, fed.proxy.state, await get(port)]).toEqual([true, 'DRAINING', '200 still here']);
  await stopping;
  await expect(get(port)).rejects.toThrow(/ECONNREFUSED/);
});

test('without a control service the proxy is not ready', async () => {
  const fed = new Fed();
  await fed.proxy.start();
  expect([fed.proxy.isReady, fed.proxy.state]).toEqual([false, 'INITIALIZING']);
});

test('stop waits for the request under way, answers it, and then nothing listens', async () => {
  const arrived = Promise.withResolvers<ServerResponse>();
  const server = createServer((_request, response) => arrived.resolve(response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  cleanups.push(() => server.close());
  const static_resources = {
    listeners: [aListenerJson([aManager()])],
    clusters: [aClusterJson('web', portOf(server))],
  };
  const { proxy, ports } = await started(static_resources);
  const pending = get(ports[0] ?? 0);
  const response = await arrived.promise;
  const stopping = proxy.stop(5);
  expect(proxy.state).toBe('DRAINING');
  response.end('slow');
  expect(await pending).toBe('200 slow');
  await stopping;
  await expect(get(ports[0] ?? 0)).rejects.toThrow(/ECONNREFUSED/);
});

async function started(static_resources: JsonObject): Promise<{ proxy: Proxy; ports: readonly number[] }> {
  const fed = new Fed({ bootstrap: aBootstrap({ static_resources }) });
  await fed.proxy.start();
  return { proxy: fed.proxy, ports: fed.ports };
}
