// The webhooks of a release whose control service is not there, as docs/kubernetes.md says it: row by row, by an API server
// that has the very configurations that an installation makes.
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { listOf, recordOf } from '../../src/kube/json-record.ts';
import { startChild } from '../support/child.ts';
import { OUTRIGGER } from '../support/real-parts.ts';
import { until } from '../support/until.ts';
import { ApiServer, type Answer } from './api-server.ts';

const SYSTEM = 'outrigger-system';
const RULES = '/apis/networking.istio.io/v1/namespaces/shop/virtualservices';
const REGISTRATION = '/apis/admissionregistration.k8s.io/v1';
const MESHED = { 'istio-injection': 'enabled' };

let kube: ApiServer;

beforeAll(async () => {
  kube = await ApiServer.start();
  const flags = ['--yes', '--no-wait', '--kube', join(kube.folder, 'kubeconfig')];
  const child = startChild(process.execPath, [OUTRIGGER, 'install', ...flags]);
  if ((await child.exited) !== 0) throw new Error(child.output());
  await kube.call('/api/v1/namespaces', { metadata: { name: 'shop', labels: MESHED } });
  await kube.call('/api/v1/namespaces', { metadata: { name: 'plain' } });
  for (const name of ['kube-system', SYSTEM])
    await kube.ask('PATCH', `/api/v1/namespaces/${name}`, {
      type: 'application/merge-patch+json',
      body: { metadata: { labels: MESHED } },
    });
  for (const namespace of ['shop', 'plain', 'kube-system', SYSTEM]) await kube.makeAccount(namespace, 'app');
});
afterAll(async () => await kube?.stop());

/** The namespace of the control service takes no others. */
const TIGHT = {
  allowPrivilegeEscalation: false,
  capabilities: { drop: ['ALL'] },
  runAsNonRoot: true,
  runAsUser: 1000,
  seccompProfile: { type: 'RuntimeDefault' },
};

const pod = (name: string, labels: object): object => ({
  metadata: { name, labels },
  spec: { serviceAccountName: 'app', containers: [{ name: 'app', image: 'none', securityContext: TIGHT }] },
});

const REVISION = { 'istio.io/rev': 'default' };
test.each([
  { title: 'outside of the mesh', namespace: 'plain', labels: {}, isRefused: false },
  { title: 'of a labelled namespace', namespace: 'shop', labels: {}, isRefused: true },
  {
    title: 'of a labelled namespace that wants no sidecar',
    namespace: 'shop',
    labels: { 'sidecar.istio.io/inject': 'false' },
    isRefused: false,
  },
  {
    title: 'that wants a sidecar by itself',
    namespace: 'plain',
    labels: { 'sidecar.istio.io/inject': 'true' },
    isRefused: true,
  },
  { title: 'that wants one of our revision', namespace: 'plain', labels: REVISION, isRefused: true },
  { title: 'of kube-system, whatever its labels', namespace: 'kube-system', labels: REVISION, isRefused: false },
  { title: 'of the control service, whatever its labels', namespace: SYSTEM, labels: REVISION, isRefused: false },
])('a pod $title is refused: $isRefused', async ({ title, namespace, labels, isRefused }) => {
  const body = pod(title.replaceAll(/\W+/g, '-'), labels);
  const { status, body: answer } = await kube.ask('POST', `/api/v1/namespaces/${namespace}/pods`, { body });
  if (!isRefused) return expect(status).toBe(201);
  expect([status, String(recordOf(answer)['message'])]).toEqual([
    500,
    expect.stringContaining('injector.outrigger.dev'),
  ]);
  return undefined;
});

test('a Deployment of the mesh waits, and has its pods when the webhook is no more in their way', async () => {
  const labels = { app: 'waiting' };
  await kube.call('/apis/apps/v1/namespaces/shop/deployments', {
    metadata: { name: 'waiting' },
    spec: {
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: { containers: [{ name: 'app', image: 'none' }] } },
    },
  });
  const podsOf = async (): Promise<readonly unknown[]> => {
    const { body } = await kube.ask('GET', '/api/v1/namespaces/shop/pods?labelSelector=app%3Dwaiting');
    return listOf(recordOf(body)['items']);
  };
  const reasons = async (): Promise<string> => {
    const { body } = await kube.ask('GET', '/api/v1/namespaces/shop/events');
    return JSON.stringify(recordOf(body)['items']);
  };
  await until('it is told why', async () => (await reasons()).includes('injector.outrigger.dev'), 30_000);
  expect(await podsOf()).toEqual([]);
  await kube.ask('PATCH', '/api/v1/namespaces/shop', {
    type: 'application/merge-patch+json',
    body: { metadata: { labels: { 'istio-injection': 'disabled' } } },
  });
  await until('the pods', async () => (await podsOf()).length === 1, 60_000);
});

const rule = (regex: string): object => ({
  apiVersion: 'networking.istio.io/v1',
  kind: 'VirtualService',
  metadata: { name: 'web', namespace: 'shop' },
  spec: { hosts: ['web'], http: [{ match: [{ uri: { regex } }], route: [{ destination: { host: 'web' } }] }] },
});
const put = async (regex: string): Promise<Answer> =>
  await kube.ask('PATCH', `${RULES}/web`, { type: 'application/merge-patch+json', body: rule(regex) });

test('before the validator has proven itself rules are taken unseen', async () => {
  expect((await kube.ask('POST', RULES, { body: rule('/a') })).status).toBe(201);
  expect((await put('(')).status).toBe(200);
  expect((await put('/b')).status).toBe(200);
});

test('after it rules cannot be changed, those that are there stay, and may go', async () => {
  const body = [{ op: 'replace', path: '/webhooks/0/failurePolicy', value: 'Fail' }];
  await kube.ask('PATCH', `${REGISTRATION}/validatingwebhookconfigurations/outrigger-validator`, {
    type: 'application/json-patch+json',
    body,
  });
  await until('nothing is taken', async () => (await put(`/${Math.random()}`)).status === 500, 60_000);
  const refused = await put('/c');
  expect(String(recordOf(refused.body)['message'])).toContain('validator.outrigger.dev');
  expect((await kube.ask('GET', `${RULES}/web`)).status).toBe(200);
  // Status is no rule: whoever leads writes it all the same.
  const status = await kube.ask('PATCH', `${RULES}/web/status`, {
    type: 'application/merge-patch+json',
    body: { status: { observedGeneration: 1 } },
  });
  expect(status.status).toBe(200);
  expect((await kube.ask('DELETE', `${RULES}/web`)).status).toBe(200);
});
