// A real Envoy, connected by ADS to our discovery server, state-of-the-world and delta: it gets what it
// needs to route, follows every update without a failed request, and refuses nothing.
import { mkdir, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join } from 'node:path';

import { afterEach, expect, test } from 'vitest';

import { systemClock } from '../../src/base/clock.ts';
import { silentLog } from '../../src/base/log.ts';
import type { Answer } from '../../src/control/ads-stream.ts';
import { DiscoveryServer } from '../../src/control/discovery.ts';
import type { EncodedResource } from '../../src/xds/resource.ts';
import { startChild, untilReady } from '../support/child.ts';
import { freePorts, listen } from '../support/free-port.ts';
import { clusterAt, httpListener, routesTo } from '../support/mesh-resources.ts';
import { PROJECT_ROOT, realPart } from '../support/real-parts.ts';
import { statusOf, until } from '../support/until.ts';
import { OneView } from '../support/xds-builders.ts';

const VARIANTS = [
  { variant: 'delta', apiType: 'DELTA_GRPC' },
  { variant: 'sotw', apiType: 'GRPC' },
] as const;

const cleanups: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

function bootstrap(apiType: string, adminPort: number, controlPort: number): string {
  return `
node: { id: 'sidecar~127.0.0.1~envoy.default~default.svc.cluster.local', cluster: envoy.default }
admin: { address: { socket_address: { address: 127.0.0.1, port_value: ${adminPort} } } }
dynamic_resources:
  ads_config:
    api_type: ${apiType}
    transport_api_version: V3
    set_node_on_first_message_only: true
    grpc_services: [{ envoy_grpc: { cluster_name: control } }]
  cds_config: { ads: {}, resource_api_version: V3 }
  lds_config: { ads: {}, resource_api_version: V3 }
static_resources:
  clusters:
    - name: control
      type: STATIC
      connect_timeout: 1s
      typed_extension_protocol_options:
        envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
          '@type': type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
          explicit_http_config: { http2_protocol_options: {} }
      load_assignment:
        cluster_name: control
        endpoints: [{ lb_endpoints: [{ endpoint: { address: { socket_address: { address: 127.0.0.1, port_value: ${controlPort} } } } }] }]
`;
}

async function anUpstream(text: string): Promise<number> {
  const server = createServer((_request, response) => response.end(text));
  cleanups.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return listen(server);
}

async function aControl(source: OneView, port: number) {
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
  return { server, answers };
}

async function anEnvoy(apiType: string, controlPort: number, adminPort: number): Promise<void> {
  const folder = join(PROJECT_ROOT, '.cache/peer');
  await mkdir(folder, { recursive: true });
  const file = join(folder, `ads.${apiType}.yaml`);
  await writeFile(file, bootstrap(apiType, adminPort, controlPort));
  const quiet = ['--log-level', 'warning', '--disable-hot-restart', '--use-dynamic-base-id', '--concurrency', '1'];
  const envoy = startChild(realPart('envoy'), ['-c', file, ...quiet]);
  cleanups.push(() => envoy.stop());
  await untilReady(envoy, async () => (await statusOf(adminPort, '/ready')) === 200);
}

async function get(port: number): Promise<string> {
  const response = await fetch(`http://127.0.0.1:${port}/`, { signal: AbortSignal.timeout(3000) });
  return response.status === 200 ? await response.text() : `${response.status} ${await response.text()}`;
}

/** Asks again and again until told to stop; resolves to every answer that was not one of `expected`. */
function load(port: number, expected: readonly string[]) {
  const state = { isOn: true };
  let count = 0;
  const failures: string[] = [];
  const done = (async () => {
    while (state.isOn) {
      const answer = await get(port).catch((cause: unknown) => String(cause));
      count++;
      if (!expected.includes(answer)) failures.push(answer);
    }
  })();
  return {
    async stop() {
      state.isOn = false;
      await done;
      return { count, failures };
    },
  };
}

test.each(VARIANTS)('an Envoy routes by ADS ($variant) and follows every update without a failure', async (row) => {
  const [controlPort = 0, adminPort = 0, listenPort = 0] = await freePorts(3);
  const one = await anUpstream('one');
  const two = await anUpstream('two');
  const listener = httpListener('main', listenPort);
  const source = new OneView(...clusterAt('first', one), listener, routesTo('first'));
  const { server, answers } = await aControl(source, controlPort);
  await anEnvoy(row.apiType, controlPort, adminPort);
  expect(await get(listenPort)).toBe('one');
  expect(server.syncStatus()[0]?.protocol).toBe(row.variant);

  const client = load(listenPort, ['one', 'two']);
  // Endpoints alone.
  source.show(...clusterAt('first', two), listener, routesTo('first'));
  await until('the endpoint moves', async () => (await get(listenPort)) === 'two');
  // A new cluster under a new name, the old one gone, in one change, again and again.
  for (let turn = 0; turn < 30; turn++) {
    const [name, port, text] = turn % 2 === 0 ? ['a', one, 'one'] : ['b', two, 'two'];
    source.show(...clusterAt(`${name}${turn}`, port), listener, routesTo(`${name}${turn}`));
    await until(`turn ${turn}`, async () => (await get(listenPort)) === text, 3000);
  }
  // A cluster that only changes is warmed again, and needs its endpoints again.
  for (const seconds of [2, 3, 4]) {
    source.show(...clusterAt('b29', two, seconds), listener, routesTo('b29'));
    const clusters = `http://127.0.0.1:${adminPort}/config_dump?resource=dynamic_active_clusters`;
    await until(`version ${seconds} is active`, async () => {
      const dump = await (await fetch(clusters)).text();
      return dump.includes(`"connect_timeout": "${seconds}s"`);
    });
  }
  const { count, failures } = await client.stop();
  expect(count).toBeGreaterThan(100);
  expect(failures).toEqual([]);
  expect(answers.filter(({ kind }) => kind === 'nacked')).toEqual([]);
  await until('all is acked', () => server.syncStatus()[0]?.types.every(({ state }) => state === 'synced') ?? false);
});

test.each(VARIANTS)('an Envoy keeps routing while control is away and follows it back ($variant)', async (row) => {
  const [controlPort = 0, adminPort = 0, listenPort = 0] = await freePorts(3);
  const one = await anUpstream('one');
  const two = await anUpstream('two');
  const listener = httpListener('main', listenPort);
  const first = await aControl(new OneView(...clusterAt('first', one), listener, routesTo('first')), controlPort);
  await anEnvoy(row.apiType, controlPort, adminPort);
  const client = load(listenPort, ['one', 'two']);
  await first.server.stop();
  expect(await get(listenPort)).toBe('one');
  // The cluster is another version now, so it is warmed again after the reconnect.
  const changed: EncodedResource[] = [...clusterAt('first', one, 7), ...clusterAt('second', two)];
  const second = await aControl(new OneView(...changed, listener, routesTo('second')), controlPort);
  await until('Envoy is back', async () => (await get(listenPort)) === 'two', 40_000);
  await until('all is acked', () => second.server.syncStatus()[0]?.types.every(({ state }) => state === 'synced'));
  const warming = await fetch(`http://127.0.0.1:${adminPort}/config_dump?resource=dynamic_warming_clusters`);
  expect(await warming.text()).not.toContain('"name"');
  const { failures } = await client.stop();
  expect(failures).toEqual([]);
  expect(second.answers.filter(({ kind }) => kind === 'nacked')).toEqual([]);
});

const WRONG: EncodedResource[] = clusterAt('wrong', 1, -5);

test.each(VARIANTS)(
  'what an Envoy refuses is recorded once, and the next good version goes through ($variant)',
  async (row) => {
    const [controlPort = 0, adminPort = 0, listenPort = 0] = await freePorts(3);
    const one = await anUpstream('one');
    const two = await anUpstream('two');
    const listener = httpListener('main', listenPort);
    const base = [...clusterAt('first', one), listener];
    const source = new OneView(...base, routesTo('first'));
    const { server, answers } = await aControl(source, controlPort);
    await anEnvoy(row.apiType, controlPort, adminPort);
    source.show(...base, ...WRONG, routesTo('first'));
    await until('it is refused', () => answers.some(({ kind }) => kind === 'nacked'));
    expect(await get(listenPort)).toBe('one');
    expect(server.counters().get('pilot_xds_cds_reject')).toBe(1);
    source.show(...base, ...clusterAt('second', two), routesTo('second'));
    await until('the good version', async () => (await get(listenPort)) === 'two', 3000);
    const refusals = answers.filter(({ kind }) => kind === 'nacked');
    expect(refusals.map(({ error }) => error.includes('Expected positive duration'))).toEqual([true]);
  },
);
