// A proxyless gRPC client (@grpc/grpc-js-xds, state-of-the-world, every type by name) against our
// discovery server: `xds:///name` resolves, calls arrive, an update moves them, nothing is refused.
import { Client, credentials, Server, ServerCredentials, type ServiceDefinition } from '@grpc/grpc-js';
import { create } from '@bufbuild/protobuf';
import { anyPack } from '@bufbuild/protobuf/wkt';
import { afterEach, expect, test } from 'vitest';

import { systemClock } from '../../src/base/clock.ts';
import { silentLog } from '../../src/base/log.ts';
import type { Answer } from '../../src/control/ads-stream.ts';
import { DiscoveryServer } from '../../src/control/discovery.ts';
import { ClusterLoadAssignmentSchema } from '../../src/xds/gen/envoy/config/endpoint/v3/endpoint_pb.js';
import { ListenerSchema } from '../../src/xds/gen/envoy/config/listener/v3/listener_pb.js';
import { RouteConfigurationSchema } from '../../src/xds/gen/envoy/config/route/v3/route_pb.js';
import { RouterSchema } from '../../src/xds/gen/envoy/extensions/filters/http/router/v3/router_pb.js';
import { HttpConnectionManagerSchema } from '../../src/xds/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js';
import { encodeResource, type EncodedResource } from '../../src/xds/resource.ts';
import { freePort } from '../support/free-port.ts';
import { clusterAt } from '../support/mesh-resources.ts';
import { until } from '../support/until.ts';
import { OneView, socketAddress } from '../support/xds-builders.ts';

const NAME = 'greeter.default.svc.cluster.local:7070';

const cleanups: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

/** An api_listener under the very name that the client asks for. */
function apiListener(): EncodedResource {
  const router = anyPack(RouterSchema, create(RouterSchema));
  const configSource = { configSourceSpecifier: { case: 'ads', value: {} } } as const;
  const manager = create(HttpConnectionManagerSchema, {
    routeSpecifier: { case: 'rds', value: { configSource, routeConfigName: 'greeter' } },
    httpFilters: [{ name: 'router', configType: { case: 'typedConfig', value: router } }],
  });
  const apiListener = anyPack(HttpConnectionManagerSchema, manager);
  return encodeResource(ListenerSchema, NAME, create(ListenerSchema, { name: NAME, apiListener: { apiListener } }));
}

function routes(cluster: string): EncodedResource {
  const action = { case: 'route', value: { clusterSpecifier: { case: 'cluster', value: cluster } } } as const;
  const match = { pathSpecifier: { case: 'prefix', value: '' } } as const;
  const virtualHosts = [{ name: 'greeter', domains: [NAME], routes: [{ match, action }] }];
  const message = create(RouteConfigurationSchema, { name: 'greeter', virtualHosts });
  return encodeResource(RouteConfigurationSchema, 'greeter', message);
}

/** gRPC wants localities with names and weights. */
function cluster(name: string, port: number): EncodedResource[] {
  const hostIdentifier = { case: 'endpoint', value: { address: socketAddress(port) } } as const;
  const locality = { region: 'r', zone: 'z', subZone: 's' };
  const endpoints = [{ locality, loadBalancingWeight: 1, lbEndpoints: [{ hostIdentifier }] }];
  const message = create(ClusterLoadAssignmentSchema, { clusterName: name, endpoints });
  return [...clusterAt(name, port).slice(0, 1), encodeResource(ClusterLoadAssignmentSchema, name, message)];
}

const same = (bytes: Buffer): Buffer => bytes;

const SERVICE: ServiceDefinition = {
  Greet: {
    path: '/test.Greeter/Greet',
    requestStream: false,
    responseStream: false,
    requestSerialize: same,
    requestDeserialize: same,
    responseSerialize: same,
    responseDeserialize: same,
  },
};

async function aGreeter(text: string): Promise<number> {
  const server = new Server();
  server.addService(SERVICE, {
    Greet: (_call: unknown, reply: (cause: null, value: Buffer) => void) => reply(null, Buffer.from(text)),
  });
  cleanups.push(() => server.forceShutdown());
  return new Promise((done, fail) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (cause, port) =>
      cause === null ? done(port) : fail(cause),
    );
  });
}

function greet(client: Client): Promise<string> {
  return new Promise((done) => {
    const deadline = Date.now() + 5000;
    client.makeUnaryRequest('/test.Greeter/Greet', same, same, Buffer.from('hi'), { deadline }, (cause, value) =>
      done(cause === null ? String(value) : cause.message),
    );
  });
}

test('a proxyless gRPC client finds its service by name and follows it', async () => {
  const port = await freePort();
  process.env['GRPC_XDS_BOOTSTRAP_CONFIG'] = JSON.stringify({
    xds_servers: [
      { server_uri: `127.0.0.1:${port}`, channel_creds: [{ type: 'insecure' }], server_features: ['xds_v3'] },
    ],
    node: {
      id: 'sidecar~127.0.0.1~grpc.default~default.svc.cluster.local',
      locality: {},
      metadata: { GENERATOR: 'grpc' },
    },
  });
  const { register } = await import('@grpc/grpc-js-xds');
  register();
  const [one, two] = [await aGreeter('one'), await aGreeter('two')];
  const source = new OneView(apiListener(), routes('first'), ...cluster('first', one), ...cluster('unasked', two));
  const answers: Answer[] = [];
  const server = new DiscoveryServer({
    source,
    log: silentLog,
    clock: systemClock,
    address: `127.0.0.1:${port}`,
    onAnswer: (answer) => answers.push(answer),
  });
  await server.start();
  cleanups.push(() => server.stop());
  const client = new Client(`xds:///${NAME}`, credentials.createInsecure());
  cleanups.push(() => client.close());

  expect(await greet(client)).toBe('one');
  source.show(apiListener(), routes('first'), ...cluster('first', two));
  await until('its endpoint moves', async () => (await greet(client)) === 'two');
  source.show(apiListener(), routes('second'), ...cluster('second', one));
  await until('its route moves', async () => (await greet(client)) === 'one');
  expect(answers.filter(({ kind }) => kind === 'nacked')).toEqual([]);
  expect(server.syncStatus()[0]?.types.map(({ state }) => state)).toEqual(['synced', 'synced', 'synced', 'synced']);
});
