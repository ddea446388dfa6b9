// From an empty API server to a mesh and back: the release is installed by its command, a namespace gets a label, Deployments
// make pods that come out with sidecars and run, rules are applied, one of two control services is killed under load, a Job
// ends, and after uninstalling the list of objects is as it was. The control services run here, with the flags and the
// rights of the release.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { KubeClient } from '../../src/kube/client.ts';
import { listOf, recordOf, textOf, textsOf, type JsonRecord } from '../../src/kube/json-record.ts';
import { startChild, untilReady, type Child } from '../support/child.ts';
import { freePorts } from '../support/free-port.ts';
import { OUTRIGGER } from '../support/real-parts.ts';
import { statusOf, until } from '../support/until.ts';
import { ApiServer } from './api-server.ts';
import { ClusterNode } from './cluster-node.ts';
import { expectObjects, settledObjects } from './cluster-objects.ts';
import { AGENT_IMAGE, SCRIPT_IMAGE, type RunningPod } from './running-pod.ts';

const SYSTEM = 'outrigger-system';
const REGISTRATION = '/apis/admissionregistration.k8s.io/v1';
const RULES = '/apis/networking.istio.io/v1/namespaces/shop';
const MOVE_MS = 2000;
const STATUS_MS = 20_000;

interface Control {
  readonly child: Child;
  readonly securePort: number;
  readonly webhookPort: number;
}

let kube: ApiServer;
let client: KubeClient;
let node: ClusterNode;
let empty: readonly string[];
let webAddress = '';
const controls: Control[] = [];
const leads = ({ child }: Control): boolean => child.output().includes('this control service leads');
const alive = (): readonly Control[] => controls.filter(({ child }) => !child.hasExited());

beforeAll(async () => {
  kube = await ApiServer.start();
  client = new KubeClient({ access: kube.access() });
  node = await ClusterNode.start(kube);
  await node.open(`outrigger-control.${SYSTEM}.svc`, 15_012, () => alive()[0]?.securePort ?? 0);
  empty = await settledObjects(client);
}, 120_000);
afterAll(async () => {
  await node?.stop();
  await Promise.all(controls.map(async ({ child }) => await child.stop()));
  await client?.close();
  await kube?.stop();
});

async function outrigger(...args: readonly string[]): Promise<number> {
  const child = startChild(process.execPath, [OUTRIGGER, ...args, '--kube', join(kube.folder, 'kubeconfig')]);
  const code = await child.exited;
  if (code !== 0) throw new Error(child.output());
  return code;
}

/** With the flags of the Deployment, but for where the API server is and where it listens. */
async function startControl(name: string): Promise<Control> {
  const files = { token: join(kube.folder, `${name}.token`), ca: join(kube.folder, 'api.pem') };
  await writeFile(files.token, await kube.token(`${SYSTEM}/outrigger-control`, 'https://kubernetes.default.svc'));
  await writeFile(files.ca, kube.authority);
  const { body } = await kube.ask('GET', `/apis/apps/v1/namespaces/${SYSTEM}/deployments/outrigger-control`);
  const [container] = listOf(recordOf(recordOf(recordOf(recordOf(body)['spec'])['template'])['spec'])['containers']);
  const [xds = 0, http = 0, securePort = 0, webhookPort = 0] = await freePorts(4);
  const places = ['--kube', '--secure', '--http-address', '--webhooks'];
  const given = textsOf(recordOf(container)['args']).filter((arg) => !places.includes(arg.split('=')[0] ?? ''));
  const own = [
    `--kube=${kube.url}`,
    `--kube-token-file=${files.token}`,
    `--kube-ca=${files.ca}`,
    `--xds=127.0.0.1:${xds}`,
    `--http=127.0.0.1:${http}`,
    `--secure=127.0.0.1:${securePort}`,
    `--webhooks=127.0.0.1:${webhookPort}`,
  ];
  const child = startChild(process.execPath, [OUTRIGGER, ...given, ...own], { env: { POD_NAME: name } });
  await untilReady(child, async () => (await statusOf(http, '/ready')) === 200, 60_000);
  return { child, securePort, webhookPort };
}

/** There is no network of services here: the API server asks this one by its address. */
async function pointWebhooks({ webhookPort }: Control): Promise<void> {
  for (const [plural, name, path] of [
    ['mutatingwebhookconfigurations', 'outrigger-injector', '/inject'],
    ['validatingwebhookconfigurations', 'outrigger-validator', '/validate'],
  ]) {
    const { body } = await kube.ask('GET', `${REGISTRATION}/${plural}/${name}`);
    const webhooks = listOf(recordOf(body)['webhooks']).map(recordOf);
    const url = `https://127.0.0.1:${webhookPort}${path}`;
    const turned = webhooks.map(({ clientConfig, ...rest }) => {
      const { caBundle } = recordOf(clientConfig);
      return { ...rest, clientConfig: { url, ...(caBundle === undefined ? {} : { caBundle }) } };
    });
    const type = 'application/merge-patch+json';
    const { status } = await kube.ask('PATCH', `${REGISTRATION}/${plural}/${name}`, {
      type,
      body: { webhooks: turned },
    });
    expect(status).toBe(200);
  }
}

async function deploy(name: string, version: string): Promise<void> {
  const labels = { app: name, ...(version === '' ? {} : { version }) };
  const listens = {
    ports: [{ name: 'http', containerPort: 8080 }],
    args: ['name', '8080'],
    env: [{ name: 'NAME', value: version }],
    readinessProbe: { httpGet: { path: '/', port: 'http' } },
  };
  const container = { name: 'app', image: AGENT_IMAGE, ...(version === '' ? {} : listens) };
  await kube.call('/apis/apps/v1/namespaces/shop/deployments', {
    metadata: { name: version === '' ? name : `${name}-${version}` },
    spec: {
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: { serviceAccountName: name, containers: [container] } },
    },
  });
}

let caller: RunningPod;
async function ask(): Promise<string> {
  const { text, error } = await caller.agent.get(webAddress, 80, '/', 'web.shop');
  return text || error;
}

/** As `kubectl apply --server-side`; the status and what was said. */
async function apply(share: number, more: JsonRecord = {}) {
  const route = [
    { destination: { host: 'web', subset: 'v1' }, weight: 100 - share },
    { destination: { host: 'web', subset: 'v2' }, weight: share },
  ];
  return await kube.ask('PATCH', `${RULES}/virtualservices/web?fieldManager=kubectl`, {
    type: 'application/apply-patch+yaml',
    body: {
      apiVersion: 'networking.istio.io/v1',
      kind: 'VirtualService',
      metadata: { name: 'web', namespace: 'shop' },
      spec: { hosts: ['web'], http: [{ ...more, route }] },
    },
  });
}

/** The cell that `kubectl get virtualservices` shows under this heading. */
async function shown(heading: string): Promise<unknown> {
  const accept = 'application/json;as=Table;v=v1;g=meta.k8s.io';
  const { body } = await kube.ask('GET', `${RULES}/virtualservices`, { accept });
  const column = listOf(recordOf(body)['columnDefinitions']).findIndex((one) => recordOf(one)['name'] === heading);
  return listOf(recordOf(listOf(recordOf(body)['rows'])[0])['cells'])[column];
}

async function generationOfStatus(): Promise<number> {
  const { body } = await kube.ask('GET', `${RULES}/virtualservices/web`);
  const [first] = listOf(recordOf(recordOf(body)['status'])['conditions']);
  return Number(recordOf(first)['observedGeneration'] ?? 0);
}

test(
  'installed by one command, it injects what is made in a namespace with the label',
  { timeout: 120_000 },
  async () => {
    await outrigger('install', '--yes', '--no-wait');
    controls.push(await startControl('control-a'), await startControl('control-b'));
    const [first] = controls;
    if (first !== undefined) await pointWebhooks(first);
    await until('the webhooks are trusted', () => first?.child.output().includes('outrigger-validator'), 30_000);
    node.follow(SYSTEM);
    await kube.call('/api/v1/namespaces', { metadata: { name: 'shop', labels: { 'istio-injection': 'enabled' } } });
    for (const account of ['web', 'caller']) await kube.makeAccount('shop', account);
    const service = await kube.call('/api/v1/namespaces/shop/services', {
      metadata: { name: 'web' },
      spec: { selector: { app: 'web' }, ports: [{ name: 'http', port: 80, targetPort: 'http' }] },
    });
    webAddress = textOf(recordOf(recordOf(service)['spec'])['clusterIP']);
    await deploy('web', 'v1');
    await deploy('web', 'v2');
    await deploy('caller', '');
    caller = await node.pod('shop', 'caller');
    for (const name of ['web-v1', 'web-v2']) {
      const pod = await node.pod('shop', name);
      expect(pod.sidecars.map((sidecar) => sidecar.name)).toEqual(['outrigger-proxy']);
    }
    await until('an answer', async () => (await ask()).startsWith('200'));
  },
);

test('a broken rule is refused with the path of its field', async () => {
  const refused = await until(
    'the refusal',
    async () => {
      const answer = await apply(0, { match: [{ uri: { regex: '(' } }] });
      return answer.status >= 400 ? answer : null;
    },
    20_000,
  );
  expect(JSON.stringify(refused.body)).toContain('spec.http[0].match[0].uri.regex');
  // It was there before the webhook was asked, or was not: it is gone in either case.
  await kube.ask('DELETE', `${RULES}/virtualservices/web`);
});

test('a canary moves real requests within 2 s, and kubectl shows that it is accepted', async () => {
  const subsets = ['v1', 'v2'].map((version) => ({ name: version, labels: { version } }));
  await kube.call(`${RULES}/destinationrules`, {
    apiVersion: 'networking.istio.io/v1',
    kind: 'DestinationRule',
    metadata: { name: 'web' },
    spec: { host: 'web', subsets },
  });
  for (const [share, version] of [
    [0, 'v1'],
    [100, 'v2'],
  ] as const) {
    expect([200, 201]).toContain((await apply(share)).status);
    const sinceMs = performance.now();
    await until(`all to ${version}`, async () =>
      (await Promise.all([ask(), ask(), ask()])).every((one) => one === `200 ${version}`),
    );
    expect(performance.now() - sinceMs).toBeLessThan(MOVE_MS);
  }
  await until('accepted', async () => (await shown('Accepted')) === 'True', STATUS_MS);
});

test(
  'the leader is killed under load: no request fails, and the other one writes status within 20 s',
  { timeout: 60_000 },
  async () => {
    const leader = await until('a leader', () => alive().find(leads) ?? null, 20_000);
    const answers: string[] = [];
    const over = new AbortController();
    const load = Promise.all(
      [0, 1, 2, 3].map(async () => {
        while (!over.signal.aborted) answers.push(await ask());
      }),
    );
    leader.child.kill('SIGKILL');
    await leader.child.exited;
    const killedMs = performance.now();
    const [other] = alive();
    if (other !== undefined) await pointWebhooks(other);
    await until('a rule is taken', async () => (await apply(0)).status < 300, 10_000);
    const { body } = await kube.ask('GET', `${RULES}/virtualservices/web`);
    const { generation } = recordOf(recordOf(body)['metadata']);
    await until('its effect', async () => (await ask()) === '200 v1');
    const effectMs = performance.now() - killedMs;
    await until('its status', async () => (await generationOfStatus()) === generation, STATUS_MS);
    const statusMs = performance.now() - killedMs;
    over.abort();
    await load;
    console.info('after the leader was killed:', {
      effectMs: Math.round(effectMs),
      statusMs: Math.round(statusMs),
      requests: answers.length,
    });
    expect(new Set(answers).difference(new Set(['200 v1', '200 v2']))).toEqual(new Set());
    expect(statusMs).toBeLessThan(STATUS_MS);
  },
);

test('a Job that calls the mesh ends, and its sidecar with it', { timeout: 60_000 }, async () => {
  const script = `
    import { get } from 'node:http';
    get({ host: '${webAddress}', path: '/', headers: { host: 'web.shop' } }, (answer) => {
      answer.resume();
      answer.on('end', () => { process.exitCode = answer.statusCode === 200 ? 0 : 1; });
    });`;
  const jobs = '/apis/batch/v1/namespaces/shop/jobs';
  const container = { name: 'script', image: SCRIPT_IMAGE, args: [script] };
  const template = { spec: { serviceAccountName: 'caller', restartPolicy: 'Never', containers: [container] } };
  await kube.call(jobs, { metadata: { name: 'once' }, spec: { backoffLimit: 0, template } });
  const status = async (): Promise<JsonRecord> =>
    recordOf(recordOf((await kube.ask('GET', `${jobs}/once`)).body)['status']);
  await until(
    'its end',
    async () => (await status())['completionTime'] !== undefined || (await status())['failed'] === 1,
    40_000,
  );
  expect((await status())['succeeded']).toBe(1);
  const { body } = await kube.ask('GET', '/api/v1/namespaces/shop/pods?labelSelector=job-name%3Donce');
  const [ended] = listOf(recordOf(body)['items']).map((pod) => recordOf(recordOf(pod)['spec']));
  const sidecars = listOf(ended?.['initContainers']).filter((one) => recordOf(one)['restartPolicy'] === 'Always');
  expect(sidecars.map((one) => recordOf(one)['name'])).toEqual(['outrigger-proxy']);
});

test('uninstalled, the list of objects is as it was', { timeout: 120_000 }, async () => {
  await kube.ask('DELETE', '/api/v1/namespaces/shop');
  await until(
    'the namespace is gone',
    async () => (await kube.ask('GET', '/api/v1/namespaces/shop')).status === 404,
    60_000,
  );
  for (const { child } of alive()) await child.stop();
  await outrigger('uninstall', '--yes', '--remove-rules');
  await expectObjects(client, empty);
});
