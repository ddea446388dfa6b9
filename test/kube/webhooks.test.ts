// The webhooks of a control service in a process of its own, asked by a real API server: pods come out with a sidecar,
// rules that cannot be followed are refused with the path of the field, and others are unaffected when it is gone.
import { Agent, request } from 'undici';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { crdOf } from '../../src/config/schema/crd.ts';
import { kindSchemas } from '../../src/config/schema/kind-schemas.ts';
import { KubeClient } from '../../src/kube/client.ts';
import { isJsonRecord, listOf, recordOf, textOf, type JsonRecord } from '../../src/kube/json-record.ts';
import { startChild, untilReady, type Child } from '../support/child.ts';
import { freePorts } from '../support/free-port.ts';
import { OUTRIGGER } from '../support/real-parts.ts';
import { statusOf, until } from '../support/until.ts';
import { ApiServer, type Answer } from './api-server.ts';

const SYSTEM = 'outrigger-system';
const REGISTRATION = '/apis/admissionregistration.k8s.io/v1';
const RULES = '/apis/networking.istio.io/v1/namespaces/shop/virtualservices';

let kube: ApiServer;
let control: Child;
let port = 0;

beforeAll(async () => {
  kube = await ApiServer.start();
  const [webhooks = 0, xds = 0, http = 0, secure = 0] = await freePorts(4);
  port = webhooks;
  await kube.call('/api/v1/namespaces', { metadata: { name: SYSTEM } });
  await kube.call('/api/v1/namespaces', { metadata: { name: 'shop', labels: { 'istio-injection': 'enabled' } } });
  await kube.call('/api/v1/namespaces', { metadata: { name: 'plain' } });
  for (const namespace of ['shop', 'plain']) await kube.makeAccount(namespace, 'app');
  for (const kind of kindSchemas())
    await kube.call('/apis/apiextensions.k8s.io/v1/customresourcedefinitions', crdOf(kind));
  await kube.call(`${REGISTRATION}/mutatingwebhookconfigurations`, {
    metadata: { name: 'outrigger-injector' },
    webhooks: [
      webhook('inject.outrigger.dev', `https://127.0.0.1:${webhooks}/inject`, {
        apiGroups: [''],
        resources: ['pods'],
        operations: ['CREATE'],
      }),
    ],
  });
  await kube.call(`${REGISTRATION}/validatingwebhookconfigurations`, {
    metadata: { name: 'outrigger-validator' },
    webhooks: [
      webhook('validate.outrigger.dev', `https://127.0.0.1:${webhooks}/validate`, {
        apiGroups: ['networking.istio.io', 'security.istio.io', 'outrigger.dev'],
        resources: ['*'],
        operations: ['CREATE', 'UPDATE'],
      }),
    ],
  });
  const places = ['--xds', `127.0.0.1:${xds}`, '--http', `127.0.0.1:${http}`, '--secure', `127.0.0.1:${secure}`];
  const own = [
    '--kube',
    `${kube.folder}/kubeconfig`,
    '--ca-secret',
    'outrigger-ca',
    '--webhooks',
    `127.0.0.1:${webhooks}`,
  ];
  control = startChild(process.execPath, [
    OUTRIGGER,
    'control',
    ...own,
    ...places,
    '--sidecar-image',
    'mesh/sidecar:1',
  ]);
  await untilReady(control, async () => (await statusOf(http, '/ready')) === 200, 60_000);
  await until(
    'the webhooks are trusted',
    () => control.output().split('the webhooks are trusted').length === 3,
    20_000,
  );
});
afterAll(async () => {
  await control?.stop();
  await kube?.stop();
});

function webhook(
  name: string,
  url: string,
  rule: Readonly<Record<'apiGroups' | 'resources' | 'operations', string[]>>,
): object {
  return {
    name,
    clientConfig: { url },
    rules: [{ ...rule, apiVersions: ['*'] }],
    ...(rule.resources[0] === 'pods' ? { namespaceSelector: { matchLabels: { 'istio-injection': 'enabled' } } } : {}),
    failurePolicy: rule.resources[0] === 'pods' ? 'Fail' : 'Ignore',
    sideEffects: 'None',
    admissionReviewVersions: ['v1'],
    timeoutSeconds: 5,
  };
}

const podSpec = {
  serviceAccountName: 'app',
  containers: [{ name: 'app', image: 'none', ports: [{ containerPort: 8080, name: 'http' }] }],
};

async function makePod(namespace: string, name: string, metadata: object = {}, spec: object = {}): Promise<Answer> {
  return await kube.ask('POST', `/api/v1/namespaces/${namespace}/pods`, {
    body: { metadata: { name, ...metadata }, spec: { ...podSpec, ...spec } },
  });
}

const namesOf = (list: unknown): readonly string[] => listOf(list).map((one) => textOf(recordOf(one)['name']));

function shape(body: unknown): JsonRecord {
  const { metadata, spec } = recordOf(body);
  const { labels, annotations } = recordOf(metadata);
  return {
    init: namesOf(recordOf(spec)['initContainers']),
    containers: namesOf(recordOf(spec)['containers']),
    volumes: namesOf(recordOf(spec)['volumes']).filter((name) => !name.startsWith('kube-api-access')),
    tls: recordOf(labels)['security.istio.io/tlsMode'],
    isMarked: Object.hasOwn(recordOf(annotations), 'outrigger.dev/status'),
  };
}

const WITH = {
  init: ['outrigger-init', 'outrigger-proxy'],
  containers: ['app'],
  volumes: ['istio-token', 'istiod-ca-cert'],
  tls: 'istio',
  isMarked: true,
};
const WITHOUT = { init: [], containers: ['app'], volumes: [], tls: undefined, isMarked: false };

test('a pod of a labelled namespace has a sidecar with the token and the roots that it needs', async () => {
  const { status, body } = await makePod('shop', 'one', { labels: { app: 'one' } });
  expect([status, shape(body)]).toEqual([201, WITH]);
  const proxy = recordOf(listOf(recordOf(recordOf(body)['spec'])['initContainers'])[1]);
  expect(proxy['image']).toBe('mesh/sidecar:1');
  expect(proxy['restartPolicy']).toBe('Always');
  expect(listOf(proxy['args'])).toContain('--control=outrigger-control.outrigger-system.svc:15012');
  expect(listOf(proxy['volumeMounts']).map((mount) => recordOf(mount)['mountPath'])).toEqual(
    expect.arrayContaining(['/var/run/secrets/tokens', '/var/run/secrets/istio']),
  );
});

interface PodCase {
  readonly title: string;
  readonly namespace?: string;
  readonly metadata?: object;
  readonly spec?: object;
  readonly wanted: JsonRecord;
}

test.each<PodCase>([
  { title: 'of a namespace without the label', namespace: 'plain', wanted: WITHOUT },
  {
    title: 'that does not want one',
    metadata: { labels: { 'sidecar.istio.io/inject': 'false' } },
    wanted: WITHOUT,
  },
  {
    title: 'on the network of its node',
    spec: { hostNetwork: true, containers: [{ name: 'app', image: 'none' }] },
    wanted: WITHOUT,
  },
  {
    title: 'in explicit mode',
    metadata: { annotations: { 'sidecar.istio.io/interceptionMode': 'NONE' } },
    wanted: { ...WITH, init: ['outrigger-proxy'] },
  },
  {
    title: 'with the classic form',
    metadata: { annotations: { 'sidecar.istio.io/nativeSidecar': 'false' } },
    wanted: { ...WITH, init: ['outrigger-init'], containers: ['outrigger-proxy', 'app'] },
  },
])('a pod $title is as it should be', async ({ title, namespace = 'shop', metadata, spec, wanted }) => {
  const { status, body } = await makePod(namespace, title.replaceAll(/[^a-z]+/g, '-'), metadata, spec);
  expect([status, shape(body)]).toEqual([201, wanted]);
});

test('the validator closes once it has proven itself, and nothing is left of the proof', async () => {
  const path = `${REGISTRATION}/validatingwebhookconfigurations/outrigger-validator`;
  const isClosed = async (): Promise<boolean> => {
    const { body } = await kube.ask('GET', path);
    return recordOf(listOf(recordOf(body)['webhooks'])[0])['failurePolicy'] === 'Fail';
  };
  await until('the validator is closed', isClosed, 20_000);
  const { body } = await kube.ask('GET', `/apis/networking.istio.io/v1/namespaces/${SYSTEM}/virtualservices`);
  expect(listOf(recordOf(body)['items'])).toEqual([]);
});

// A level of Pod Security, and the pods that it takes with a sidecar.
const tight = {
  allowPrivilegeEscalation: false,
  capabilities: { drop: ['ALL'] },
  runAsNonRoot: true,
  runAsUser: 1000,
  seccompProfile: { type: 'RuntimeDefault' },
};
test.each([
  { level: 'privileged', mode: 'REDIRECT', status: 201 },
  { level: 'baseline', mode: 'NONE', status: 201 },
  { level: 'restricted', mode: 'NONE', status: 201 },
  // The step that redirects has NET_ADMIN, which neither level takes.
  { level: 'restricted', mode: 'REDIRECT', status: 403 },
])('in a namespace of level $level a pod of mode $mode is answered with $status', async ({ level, mode, status }) => {
  const namespace = `level-${level}-${mode.toLowerCase()}`;
  const labels = { 'istio-injection': 'enabled', 'pod-security.kubernetes.io/enforce': level };
  await kube.call('/api/v1/namespaces', { metadata: { name: namespace, labels } });
  await kube.makeAccount(namespace, 'app');
  const spec = { ...podSpec, containers: [{ ...podSpec.containers[0], securityContext: tight }] };
  const annotations = { 'sidecar.istio.io/interceptionMode': mode };
  const answer = await kube.ask('POST', `/api/v1/namespaces/${namespace}/pods?dryRun=All`, {
    body: { metadata: { name: 'app', annotations }, spec },
  });
  expect([answer.status, recordOf(answer.body)['message']]).toEqual([
    status,
    status === 201 ? undefined : expect.stringContaining('NET_ADMIN'),
  ]);
  if (status === 201) expect(shape(answer.body)).toMatchObject({ isMarked: true });
});

test('the pods of a Deployment have it, once', async () => {
  const template = { metadata: { labels: { app: 'many' } }, spec: podSpec };
  await kube.call('/apis/apps/v1/namespaces/shop/deployments', {
    metadata: { name: 'many' },
    spec: { replicas: 2, selector: { matchLabels: { app: 'many' } }, template },
  });
  const pods = await until(
    'the pods',
    async () => {
      const { body } = await kube.ask('GET', '/api/v1/namespaces/shop/pods?labelSelector=app%3Dmany');
      const items = listOf(recordOf(body)['items']);
      return items.length === 2 ? items : null;
    },
    20_000,
  );
  for (const pod of pods) {
    expect(shape(pod)).toEqual(WITH);
    const proxy = recordOf(listOf(recordOf(recordOf(pod)['spec'])['initContainers'])[1]);
    expect(listOf(proxy['args'])).toContain('--service=many.$(POD_NAMESPACE)');
  }
});

test('settings that cannot be are refused by their name', async () => {
  const annotations = { 'traffic.sidecar.istio.io/excludeOutboundPorts': 'many' };
  const { status, body } = await makePod('shop', 'wrong', { annotations });
  expect([status, String(recordOf(body)['message'])]).toEqual([
    422,
    expect.stringContaining('traffic.sidecar.istio.io/excludeOutboundPorts'),
  ]);
});

const rule = (name: string, match: object, extra: object = {}): JsonRecord => ({
  apiVersion: 'networking.istio.io/v1',
  kind: 'VirtualService',
  metadata: { name, namespace: 'shop' },
  spec: { hosts: ['web'], http: [{ match: [match], route: [{ destination: { host: 'web' } }], ...extra }] },
});

test('a rule that cannot be followed is refused with the path of its field', async () => {
  const { status, body } = await kube.ask('POST', RULES, { body: rule('broken', { uri: { regex: '(' } }) });
  const causes = listOf(recordOf(recordOf(body)['details'])['causes']).map((cause) => recordOf(cause)['field']);
  expect([status, causes]).toEqual([422, ['spec.http[0].match[0].uri.regex']]);
  expect(String(recordOf(body)['message'])).toContain('spec.http[0].match[0].uri.regex');
});

test('a rule that is doubtful is taken, and the doubt is told', async () => {
  const warnings: string[] = [];
  const client = new KubeClient({ access: kube.access(), onWarning: (text) => warnings.push(text) });
  const kind = {
    group: 'networking.istio.io',
    version: 'v1',
    kind: 'VirtualService',
    plural: 'virtualservices',
    isNamespaced: true,
  };
  const draft = rule('doubtful', { uri: { prefix: '/' } });
  const made = await client.create(kind, { ...draft, metadata: { name: 'doubtful', namespace: 'shop' } });
  await client.close();
  expect(made.kind).toBe('done');
  expect(warnings.join(' ')).toContain('web');
});

test.each([
  { title: 'nine megabytes', body: `"${'x'.repeat(9 * 1024 * 1024)}"`, status: 413 },
  { title: 'no JSON', body: '{"kind":', status: 400 },
  { title: 'something deep', body: '['.repeat(100_000) + ']'.repeat(100_000), status: 400 },
  { title: 'another object', body: '{"kind":"Pod"}', status: 400 },
  { title: 'another type', body: '{}', type: 'text/yaml', status: 415 },
  { title: 'another page', body: '{}', path: '/', status: 404 },
])('$title is answered with $status, and costs nobody else', async ({ body, status, type, path = '/inject' }) => {
  const agent = new Agent({ connect: { rejectUnauthorized: false } });
  const headers = { 'content-type': type ?? 'application/json' };
  const answer = await request(`https://127.0.0.1:${port}${path}`, {
    dispatcher: agent,
    method: 'POST',
    headers,
    body,
  });
  await answer.body.dump();
  await agent.close();
  expect(answer.statusCode).toBe(status);
  const pod = await kube.ask('POST', '/api/v1/namespaces/shop/pods?dryRun=All', {
    body: { metadata: { name: 'after' }, spec: podSpec },
  });
  expect([pod.status, shape(pod.body)]).toEqual([201, WITH]);
});

test('when nobody answers, pods outside of the mesh are unaffected and those inside are refused', async () => {
  await control.stop();
  expect((await makePod('plain', 'later')).status).toBe(201);
  const { status, body } = await makePod('shop', 'later');
  expect([status, isJsonRecord(body) ? String(body['message']) : '']).toEqual([
    500,
    expect.stringContaining('inject.outrigger.dev'),
  ]);
});
