// A cluster that runs: pods of Deployments come out of a real API server with the sidecar that the webhook gave them, and a
// node of network namespaces runs just that: the step that redirects, the sidecar with its token and its probes, the
// app. Rules are applied as kubectl does, and move real connections.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { crdOf } from '../../src/config/schema/crd.ts';
import { kindSchemas } from '../../src/config/schema/kind-schemas.ts';
import { recordOf, textOf } from '../../src/kube/json-record.ts';
import { OtelCollector, type SeenSpan } from '../peer/otel-collector.ts';
import { startChild, untilReady, type Child } from '../support/child.ts';
import { freePorts } from '../support/free-port.ts';
import { OUTRIGGER } from '../support/real-parts.ts';
import { HUB } from '../support/pod.ts';
import { statusOf, until } from '../support/until.ts';
import { ApiServer } from './api-server.ts';
import { ClusterNode } from './cluster-node.ts';
import { AGENT_IMAGE, type RunningPod } from './running-pod.ts';

const SYSTEM = 'outrigger-system';
const REGISTRATION = '/apis/admissionregistration.k8s.io/v1';
const MOVE_MS = 2000;

let kube: ApiServer;
let collector: OtelCollector;
let control: Child;
let node: ClusterNode;
let webAddress = '';
const pods = new Map<string, RunningPod>();

beforeAll(async () => {
  [kube, collector] = await Promise.all([ApiServer.start(), OtelCollector.start()]);
  for (const [name, labels] of Object.entries({ [SYSTEM]: {}, shop: { 'istio-injection': 'enabled' }, plain: {} }))
    await kube.call('/api/v1/namespaces', { metadata: { name, labels } });
  for (const kind of kindSchemas())
    await kube.call('/apis/apiextensions.k8s.io/v1/customresourcedefinitions', crdOf(kind));
  const [webhooks = 0, xds = 0, http = 0, secure = 0] = await freePorts(4);
  await registerInjector(webhooks);
  node = await ClusterNode.start(kube);
  await node.open(`outrigger-control.${SYSTEM}.svc`, 15_012, secure);
  await node.open('collector', 4317, collector.grpcPort);
  const own = ['--kube', `${kube.folder}/kubeconfig`, '--ca-secret', 'outrigger-ca'];
  const places = ['--xds', `127.0.0.1:${xds}`, '--http', `127.0.0.1:${http}`, '--secure', `127.0.0.1:${secure}`];
  const others = ['--webhooks', `127.0.0.1:${webhooks}`, '--tracing', `otel=${HUB}:4317`];
  control = startChild(process.execPath, [OUTRIGGER, 'control', ...own, ...places, ...others]);
  await untilReady(control, async () => (await statusOf(http, '/ready')) === 200, 60_000);
  await until('the webhook is trusted', () => control.output().includes('the webhooks are trusted'), 20_000);
  node.follow();
  await deploy();
}, 120_000);

afterAll(async () => {
  await node?.stop();
  await control?.stop();
  await Promise.all([kube?.stop(), collector?.stop()]);
});

async function registerInjector(port: number): Promise<void> {
  await kube.call(`${REGISTRATION}/mutatingwebhookconfigurations`, {
    metadata: { name: 'outrigger-injector' },
    webhooks: [
      {
        name: 'inject.outrigger.dev',
        clientConfig: { url: `https://127.0.0.1:${port}/inject` },
        rules: [{ apiGroups: [''], resources: ['pods'], operations: ['CREATE'], apiVersions: ['*'] }],
        namespaceSelector: { matchLabels: { 'istio-injection': 'enabled' } },
        failurePolicy: 'Fail',
        sideEffects: 'None',
        admissionReviewVersions: ['v1'],
      },
    ],
  });
}

/** Two versions of a service, two callers, and one who is not in the mesh. */
async function deploy(): Promise<void> {
  const made: readonly (readonly [namespace: string, app: string, version: string])[] = [
    ['shop', 'web', 'v1'],
    ['shop', 'web', 'v2'],
    ['shop', 'caller', ''],
    ['shop', 'stranger', ''],
    ['plain', 'outsider', ''],
  ];
  for (const [namespace, app, version] of made) {
    if (version !== 'v2') await kube.makeAccount(namespace, app);
    const labels = version === '' ? { app } : { app, version };
    const listens = {
      ports: [{ name: 'http', containerPort: 8080 }],
      args: ['name', '8080'],
      env: [{ name: 'NAME', value: version }],
      readinessProbe: { httpGet: { path: '/', port: 'http' } },
      // Until nobody sends it anything any more.
      lifecycle: { preStop: { sleep: { seconds: 1 } } },
    };
    const container = { name: 'app', image: AGENT_IMAGE, ...(version === '' ? {} : listens) };
    const name = version === '' ? app : `${app}-${version}`;
    await kube.call(`/apis/apps/v1/namespaces/${namespace}/deployments`, {
      metadata: { name },
      spec: {
        selector: { matchLabels: labels },
        template: { metadata: { labels }, spec: { serviceAccountName: app, containers: [container] } },
      },
    });
  }
  const service = await kube.call('/api/v1/namespaces/shop/services', {
    metadata: { name: 'web' },
    spec: { selector: { app: 'web' }, ports: [{ name: 'http', port: 80, targetPort: 'http' }] },
  });
  webAddress = textOf(recordOf(recordOf(service)['spec'])['clusterIP']);
  for (const [namespace, app, version] of made) {
    const name = version === '' ? app : `${app}-${version}`;
    pods.set(name, await node.pod(namespace, name));
  }
}

function pod(name: string): RunningPod {
  const found = pods.get(name);
  if (found === undefined) throw new Error(name);
  return found;
}

/** What an app gets that asks the service for `/`: the status and the version that answered. */
async function ask(name: string): Promise<string> {
  const { text, error } = await pod(name).agent.get(webAddress, 80, '/', 'web.shop');
  return text || error;
}

/** As `kubectl apply --server-side`. */
async function apply(plural: string, object: { readonly apiVersion: string; readonly name: string; spec: object }) {
  const { apiVersion, name, spec } = object;
  const path = `/apis/${apiVersion}/namespaces/shop/${plural}/${name}?fieldManager=kubectl`;
  const kind = KINDS[plural];
  const body = { apiVersion, kind, metadata: { name, namespace: 'shop' }, spec };
  const answer = await kube.ask('PATCH', path, { type: 'application/apply-patch+yaml', body });
  expect([200, 201], JSON.stringify(answer.body)).toContain(answer.status);
}

const KINDS: Readonly<Record<string, string>> = {
  virtualservices: 'VirtualService',
  destinationrules: 'DestinationRule',
  peerauthentications: 'PeerAuthentication',
  authorizationpolicies: 'AuthorizationPolicy',
  telemetries: 'Telemetry',
};

/** So many of a hundred to the second version. */
async function canary(share: number): Promise<void> {
  const route = [
    { destination: { host: 'web', subset: 'v1' }, weight: 100 - share },
    { destination: { host: 'web', subset: 'v2' }, weight: share },
  ];
  await apply('virtualservices', {
    apiVersion: 'networking.istio.io/v1',
    name: 'web',
    spec: { hosts: ['web'], http: [{ route }] },
  });
}

test('what runs is what the webhook made: both versions answer, and the app saw nothing of it', async () => {
  expect(pod('web-v1').sidecars.map(({ name }) => name)).toEqual(['outrigger-proxy']);
  expect(pod('outsider').sidecars).toEqual([]);
  const seen = new Set<string>();
  await until('both versions', async () => seen.add(await ask('caller')).isSupersetOf(new Set(['200 v1', '200 v2'])));
  await until('the outsider reaches it', async () => (await askPlainly()).startsWith('200'));
});

/** Past all sidecars but that of the instance: plaintext to its address. */
async function askPlainly(): Promise<string> {
  return (await pod('outsider').agent.get(pod('web-v1').place.ipv4, 8080, '/', 'web.shop')).text;
}

test('a canary that is applied moves real requests within 2 s, and none fails', async () => {
  const versions = ['v1', 'v2'].map((version) => ({ name: version, labels: { version } }));
  await apply('destinationrules', {
    apiVersion: 'networking.istio.io/v1',
    name: 'web',
    spec: { host: 'web', subsets: versions },
  });
  const answers: string[] = [];
  const moves: Record<string, number> = {};
  for (const [share, holds] of [
    [0, (last: readonly string[]) => last.every((answer) => answer === '200 v1')],
    [50, (last: readonly string[]) => new Set(last).size === 2],
    [100, (last: readonly string[]) => last.every((answer) => answer === '200 v2')],
  ] as const) {
    await canary(share);
    const sinceMs = performance.now();
    let movedMs = 0;
    await until(`${share} %`, async () => {
      const last = [];
      const beforeMs = performance.now();
      for (let i = 0; i < 10; i++) last.push(await ask('caller'));
      answers.push(...last);
      movedMs = beforeMs - sinceMs;
      return holds(last);
    });
    moves[share] = Math.round(movedMs);
  }
  console.info('a canary moved after', moves, 'ms');
  expect(Math.max(...Object.values(moves))).toBeLessThan(MOVE_MS);
  expect(new Set(answers)).toEqual(new Set(['200 v1', '200 v2']));
});

test('under STRICT plaintext is refused, the mesh goes on, and so do the probes of the node', async () => {
  await apply('peerauthentications', {
    apiVersion: 'security.istio.io/v1',
    name: 'default',
    spec: { mtls: { mode: 'STRICT' } },
  });
  await until('plaintext is refused', async () => (await askPlainly()) === '');
  expect(await ask('caller')).toBe('200 v2');
  expect([await pod('web-v1').isReady(), await pod('web-v2').isReady()]).toEqual([true, true]);
});

test('a policy lets one account in, and no other', async () => {
  expect(await ask('stranger')).toBe('200 v2');
  await apply('authorizationpolicies', {
    apiVersion: 'security.istio.io/v1',
    name: 'web',
    spec: {
      selector: { matchLabels: { app: 'web' } },
      rules: [{ from: [{ source: { principals: ['cluster.local/ns/shop/sa/caller'] } }] }],
    },
  });
  await until('the stranger is refused', async () => (await ask('stranger')).startsWith('403'));
  expect(await ask('caller')).toBe('200 v2');
});

test('a request is one trace in the Collector, of both of its sidecars', async () => {
  await apply('telemetries', {
    apiVersion: 'telemetry.istio.io/v1',
    name: 'default',
    spec: { tracing: [{ providers: [{ name: 'otel' }], randomSamplingPercentage: 100 }] },
  });
  await until(
    'the trace',
    async () => {
      await ask('caller');
      const { spans } = collector;
      return spans.some((server) => spans.some((client) => server.parentId === client.spanId && isHop(client, server)));
    },
    20_000,
  );
});

function isHop(client: SeenSpan, server: SeenSpan): boolean {
  const sides = [client.service, client.kind, server.service, server.kind];
  return client.traceId === server.traceId && sides.join(' ') === 'caller.shop Client web.shop Server';
}

test('a rollout replaces a pod, and no request fails', { timeout: 60_000 }, async () => {
  const old = pod('web-v2');
  const path = '/apis/apps/v1/namespaces/shop/deployments/web-v2';
  await kube.ask('PATCH', path, {
    type: 'application/merge-patch+json',
    body: { spec: { template: { metadata: { annotations: { rollout: 'again' } } } } },
  });
  const answers = new Set<string>();
  await until(
    'the old one is gone',
    async () => {
      answers.add(await ask('caller'));
      return (await kube.ask('GET', `/api/v1/namespaces/shop/pods/${old.name}`)).status === 404;
    },
    40_000,
  );
  for (let i = 0; i < 20; i++) answers.add(await ask('caller'));
  expect(answers).toEqual(new Set(['200 v2']));
});
