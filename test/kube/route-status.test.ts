// The status of rules on a real API server: what a route says of its parents and of what it names while Services and
// ReferenceGrants come and go, beside entries of another controller; and that nothing is written where nothing changed.
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
import { until } from '../support/until.ts';
import { ApiServer } from './api-server.ts';
import { gatewayDefinitions } from './gateway-definitions.ts';

const GROUP = '/apis/gateway.networking.k8s.io';
const ROUTE = `${GROUP}/v1/namespaces/shop/httproutes/web`;
const GRANTS = `${GROUP}/v1beta1/namespaces/other/referencegrants`;
const RULES = '/apis/networking.istio.io/v1/namespaces/shop/destinationrules';
const MERGE = 'application/merge-patch+json';
const LOOK_MS = 20_000;
const WEB = { group: '', kind: 'Service', name: 'web' };
const GATEWAY = { group: 'gateway.networking.k8s.io', kind: 'Gateway', name: 'edge' };

let kube: ApiServer;
let client: KubeClient;
let control: ControlService;
let leadership: Leadership;

beforeAll(async () => {
  kube = await ApiServer.start();
  client = new KubeClient({ access: kube.access() });
  for (const name of ['outrigger-system', 'shop', 'other'])
    await kube.call('/api/v1/namespaces', { metadata: { name } });
  const definitions = [...kindSchemas().map(crdOf), ...(await gatewayDefinitions())];
  for (const one of definitions) await kube.call('/apis/apiextensions.k8s.io/v1/customresourcedefinitions', one);
  await until('the kinds are served', async () => (await kube.ask('GET', GRANTS)).status === 200, LOOK_MS);
  const common = { client, log: silentLog, clock: systemClock, namespace: 'outrigger-system' };
  const rules = new KubernetesRules({ ...common, timing: { absentMs: 300 } });
  const addresses = { xdsAddress: '127.0.0.1:0', httpAddress: '127.0.0.1:0' };
  control = new ControlService({ sources: [rules], log: silentLog, settleMs: 0, debounceMs: 10, ...addresses });
  await control.start();
  leadership = new Leadership({ ...common, control, rules });
  leadership.start();
  await service('shop', 'web');
});
afterAll(async () => {
  await leadership?.stop();
  await control?.stop();
  await client?.close();
  await kube?.stop();
});

async function service(namespace: string, name: string): Promise<void> {
  const spec = { ports: [{ name: 'http', port: 80 }] };
  await kube.call(`/api/v1/namespaces/${namespace}/services`, { metadata: { name }, spec });
}

async function change(path: string, body: object): Promise<void> {
  const { status } = await kube.ask('PATCH', path, { type: MERGE, body });
  expect(status).toBe(200);
}

const conditions = (value: unknown): readonly string[] =>
  listOf(value).map((one) => {
    const { type, status, reason, observedGeneration } = recordOf(one);
    return [type, status, reason, observedGeneration].join(' ');
  });

/** `CONTROLLER PARENT: conditions` of each entry. */
async function parents(): Promise<readonly string[]> {
  const { body } = await kube.ask('GET', ROUTE);
  return listOf(recordOf(recordOf(body)['status'])['parents']).map((one) => {
    const { controllerName, parentRef, conditions: all } = recordOf(one);
    const { name, sectionName } = recordOf(parentRef);
    return [...[controllerName, name, sectionName].map(textOf), ...conditions(all)]
      .filter((part) => part !== '')
      .join(', ');
  });
}

async function version(path: string): Promise<string> {
  const { body } = await kube.ask('GET', path);
  return textOf(recordOf(recordOf(body)['metadata'])['resourceVersion']);
}

const ours = (parent: string, resolved: string, generation: number): string =>
  [
    'outrigger.dev/control',
    parent,
    `Accepted True Accepted ${generation}`,
    `ResolvedRefs ${resolved} ${generation}`,
    `Programmed True Programmed ${generation}`,
  ].join(', ');

async function reaches(expected: readonly string[]): Promise<void> {
  const isSaid = async (): Promise<boolean> => (await parents()).join('\n') === expected.join('\n');
  await until('the status', isSaid, LOOK_MS).catch(() => null);
  expect(await parents()).toEqual(expected);
}

const THEIRS = 'example.com/edge, edge, Accepted True Accepted 1';
const FAR = { name: 'far', namespace: 'other', port: 80 };
const rules = (backend: object): object => ({ spec: { rules: [{ backendRefs: [backend] }] } });

test('a route says of each Service among its parents whether it is attached, and that all is there', async () => {
  await kube.call(`${GROUP}/v1/namespaces/shop/httproutes`, {
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'HTTPRoute',
    metadata: { name: 'web' },
    spec: {
      parentRefs: [{ ...WEB, sectionName: 'http' }, { ...WEB, sectionName: 'admin' }, GATEWAY],
      rules: [{ backendRefs: [{ name: 'web', port: 80 }] }],
    },
  });
  const lost = ['Accepted False', 'ResolvedRefs True', 'Programmed False'];
  const reasons = ['NoMatchingParent', 'ResolvedRefs', 'NoMatchingParent'];
  const unmatched = lost.map((condition, index) => `${condition} ${reasons[index]} 1`);
  await reaches([
    ours('web, http', 'True ResolvedRefs', 1),
    ['outrigger.dev/control', 'web', 'admin', ...unmatched].join(', '),
  ]);
});

test('entries of others stay, and one of a parent that was removed goes', async () => {
  const { body } = await kube.ask('GET', ROUTE);
  const said = listOf(recordOf(recordOf(body)['status'])['parents']);
  const time = { observedGeneration: 1, lastTransitionTime: '2026-01-01T00:00:00Z' };
  const accepted = { type: 'Accepted', status: 'True', reason: 'Accepted', message: '', ...time };
  const theirs = { parentRef: GATEWAY, controllerName: 'example.com/edge', conditions: [accepted] };
  await change(`${ROUTE}/status`, { status: { parents: [...said, theirs] } });
  await change(ROUTE, { spec: { parentRefs: [WEB, GATEWAY] } });
  await reaches([THEIRS, ours('web', 'True ResolvedRefs', 2)]);
});

const says = async (resolved: string, generation: number): Promise<void> =>
  await reaches([THEIRS, ours('web', resolved, generation)]);

test('the status follows Services and ReferenceGrants that come and go', { timeout: 60_000 }, async () => {
  await change(ROUTE, rules(FAR));
  await says('False RefNotPermitted', 3);
  await kube.call(GRANTS, {
    apiVersion: 'gateway.networking.k8s.io/v1beta1',
    kind: 'ReferenceGrant',
    metadata: { name: 'shop' },
    spec: {
      from: [{ group: 'gateway.networking.k8s.io', kind: 'HTTPRoute', namespace: 'shop' }],
      to: [{ group: '', kind: 'Service' }],
    },
  });
  await says('False BackendNotFound', 3);
  await service('other', 'far');
  await says('True ResolvedRefs', 3);
  await kube.call(`${GRANTS}/shop`, null);
  await says('False RefNotPermitted', 3);
  await change(ROUTE, rules({ group: 'x.example', kind: 'Bucket', name: 'web' }));
  await says('False InvalidKind', 4);
});

test('other rules say so of what they name', { timeout: 60_000 }, async () => {
  const said = async (): Promise<string> => {
    const { body } = await kube.ask('GET', `${RULES}/web`);
    return conditions(recordOf(recordOf(body)['status'])['conditions'])[1] ?? '';
  };
  const tls = { mode: 'SIMPLE', credentialName: 'roots' };
  await kube.call(RULES, {
    apiVersion: 'networking.istio.io/v1',
    kind: 'DestinationRule',
    metadata: { name: 'web' },
    spec: { host: 'web', trafficPolicy: { tls } },
  });
  const missing = 'ResolvedRefs False ReferencedResourceNotFound 1';
  await until('the credential is missing', async () => (await said()) === missing, LOOK_MS);
  await kube.call('/api/v1/namespaces/shop/secrets', {
    metadata: { name: 'roots', labels: { 'outrigger.dev/credential': 'true' } },
    stringData: { cacert: kube.authority },
  });
  await until('it came', async () => (await said()) === 'ResolvedRefs True ResolvedRefs 1', LOOK_MS);
  await kube.call('/api/v1/namespaces/shop/services/web', null);
  await until('the host is gone', async () => (await said()) === missing, LOOK_MS);
});

const versions = async (): Promise<readonly string[]> => await Promise.all([ROUTE, `${RULES}/web`].map(version));

test('nothing is written where nothing changed', async () => {
  const before = await versions();
  await new Promise((resume) => setTimeout(resume, 3_500));
  expect(await versions()).toEqual(before);
});
