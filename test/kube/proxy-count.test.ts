// Two control services on one real API server, with proxies at the one that does not write: the status counts them, a
// proxy that has not answered is waited for, and so is a control service that has not heard of the rule; one that died
// counts no more.
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { Client, credentials, type ClientDuplexStream } from '@grpc/grpc-js';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { systemClock } from '../../src/base/clock.ts';
import { silentLog } from '../../src/base/log.ts';
import { crdOf } from '../../src/config/schema/crd.ts';
import { kindSchemas } from '../../src/config/schema/kind-schemas.ts';
import { ControlService } from '../../src/control/control.ts';
import { KubernetesRules } from '../../src/control/kubernetes/kubernetes-rules.ts';
import { Leadership } from '../../src/control/kubernetes/leadership.ts';
import { KubeClient } from '../../src/kube/client.ts';
import { listOf, recordOf, textOf } from '../../src/kube/json-record.ts';
import { NodeSchema } from '../../src/xds/gen/envoy/config/core/v3/base_pb.js';
import {
  DiscoveryRequestSchema,
  DiscoveryResponseSchema,
  type DiscoveryRequest,
  type DiscoveryResponse,
} from '../../src/xds/gen/envoy/service/discovery/v3/discovery_pb.js';
import { CLUSTER_TYPE } from '../../src/xds/type-url.ts';
import { until } from '../support/until.ts';
import { ApiServer } from './api-server.ts';

const SYSTEM = 'outrigger-system';
const RULES = '/apis/networking.istio.io/v1/namespaces/shop/sidecars';
const RECORDS = `/apis/coordination.k8s.io/v1/namespaces/${SYSTEM}/leases`;
const ADS = '/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources';
const WAIT_MS = 20_000;

interface Replica {
  readonly control: ControlService;
  readonly leadership: Leadership;
  readonly client: KubeClient;
  readonly xds: string;
}

let kube: ApiServer;
const replicas: Replica[] = [];

beforeAll(async () => {
  kube = await ApiServer.start();
  for (const name of [SYSTEM, 'shop']) await kube.call('/api/v1/namespaces', { metadata: { name } });
  for (const kind of kindSchemas())
    await kube.call('/apis/apiextensions.k8s.io/v1/customresourcedefinitions', crdOf(kind));
  await until('the kinds are served', async () => (await kube.ask('GET', RULES)).status === 200, WAIT_MS);
  for (let index = 0; index < 2; index++) {
    replicas.push(await startReplica());
    await until('the first leads', () => replicas[0]?.leadership.isLeading === true, WAIT_MS);
  }
});
afterAll(async () => {
  for (const { control, leadership, client } of replicas) {
    await leadership.stop();
    await control.stop();
    await client.close();
  }
  await kube?.stop();
});

async function startReplica(): Promise<Replica> {
  const client = new KubeClient({ access: kube.access() });
  const common = { client, log: silentLog, clock: systemClock, namespace: SYSTEM };
  const rules = new KubernetesRules(common);
  const addresses = { xdsAddress: '127.0.0.1:0', httpAddress: '127.0.0.1:0' };
  const control = new ControlService({ sources: [rules], log: silentLog, settleMs: 0, debounceMs: 10, ...addresses });
  const { xds } = await control.start();
  const leadership = new Leadership({ ...common, control, rules });
  leadership.start();
  return { control, leadership, client, xds };
}

/** A proxy that asks for clusters, and answers what it is sent when it is told to. */
class Proxy {
  readonly #client: Client;
  readonly #stream: ClientDuplexStream<DiscoveryRequest, DiscoveryResponse>;
  #unanswered: DiscoveryResponse | null = null;

  constructor(xds: string, id: string) {
    this.#client = new Client(xds, credentials.createInsecure());
    this.#stream = this.#client.makeBidiStreamRequest(
      ADS,
      (request: DiscoveryRequest) => Buffer.from(toBinary(DiscoveryRequestSchema, request)),
      (bytes: Buffer) => fromBinary(DiscoveryResponseSchema, bytes),
    );
    this.#stream.on('data', (response: DiscoveryResponse) => {
      this.#unanswered = response;
    });
    // Its end is of its own making.
    this.#stream.on('error', () => {});
    const node = create(NodeSchema, { id });
    this.#stream.write(create(DiscoveryRequestSchema, { typeUrl: CLUSTER_TYPE, node }));
  }

  async answer(): Promise<void> {
    const { nonce, versionInfo } = await until('a response', () => this.#unanswered);
    this.#unanswered = null;
    const answered = { typeUrl: CLUSTER_TYPE, responseNonce: nonce, versionInfo };
    this.#stream.write(create(DiscoveryRequestSchema, answered));
  }

  close(): void {
    this.#stream.cancel();
    this.#client.close();
  }
}

const rule = (name: string): object => ({
  apiVersion: 'networking.istio.io/v1',
  kind: 'Sidecar',
  metadata: { name, namespace: 'shop' },
  spec: { workloadSelector: { labels: { app: name } }, egress: [{ hosts: ['./*'] }] },
});

/** `STATUS MESSAGE` of Programmed. */
async function programmed(name: string): Promise<string> {
  const { body } = await kube.ask('GET', `${RULES}/${name}`);
  const all = listOf(recordOf(recordOf(body)['status'])['conditions']).map(recordOf);
  const found = all.find(({ type }) => type === 'Programmed');
  return found === undefined ? '' : `${textOf(found['status'])} ${textOf(found['message'])}`;
}

async function records(): Promise<readonly string[]> {
  const { body } = await kube.ask('GET', `${RECORDS}?labelSelector=outrigger.dev/record%3Dproxies`);
  return listOf(recordOf(body)['items']).map((one) => {
    const { annotations } = recordOf(recordOf(one)['metadata']);
    const { synced, connected } = recordOf(JSON.parse(textOf(recordOf(annotations)['outrigger.dev/proxies'])));
    return `${String(synced)} of ${String(connected)}`;
  });
}

const reaches = async (name: string, text: string): Promise<void> => {
  await until(`${name}: ${text}`, async () => (await programmed(name)) === text, WAIT_MS);
};

test('proxies of the one that does not write are waited for and counted', { timeout: 60_000 }, async () => {
  const [leader, other] = replicas;
  expect([leader?.leadership.isLeading, other?.leadership.isLeading]).toEqual([true, false]);
  const [near, far] = [leader, other].map(
    (replica, index) => new Proxy(replica?.xds ?? '', `sidecar~10.0.0.${index}~p.shop~d`),
  );
  await near?.answer();
  await until('both are written down', async () => (await records()).toSorted().join() === '0 of 1,1 of 1', WAIT_MS);
  await kube.call(RULES, rule('first'));
  await reaches('first', 'False 1 of 2 proxies have it');
  await far?.answer();
  await reaches('first', 'True 2 of 2 proxies have it');
  near?.close();
  far?.close();
});

test(
  'a record that says less than the rule is not counted, and that of a dead one is nobody',
  { timeout: 60_000 },
  async () => {
    await until('nobody is there', async () => (await records()).join() === '0 of 0,0 of 0', WAIT_MS);
    const annotations = { 'outrigger.dev/proxies': JSON.stringify({ synced: 7, connected: 7, heard: {} }) };
    const metadata = { name: 'outrigger-proxies-dead', labels: { 'outrigger.dev/record': 'proxies' }, annotations };
    await kube.call(RECORDS, { metadata });
    await new Promise((resume) => setTimeout(resume, 500));
    await kube.call(RULES, rule('second'));
    await reaches('second', 'False 0 of 7 proxies have it');
    // It is not renewed.
    await until('without it', async () => (await programmed('second')).startsWith('True'), 40_000);
  },
);

test('who ends takes its record away', async () => {
  await replicas[1]?.leadership.stop();
  expect((await records()).filter((record) => record === '0 of 0')).toHaveLength(1);
});
